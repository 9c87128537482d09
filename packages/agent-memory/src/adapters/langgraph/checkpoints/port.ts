/** A checkpoint as it is stored: its values are separate, each under the digest of its text. */
export interface StoredCheckpoint {
  readonly namespace: string
  readonly id: string
  /** Everything but the values, as text. */
  readonly text: string
  /** Digests of the values that it refers to itself, each once; a value may be a run of others. */
  readonly digests: readonly string[]
}

export interface StoredWrite {
  readonly task: string
  /** Below 0 for special writes, which replace what was there. */
  readonly index: number
  readonly text: string
}

export interface ReadCheckpoint extends StoredCheckpoint {
  readonly values: ReadonlyMap<string, string>
  readonly writes: readonly StoredWrite[]
}

/** Where checkpoints live. Every operation may be repeated. */
export interface CheckpointStore {
  /**
   * Stores a checkpoint with its values. Equal digests mean equal values, so branches of one thread share what they
   * have in common, and can't overwrite each other's values.
   */
  put(thread: string, checkpoint: StoredCheckpoint, values: ReadonlyMap<string, string>): Promise<void>
  putWrites(thread: string, namespace: string, id: string, writes: readonly StoredWrite[]): Promise<void>
  /** One checkpoint, or the latest. One round trip. */
  read(thread: string, namespace: string, id: string | undefined): Promise<ReadCheckpoint | undefined>
  /** Namespaces and ids of a thread's checkpoints, by namespace, the latest first. */
  names(thread: string): Promise<readonly (readonly [namespace: string, id: string])[]>
  threads(): AsyncIterable<string>
  delete(thread: string): Promise<void>
}
