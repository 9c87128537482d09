/** Where rows may meet: only what shares all three is ever compared. */
export interface Place {
  /** Tenants. */
  readonly tenant: string
  /** The embedder, by name and dimensions: vectors of two embedders mean nothing to each other. */
  readonly space: string
  /** Everything of a request except the text that is compared. */
  readonly scope: string
}

/** One judged comparison with a row's answer. */
export interface Observation {
  /** Names it, so that telling it twice changes nothing. */
  readonly id: string
  /** The epoch of learning in which it was made. */
  readonly epoch: number
  readonly features: readonly number[]
  readonly similarity: number
  /** Whether the row's answer was right. */
  readonly right: boolean
}

export interface Row {
  /** The key of the answer. */
  readonly id: string
  /** Of length 1. */
  readonly vector: Float32Array
  /** What the guard needs to know of the text; opaque here. */
  readonly sheet: string
}

export interface Neighbour {
  readonly id: string
  /** Cosine, from -1 to 1. */
  readonly similarity: number
  readonly sheet: string
  readonly observations: readonly Observation[]
}

export interface AddOptions {
  readonly ttlMs: number
  /** A place holds this many rows at most; those that end soonest go first. */
  readonly maxRows: number
}

/**
 * Finds what is near. `testSemanticIndex` of `@evenkeel/llm-response-cache/testing` proves an
 * implementation. It holds no answer and no prompt: rows point to answers by their key.
 */
export interface SemanticIndex {
  /** Live rows of the place, nearest first. One round trip, save where a page says otherwise. */
  nearest(place: Place, vector: Float32Array, count: number): Promise<readonly Neighbour[]>
  /** Puts a row in, or replaces it; a row that did not change keeps its observations. Idempotent. */
  add(place: Place, row: Row, options: AddOptions): Promise<void>
  /** Idempotent. */
  remove(place: Place, id: string): Promise<void>
  /** Notes what was learned of a row; of a row that is gone, nothing. Idempotent by the observation's id. */
  observe(place: Place, id: string, observation: Observation): Promise<void>
}

/** A row keeps this many observations, the oldest go first. */
export const maxObservations = 32
