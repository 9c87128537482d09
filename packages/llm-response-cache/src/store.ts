export interface Reading {
  /** The entry's bytes, or `undefined` for none. */
  readonly entry: Buffer | undefined
  /** The namespace's present generation. An entry that names another one was cleared. */
  readonly epoch: string
}

/**
 * Where answers live. `testEntryStore` of `@evenkeel/llm-response-cache/testing` proves an implementation.
 *
 * A namespace is cleared by a new epoch, a random text: entries carry the epoch in which they were begun,
 * and count only while it is the present one. So a clear costs the same for one entry and for a million,
 * an answer begun before it is never served after it, and a lost epoch makes misses, never a resurrection.
 */
export interface EntryStore {
  /** One round trip (two at the first use of a namespace). */
  read(namespace: string, key: string): Promise<Reading>
  /** Replaces what is there. Idempotent. One round trip. */
  write(namespace: string, key: string, entry: Buffer, ttlMs: number): Promise<void>
  /** Begins a new epoch, the given one. Idempotent. One round trip. */
  clear(namespace: string, epoch: string): Promise<void>
}
