import QuickLRU from 'quick-lru'
import { InvalidOptionError } from '../errors.js'
import { type Clock, systemClock } from './clock.js'

export interface ByteBoundedLruOptions<V> {
  /** @default 10_000 */
  readonly maxEntries?: number | undefined
  /** Of values and keys together, as `sizeOf` and the keys' lengths count them. @default 64 MiB with `sizeOf`, else none */
  readonly maxBytes?: number | undefined
  /** Bytes of a value. Without it only entries are counted. */
  readonly sizeOf?: ((value: V) => number) | undefined
  readonly clock?: Clock | undefined
}

interface CachedValue<V> {
  readonly value: V
  readonly bytes: number
  readonly expiresAt: number
  /** Which search for the least recently used entries came before the last use. */
  usedAfter: number
}

/** What an entry costs beside its key and value, roughly: two map slots and the object that holds it. */
const overheadBytes = 100

/** Least recently used entries that one search collects: finding the first of a map passes what was deleted before it. */
const victimsAtOnce = 64

/**
 * A map that forgets the least recently used entries at its bound of entries or bytes, and entries past their
 * time when they are met. The bounds are exact: quick-lru, which holds up to twice its maximum and counts no
 * bytes, is never filled beyond them. Its recency has two generations, so of entries that were used since the
 * last turn of generations the order is not known. Operations are O(1) amortised.
 */
export class ByteBoundedLru<V> {
  readonly #entries: QuickLRU<string, CachedValue<V>>
  readonly #maxEntries: number
  readonly #maxBytes: number
  readonly #sizeOf: ((value: V) => number) | undefined
  readonly #clock: Clock
  /** Counted here: quick-lru goes through its older generation to tell its size. */
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
      // Never called while the bound below holds; it keeps the counts true if it should be.
      onEviction: (_, entry) => {
        this.#size--
        this.#bytes -= entry.bytes
      },
    })
  }

  /** Entries held, those past their time included until they are met. */
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

  /** Without counting as a use. */
  peek(key: string): V | undefined {
    const entry = this.#entries.peek(key)
    return entry !== undefined && entry.expiresAt > this.#clock.monotonic() ? entry.value : undefined
  }

  /** Says whether it was kept: a value that is larger than the whole bound is not. */
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

  /** Live entries, oldest use first. */
  *entries(): IterableIterator<[string, V]> {
    const now = this.#clock.monotonic()
    for (const [key, entry] of this.#entries.entriesAscending()) {
      if (entry.expiresAt > now) yield [key, entry.value]
    }
  }

  /** quick-lru's own evict() copies all entries. */
  #forgetOldest(): void {
    for (;;) {
      const key = this.#victims.pop()
      if (key === undefined) this.#findVictims()
      // One that was used or written since the search is none of the oldest any more.
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
