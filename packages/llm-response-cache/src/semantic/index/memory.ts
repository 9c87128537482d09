import type { Clock } from '@evenkeel/core'
import { systemClock } from '@evenkeel/core/kit'
import type { AddOptions, Neighbour, Observation, Place, Row, SemanticIndex } from './port.js'
import { VectorRows } from './vector-rows.js'

export interface MemorySemanticIndexOptions {
  /** Maximum size of vectors and texts; the least recently used places are dropped first. @default 64 MiB */
  readonly maxBytes?: number | undefined
  readonly clock?: Clock | undefined
}

/** Rows in this process, bounded in bytes. */
export class MemorySemanticIndex implements SemanticIndex {
  readonly #places: PlaceMap<VectorRows>
  readonly #clock: Clock

  constructor({ maxBytes = 64 << 20, clock = systemClock }: MemorySemanticIndexOptions = {}) {
    this.#clock = clock
    this.#places = new PlaceMap(maxBytes, (rows) => rows.bytes)
  }

  get bytes(): number {
    return this.#places.bytes
  }

  get places(): number {
    return this.#places.size
  }

  async nearest(place: Place, vector: Float32Array, count: number): Promise<readonly Neighbour[]> {
    return this.#places.get(place)?.nearest(vector, count, this.#clock.now()) ?? []
  }

  async add(place: Place, { id, vector, sheet }: Row, { ttlMs, maxRows }: AddOptions): Promise<void> {
    const now = this.#clock.now()
    const rows = this.#places.get(place) ?? new VectorRows()
    const known = rows.get(id)
    const seen = known?.sheet === sheet && known.expiresAtMs > now ? known.seen : ''
    rows.set({ id, vector: Float32Array.from(vector), sheet, seen, expiresAtMs: now + ttlMs })
    rows.trim(maxRows, now)
    this.#places.set(place, rows)
  }

  async remove(place: Place, id: string): Promise<void> {
    const rows = this.#places.get(place)
    rows?.delete(id)
    if (rows !== undefined) this.#places.set(place, rows)
  }

  async observe(place: Place, id: string, observation: Observation): Promise<void> {
    const rows = this.#places.get(place)
    rows?.observe(id, observation)
    if (rows !== undefined) this.#places.set(place, rows)
  }
}

interface Sized<T> {
  readonly value: T
  readonly bytes: number
}

/** A value for each place, bounded in bytes; the least recently used values are dropped first. */
export class PlaceMap<T> {
  readonly #held = new Map<string, Sized<T>>()
  readonly #maxBytes: number
  readonly #sizeOf: (value: T) => number
  #bytes = 0

  constructor(maxBytes: number, sizeOf: (value: T) => number) {
    this.#maxBytes = maxBytes
    this.#sizeOf = sizeOf
  }

  get size(): number {
    return this.#held.size
  }

  get bytes(): number {
    return this.#bytes
  }

  get(place: Place): T | undefined {
    const key = nameOf(place)
    const held = this.#held.get(key)
    if (held === undefined) return undefined
    this.#held.delete(key)
    this.#held.set(key, held)
    return held.value
  }

  /** Must also be called when a value has changed its size. */
  set(place: Place, value: T): void {
    const key = nameOf(place)
    this.#forget(key)
    const bytes = this.#sizeOf(value) + 2 * key.length
    this.#held.set(key, { value, bytes })
    this.#bytes += bytes
    for (const oldest of this.#held.keys()) {
      if (this.#bytes <= this.#maxBytes) break
      this.#forget(oldest)
    }
  }

  #forget(key: string): void {
    this.#bytes -= this.#held.get(key)?.bytes ?? 0
    this.#held.delete(key)
  }
}

function nameOf({ tenant, space, scope }: Place): string {
  return [tenant, space, scope].map(encodeURIComponent).join('/')
}
