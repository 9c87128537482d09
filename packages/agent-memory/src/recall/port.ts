/** Something that can be recalled: a fact, or a pointer to a message. */
export interface RecallItem {
  readonly id: string
  readonly vector: Float32Array
  /** What is known of it, as JSON; of a message only where it is. */
  readonly payload: string
  /** It is not put when its thread, or its owner, was deleted or erased since this generation. */
  readonly since?: { readonly thread: string | undefined; readonly generation: number } | undefined
}

export interface RecallHit {
  readonly id: string
  readonly payload: string
  /** Cosine, from -1 to 1. */
  readonly score: number
}

/** Where what can be recalled lives, by owner. */
export interface RecallStore {
  /** Puts items, and takes others away, in one step. */
  put(owner: string, items: readonly RecallItem[], removed: readonly string[]): Promise<void>
  /** How often an owner was erased, as `since` of a fact that is being made. */
  generationOf(owner: string): Promise<number>
  /** The nearest items, the best first. */
  search(owner: string, vector: Float32Array, k: number): Promise<readonly RecallHit[]>
  /** Payloads by id. */
  all(owner: string): Promise<ReadonlyMap<string, string>>
}

/** The nearest of all, by looking at each: exact, and fast enough for some ten thousand. */
export function nearest(
  items: Iterable<RecallItem>,
  vector: Float32Array,
  k: number,
  score: (one: Float32Array, other: Float32Array) => number,
): readonly RecallHit[] {
  const hits: RecallHit[] = []
  for (const { id, payload, vector: own } of items) hits.push({ id, payload, score: score(vector, own) })
  return hits.sort((one, other) => other.score - one.score).slice(0, k)
}
