/** A set of rows that may be compared: only rows that share all three members ever are. */
export interface Place {
  readonly tenant: string
  /** The embedder's name and dimensions: vectors of different embedders cannot be compared. */
  readonly space: string
  /** Digest of everything in a request except the text that is compared. */
  readonly scope: string
}

/** One judged comparison with a row's answer. */
export interface Observation {
  /** Unique, so that adding it twice changes nothing. */
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
  /** Maximum number of rows in a place; those that expire first are dropped first. */
  readonly maxRows: number
}

/**
 * Finds questions that are near. `testSemanticIndex` of `@evenkeel/llm-response-cache/testing` proves an
 * implementation. It stores neither answers nor prompts: rows point to answers by their key.
 */
export interface SemanticIndex {
  /** Live rows of the place, nearest first. One round trip, unless the implementation says otherwise. */
  nearest(place: Place, vector: Float32Array, count: number): Promise<readonly Neighbour[]>
  /** Adds a row, or replaces it; a row that did not change keeps its observations. Idempotent. */
  add(place: Place, row: Row, options: AddOptions): Promise<void>
  /** Idempotent. */
  remove(place: Place, id: string): Promise<void>
  /** Adds an observation to a row, if the row exists. Idempotent by the observation's id. */
  observe(place: Place, id: string, observation: Observation): Promise<void>
}

/** Maximum number of observations of a row; the oldest are dropped first. */
export const maxObservations = 32
