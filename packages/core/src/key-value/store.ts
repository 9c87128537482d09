/** A value with the version under which it was written; versions of a key only grow. */
export interface Versioned {
  readonly value: string
  readonly version: number
}

export interface SetOptions {
  readonly ttlMs: number
  /** Only where there is no value. */
  readonly onlyIfAbsent?: boolean | undefined
  /** Only over an older version: for what was written elsewhere. */
  readonly version?: number | undefined
}

/**
 * Where keys and values live. `testKeyValueStore` of `@evenkeel/core/testing` proves an implementation.
 * Names are complete keys; every write may be repeated.
 */
export interface KeyValuePort {
  get(key: string): Promise<Versioned | undefined>
  /** In the order of the keys. */
  getMany(keys: readonly string[]): Promise<readonly (Versioned | undefined)[]>
  /** Says whether it was written, and its version. */
  set(key: string, value: string, options: SetOptions): Promise<{ written: boolean; version: number }>
  delete(key: string): Promise<boolean>
  /** Adds to a whole number, from 0 where there is none; keeps the ttl that the key has. */
  increment(key: string, by: number, ttlMs: number): Promise<number>
  /** A new ttl for a value that is there. */
  touch(key: string, ttlMs: number): Promise<boolean>
  /** Pages of keys that begin with a prefix. A key may come twice, or not at all when it changes meanwhile. */
  keys(prefix: string): AsyncIterable<readonly string[]>
}
