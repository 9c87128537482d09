import { EvenkeelError } from '../errors.js'
import { type Clock, systemClock } from '../kit/clock.js'
import { ByteBoundedLru } from '../kit/lru.js'
import type { KeyValuePort, SetOptions, Versioned } from './store.js'

export interface MemoryKeyValueStoreOptions {
  readonly maxEntries?: number | undefined
  readonly maxBytes?: number | undefined
  readonly clock?: Clock | undefined
}

interface Held extends Versioned {
  readonly expiresAt: number
}

/** Values in this process, bounded in entries and bytes. */
export class MemoryKeyValueStore implements KeyValuePort {
  readonly #entries: ByteBoundedLru<Held>
  readonly #clock: Clock

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
    const held = this.#entries.get(key)
    return held && { value: held.value, version: held.version }
  }

  getMany(keys: readonly string[]): Promise<readonly (Versioned | undefined)[]> {
    return Promise.all(keys.map((key) => this.get(key)))
  }

  async set(
    key: string,
    value: string,
    { ttlMs, onlyIfAbsent, version }: SetOptions,
  ): Promise<{ written: boolean; version: number }> {
    const known = this.#entries.get(key)?.version ?? 0
    if ((onlyIfAbsent && known > 0) || (version !== undefined && version <= known))
      return { written: false, version: known }
    return { written: true, version: this.#put(key, value, version ?? known + 1, ttlMs) }
  }

  async delete(key: string): Promise<boolean> {
    const known = this.#entries.get(key) !== undefined
    this.#entries.delete(key)
    return known
  }

  async increment(key: string, by: number, ttlMs: number): Promise<number> {
    const held = this.#entries.get(key)
    const before = held === undefined ? 0 : Number(held.value)
    if (!Number.isSafeInteger(before)) throw new EvenkeelError('REDIS_REPLY', 'The value is no whole number')
    const leftMs = held === undefined ? ttlMs : held.expiresAt - this.#clock.monotonic()
    this.#put(key, String(before + by), (held?.version ?? 0) + 1, leftMs)
    return before + by
  }

  async touch(key: string, ttlMs: number): Promise<boolean> {
    const held = this.#entries.get(key)
    if (held === undefined) return false
    this.#put(key, held.value, held.version, ttlMs)
    return true
  }

  async *keys(prefix: string): AsyncIterable<readonly string[]> {
    yield [...this.#entries.entries()].map(([key]) => key).filter((key) => key.startsWith(prefix))
  }

  /** Everything that is held, with the time it has left. */
  *held(): IterableIterator<{
    readonly key: string
    readonly value: string
    readonly version: number
    readonly ttlMs: number
  }> {
    const now = this.#clock.monotonic()
    for (const [key, { value, version, expiresAt }] of this.#entries.entries())
      yield { key, value, version, ttlMs: expiresAt - now }
  }

  clear(): void {
    this.#entries.clear()
  }

  #put(key: string, value: string, version: number, ttlMs: number): number {
    this.#entries.set(key, { value, version, expiresAt: this.#clock.monotonic() + ttlMs }, ttlMs)
    return version
  }
}
