import QuickLRU from 'quick-lru'
import { InvalidOptionError } from '../errors.js'
import { type Clock, systemClock } from './clock.js'

export interface ByteBoundedLruOptions<V> {
  /** @default 10_000 */
  readonly maxEntries?: number | undefined
  /** Of values and keys together, as `sizeOf` and the keys' lengths count them. @default 64 MiB */
  readonly maxBytes?: number | undefined
  /** Bytes of a value. */
  readonly sizeOf: (value: V) => number
  readonly clock?: Clock | undefined
}

interface Held<V> {
  readonly value: V
  readonly bytes: number
  readonly expiresAt: number
}

/** What an entry costs beside its key and value, roughly: two map slots and the object that holds it. */
const overheadBytes = 100

/**
 * A map that forgets the least recently used entries at its bound of entries or bytes, and entries past their
 * time when they are met. quick-lru counts entries only, and holds up to twice its maximum: it gets half of
 * `maxEntries`, and the bytes are counted around it. It keeps recency by two generations, so what was read
 * survives the next turn of generations, not every single eviction. Operations are O(1) amortised.
 */
export class ByteBoundedLru<V> {
  readonly #entries: QuickLRU<string, Held<V>>
  readonly #maxBytes: number
  readonly #sizeOf: (value: V) => number
  readonly #clock: Clock
  #bytes = 0

  constructor(options: ByteBoundedLruOptions<V>) {
    const { maxEntries = 10_000, maxBytes = 64 << 20, clock = systemClock } = options
    atLeastOne('maxEntries', maxEntries)
    atLeastOne('maxBytes', maxBytes)
    this.#maxBytes = maxBytes
    this.#sizeOf = options.sizeOf
    this.#clock = clock
    this.#entries = new QuickLRU({
      maxSize: Math.max(1, Math.floor(maxEntries / 2)),
      onEviction: (_, held) => {
        this.#bytes -= held.bytes
      },
    })
  }

  /** Entries held, those past their time included until they are met. */
  get size(): number {
    return this.#entries.size
  }

  get bytes(): number {
    return this.#bytes
  }

  get(key: string): V | undefined {
    const held = this.#entries.get(key)
    if (held === undefined) return undefined
    if (held.expiresAt > this.#clock.monotonic()) return held.value
    this.delete(key)
    return undefined
  }

  /** Says whether it was kept: a value that is larger than the whole bound is not. */
  set(key: string, value: V, ttlMs = Number.POSITIVE_INFINITY): boolean {
    this.delete(key)
    const bytes = this.#sizeOf(value) + key.length + overheadBytes
    if (bytes > this.#maxBytes) return false
    this.#bytes += bytes
    this.#entries.set(key, { value, bytes, expiresAt: this.#clock.monotonic() + ttlMs })
    while (this.#bytes > this.#maxBytes) this.#forgetOldest()
    return true
  }

  /** quick-lru's own evict() copies all entries. */
  #forgetOldest(): void {
    const [oldest] = this.#entries.entriesAscending()
    if (oldest !== undefined) this.delete(oldest[0])
  }

  delete(key: string): boolean {
    const held = this.#entries.peek(key)
    if (held === undefined) return false
    this.#bytes -= held.bytes
    return this.#entries.delete(key)
  }

  clear(): void {
    this.#entries.clear()
    this.#bytes = 0
  }

  /** Live entries, oldest use first. */
  *entries(): IterableIterator<[string, V]> {
    const now = this.#clock.monotonic()
    for (const [key, held] of this.#entries.entriesAscending()) {
      if (held.expiresAt > now) yield [key, held.value]
    }
  }
}

function atLeastOne(field: string, value: number): void {
  if (!Number.isFinite(value) || value < 1) throw new InvalidOptionError(field, 'a number from 1', value)
}
