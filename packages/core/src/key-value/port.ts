import { createHash } from 'node:crypto'

/** A value, the version under which it was written, and its remaining time to live. */
export interface Versioned {
  readonly value: string
  /** Grows with every write of a key and is never reused, even after the key was deleted or has expired. */
  readonly version: number
  readonly ttlMs: number
}

/** What a key must hold for a change to apply. For changes that were decided elsewhere, during an outage. */
export interface Expected {
  /** The version that must be there; 0 for none. */
  readonly version: number
  /** The change also applies if the key has no value any more. @default false */
  readonly orAbsent?: boolean | undefined
  /**
   * The change also applies if the key holds the value with this {@link digestOf digest}, whatever its version: for a
   * write whose outcome is unknown.
   */
  readonly orDigest?: string | undefined
}

export interface SetOptions {
  readonly ttlMs: number
  /** Writes only if the key has no value. */
  readonly onlyIfAbsent?: boolean | undefined
  readonly expected?: Expected | undefined
}

/** `version` is that of the value that the key holds now: the new one if it was written. */
export interface SetResult {
  readonly written: boolean
  readonly version: number
}

/**
 * A store of keys and values. `testKeyValueStore` of `@evenkeel/core/testing` tests an implementation.
 * Names are complete keys.
 */
export interface KeyValuePort {
  get(key: string): Promise<Versioned | undefined>
  /** The values, in the order of the keys. */
  getMany(keys: readonly string[]): Promise<readonly (Versioned | undefined)[]>
  set(key: string, value: string, options: SetOptions): Promise<SetResult>
  /** Resolves with whether there was a value and it was as expected. */
  delete(key: string, expected?: Expected): Promise<boolean>
  /**
   * Adds to a whole number, or to 0 if there is none; keeps the key's ttl.
   * @throws REDIS_REPLY if the value or the sum is not a whole number that JavaScript holds exactly
   */
  increment(key: string, by: number, ttlMs: number): Promise<Versioned>
  /** Sets a new ttl. Resolves with whether the key has a value. */
  touch(key: string, ttlMs: number): Promise<boolean>
  /** Pages of keys that begin with a prefix. A key may occur twice, or not at all if it changes during the walk. */
  keys(prefix: string): AsyncIterable<readonly string[]>
}

/** SHA-1 of a value in hexadecimal digits, which Lua scripts can compute too. */
export function digestOf(value: string): string {
  return createHash('sha1').update(value).digest('hex')
}
