import { createHash } from 'node:crypto'

/** A value with the version under which it was written, and the time that it has left. */
export interface Versioned {
  readonly value: string
  /** Grows with every write of a key, and is never used again: not after a deletion or an end either. */
  readonly version: number
  readonly ttlMs: number
}

/** What a key must hold for a change of it: for what was decided elsewhere, in an outage. */
export interface Expected {
  /** The version that must be there; 0 for none. */
  readonly version: number
  /** Where there is nothing any more is right too. @default false */
  readonly orAbsent?: boolean | undefined
  /**
   * Where the value with this {@link digestOf digest} is, under whatever version, is right too: for a write whose
   * outcome is not known.
   */
  readonly orDigest?: string | undefined
}

export interface SetOptions {
  readonly ttlMs: number
  /** Only where there is no value. */
  readonly onlyIfAbsent?: boolean | undefined
  readonly expected?: Expected | undefined
}

/** `version` is that of the value which is there now: the new one where it was written. */
export interface SetResult {
  readonly written: boolean
  readonly version: number
}

/**
 * Where keys and values live. `testKeyValueStore` of `@evenkeel/core/testing` proves an implementation.
 * Names are complete keys; every write may be repeated.
 */
export interface KeyValuePort {
  get(key: string): Promise<Versioned | undefined>
  /** In the order of the keys. */
  getMany(keys: readonly string[]): Promise<readonly (Versioned | undefined)[]>
  set(key: string, value: string, options: SetOptions): Promise<SetResult>
  /** Says whether there was a value, and it was as expected. */
  delete(key: string, expected?: Expected): Promise<boolean>
  /**
   * Adds to a whole number, from 0 where there is none; keeps the ttl that the key has.
   * @throws REDIS_REPLY where the value or the sum is no whole number that JavaScript holds exactly
   */
  increment(key: string, by: number, ttlMs: number): Promise<Versioned>
  /** A new ttl for a value that is there. */
  touch(key: string, ttlMs: number): Promise<boolean>
  /** Pages of keys that begin with a prefix. A key may come twice, or not at all when it changes meanwhile. */
  keys(prefix: string): AsyncIterable<readonly string[]>
}

/** SHA-1 of a value in hexadecimal digits, which scripts can work out too. */
export function digestOf(value: string): string {
  return createHash('sha1').update(value).digest('hex')
}
