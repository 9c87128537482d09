import QuickLRU from 'quick-lru'
import { InvalidOptionError } from '../errors.js'
import { type Clock, systemClock } from './clock.js'

export interface ByteBoundedLruOptions<V> {
  /** @default 10_000 */
  readonly maxEntries?: number | undefined
  /** Bytes of values and keys together, by `sizeOf` and the keys' lengths. @default 64 MiB with `sizeOf`, else none */
  readonly maxBytes?: number | undefined
  /** Bytes of a value. Without it only entries are counted. */
  readonly sizeOf?: ((value: V) => number) | undefined
  readonly clock?: Clock | undefined
}

interface CachedValue<V> {
  readonly value: V
  readonly bytes: number
  readonly expiresAt: number
  /** How many searches for the least recently used entries had run before the last use. */
  usedAfter: number
}

/** Approximate overhead of an entry besides its key and value: two map slots and the object that holds it. */
const overheadBytes = 100

/** How many entries one search collects: finding the first entry of a map passes all that were deleted before it. */
const victimsAtOnce = 64

/**
 * A map with bounds in entries and bytes that evicts the least recently used entries, and drops expired entries when
 * it meets them. The bounds are exact: quick-lru, which holds up to twice its maximum and does not count bytes, is
 * never filled beyond them. Its recency has two generations, so the order of entries that were used since the last
 * change of generations is unknown. Operations are O(1) amortised.
 */
export class ByteBoundedLru<V> {
  readonly #entries: QuickLRU<string, CachedValue<V>>
  readonly #maxEntries: number
  readonly #maxBytes: number
  readonly #sizeOf: ((value: V) => number) | undefined
  readonly #clock: Clock
  /** Counted here, because quick-lru walks its older generation to report its size. */
  #size = 0
  #bytes = 0
  /** Keys that were the least recently used when the last search ended, the oldest at the end. */
  #victims: string[] = []
  #searches = 0

  constructor(options: ByteBoundedLruOptions<V>) {
    const { maxEntries = 10_000, maxBytes = 64 << 20, clock = systemClock } = options
    atLeastOne('maxEntries', maxEntries)
    atLeastOne('maxBytes', maxBytes)
    this.#maxEntries = Math.floor(maxEntries)
    this.#maxBytes = options.sizeOf === undefined ? Number.POSITIVE_INFINITY : maxBytes
    this.#sizeOf = options.sizeOf
    this.#clock = clock
    this.#entries = new QuickLRU({
      maxSize: this.#maxEntries,
      // Never called while the bound below holds; it keeps the counts correct if it ever is.
      onEviction: (_, entry) => {
        this.#size--
        this.#bytes -= entry.bytes
      },
    })
  }

  /** Number of entries, including expired ones that were not met yet. */
  get size(): number {
    return this.#size
  }

  get bytes(): number {
    return this.#bytes
  }

  get(key: string): V | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    if (entry.expiresAt !== Number.POSITIVE_INFINITY && entry.expiresAt <= this.#clock.monotonic()) {
      this.delete(key)
      return undefined
    }
    entry.usedAfter = this.#searches
    return entry.value
  }

  /** As `get`, without counting as a use. */
  peek(key: string): V | undefined {
    const entry = this.#entries.peek(key)
    return entry !== undefined && entry.expiresAt > this.#clock.monotonic() ? entry.value : undefined
  }

  /** Returns whether the value was kept: a value larger than the whole bound is not. */
  set(key: string, value: V, ttlMs = Number.POSITIVE_INFINITY): boolean {
    this.delete(key)
    const bytes = this.#sizeOf === undefined ? 0 : this.#sizeOf(value) + key.length + overheadBytes
    if (bytes > this.#maxBytes) return false
    while (this.#size >= this.#maxEntries || this.#bytes + bytes > this.#maxBytes) this.#forgetOldest()
    this.#size++
    this.#bytes += bytes
    const expiresAt = ttlMs === Number.POSITIVE_INFINITY ? ttlMs : this.#clock.monotonic() + ttlMs
    this.#entries.set(key, { value, bytes, expiresAt, usedAfter: this.#searches })
    return true
  }

  delete(key: string): boolean {
    const entry = this.#entries.peek(key)
    if (entry === undefined) return false
    this.#size--
    this.#bytes -= entry.bytes
    return this.#entries.delete(key)
  }

  clear(): void {
    this.#entries.clear()
    this.#victims = []
    this.#size = 0
    this.#bytes = 0
  }

  /** Entries that have not expired, the least recently used first. */
  *entries(): IterableIterator<[string, V]> {
    const now = this.#clock.monotonic()
    for (const [key, entry] of this.#entries.entriesAscending()) {
      if (entry.expiresAt > now) yield [key, entry.value]
    }
  }

  /** Evicts one entry; quick-lru's own evict() would copy all of them. */
  #forgetOldest(): void {
    for (;;) {
      const key = this.#victims.pop()
      if (key === undefined) this.#findVictims()
      // An entry that was used or written since the search is no longer one of the oldest.
      else if ((this.#entries.peek(key)?.usedAfter ?? this.#searches) < this.#searches) {
        this.delete(key)
        return
      }
    }
  }

  #findVictims(): void {
    this.#searches++
    for (const [key] of this.#entries.entriesAscending()) {
      if (this.#victims.push(key) === victimsAtOnce) break
    }
    this.#victims.reverse()
  }
}

function atLeastOne(field: string, value: number): void {
  if (!Number.isFinite(value) || value < 1) throw new InvalidOptionError(field, 'a number from 1', value)
}
