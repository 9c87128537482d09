/** Something that can be recalled: a fact, or a pointer to a message. */
export interface RecallItem {
  readonly id: string
  readonly vector: Float32Array
  /** The fact as JSON; for a message only its place. */
  readonly payload: string
  /** The item is not stored if its thread was deleted, or its owner erased, since this generation. */
  readonly since?: { readonly thread: string | undefined; readonly generation: number } | undefined
}

export interface RecallHit {
  readonly id: string
  readonly payload: string
  /** Cosine, from -1 to 1. */
  readonly score: number
}

/** Stores the items that can be recalled, by owner. */
export interface RecallStore {
  /** Stores items, and removes others, in one step. */
  put(owner: string, items: readonly RecallItem[], removed: readonly string[]): Promise<void>
  /** The owner's generation, which grows with each erasure: for `since` of a new fact. */
  generationOf(owner: string): Promise<number>
  /** The nearest items, the best first. */
  search(owner: string, vector: Float32Array, k: number): Promise<readonly RecallHit[]>
  /** Payloads by id. */
  all(owner: string): Promise<ReadonlyMap<string, string>>
}

/** Compares the vector with every item: exact, and fast enough for some ten thousand items. */
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
