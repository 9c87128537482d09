import { type Clock, systemClock } from '../kit/clock.js'
import { ByteBoundedLru } from '../kit/lru.js'
import { noWholeNumber } from './errors.js'
import {
  digestOf,
  type Expected,
  type KeyValuePort,
  type SetOptions,
  type SetResult,
  type Versioned,
} from './port.js'

export interface MemoryKeyValueStoreOptions {
  readonly maxEntries?: number | undefined
  readonly maxBytes?: number | undefined
  readonly clock?: Clock | undefined
}

interface Entry {
  readonly value: string
  readonly version: number
  readonly expiresAt: number
}

/** A store in this process, bounded in entries and bytes. */
export class MemoryKeyValueStore implements KeyValuePort {
  readonly #entries: ByteBoundedLru<Entry>
  readonly #clock: Clock
  #lastVersion = 0

  constructor({ maxEntries, maxBytes, clock = systemClock }: MemoryKeyValueStoreOptions = {}) {
    this.#clock = clock
    this.#entries = new ByteBoundedLru({
      maxEntries,
      maxBytes,
      clock,
      sizeOf: ({ value }) => value.length * 2,
    })
  }

  get entries(): number {
    return this.#entries.size
  }

  get bytes(): number {
    return this.#entries.bytes
  }

  async get(key: string): Promise<Versioned | undefined> {
    return this.#versioned(this.#entries.get(key))
  }

  getMany(keys: readonly string[]): Promise<readonly (Versioned | undefined)[]> {
    return Promise.all(keys.map((key) => this.get(key)))
  }

  async set(
    key: string,
    value: string,
    { ttlMs, onlyIfAbsent = false, expected }: SetOptions,
  ): Promise<SetResult> {
    const known = this.#entries.get(key)
    const needed = onlyIfAbsent ? { version: 0 } : expected
    if (needed !== undefined && !isExpected(known, needed))
      return { written: false, version: known?.version ?? 0 }
    const { version } = this.#write(key, value, ttlMs)
    return { written: true, version }
  }

  async delete(key: string, expected?: Expected): Promise<boolean> {
    const known = this.#entries.get(key)
    if (known === undefined || (expected !== undefined && !isExpected(known, expected))) return false
    return this.#entries.delete(key)
  }

  async increment(key: string, by: number, ttlMs: number): Promise<Versioned> {
    const known = this.#entries.get(key)
    if (known !== undefined && !/^-?\d+$/.test(known.value)) throw noWholeNumber()
    const sum = Number(known?.value ?? 0) + by
    if (!Number.isSafeInteger(sum)) throw noWholeNumber()
    return this.#write(key, String(sum), known === undefined ? ttlMs : this.#leftMs(known))
  }

  async touch(key: string, ttlMs: number): Promise<boolean> {
    const known = this.#entries.get(key)
    if (known === undefined) return false
    this.put(key, { value: known.value, version: known.version, ttlMs })
    return true
  }

  async *keys(prefix: string): AsyncIterable<readonly string[]> {
    yield [...this.#entries.entries()].map(([key]) => key).filter((key) => key.startsWith(prefix))
  }

  /** As {@link get}, but synchronous, and it does not count as a use. */
  peek(key: string): Versioned | undefined {
    return this.#versioned(this.#entries.peek(key))
  }

  /** Stores a value that another store holds, unless the value here is newer. */
  put(key: string, { value, version, ttlMs }: Versioned): void {
    if ((this.#entries.peek(key)?.version ?? 0) > version) return
    this.#entries.set(key, { value, version, expiresAt: this.#clock.monotonic() + ttlMs }, ttlMs)
  }

  clear(): void {
    this.#entries.clear()
  }

  #write(key: string, value: string, ttlMs: number): Versioned {
    this.#lastVersion = Math.max(
      this.#lastVersion + 1,
      Math.floor(this.#clock.now() * 1_000),
      (this.#entries.peek(key)?.version ?? 0) + 1,
    )
    const written = { value, version: this.#lastVersion, ttlMs }
    this.put(key, written)
    return written
  }

  #versioned(entry: Entry | undefined): Versioned | undefined {
    return entry && { value: entry.value, version: entry.version, ttlMs: this.#leftMs(entry) }
  }

  #leftMs({ expiresAt }: Entry): number {
    return expiresAt - this.#clock.monotonic()
  }
}

function isExpected(known: Entry | undefined, { version, orAbsent, orDigest }: Expected): boolean {
  if ((known?.version ?? 0) === version) return true
  return known === undefined ? orAbsent === true : digestOf(known.value) === orDigest
}
