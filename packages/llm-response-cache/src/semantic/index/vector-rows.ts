import { appendObservation, decodeObservations } from './observations.js'
import type { Neighbour, Observation } from './port.js'

export interface HeldRow {
  readonly id: string
  readonly vector: Float32Array
  readonly sheet: string
  /** Observations, one on each line. */
  readonly seen: string
  readonly expiresAtMs: number
}

/** Approximate bytes of a row beside its vector and texts. */
const rowOverhead = 200

/** The rows of one place in this process, searched exactly: one multiplication per dimension and row. */
export class VectorRows {
  readonly #rows = new Map<string, HeldRow>()
  #bytes = 0

  get size(): number {
    return this.#rows.size
  }

  get bytes(): number {
    return this.#bytes
  }

  get(id: string): HeldRow | undefined {
    return this.#rows.get(id)
  }

  set(row: HeldRow): void {
    this.delete(row.id)
    this.#rows.set(row.id, row)
    this.#bytes += sizeOf(row)
  }

  delete(id: string): void {
    const row = this.#rows.get(id)
    if (row === undefined) return
    this.#bytes -= sizeOf(row)
    this.#rows.delete(id)
  }

  observe(id: string, observation: Observation): void {
    const row = this.#rows.get(id)
    if (row !== undefined) this.set({ ...row, seen: appendObservation(row.seen, observation) })
  }

  /** Drops expired rows, and then those that expire first, until `maxRows` are left. */
  trim(maxRows: number, nowMs: number): void {
    for (const { id, expiresAtMs } of this.#rows.values()) if (expiresAtMs <= nowMs) this.delete(id)
    if (this.#rows.size <= maxRows) return
    const soonest = [...this.#rows.values()].sort((one, other) => one.expiresAtMs - other.expiresAtMs)
    for (const { id } of soonest.slice(0, this.#rows.size - maxRows)) this.delete(id)
  }

  nearest(vector: Float32Array, count: number, nowMs: number): readonly Neighbour[] {
    const best: { row: HeldRow; similarity: number }[] = []
    for (const row of this.#rows.values()) {
      if (row.expiresAtMs <= nowMs || row.vector.length !== vector.length) continue
      const similarity = dot(row.vector, vector)
      const last = best.at(-1)
      if (best.length === count && last !== undefined && similarity <= last.similarity) continue
      let at = best.length
      while (at > 0 && (best[at - 1]?.similarity ?? 0) < similarity) at--
      best.splice(at, 0, { row, similarity })
      if (best.length > count) best.pop()
    }
    return best.map(({ row: { id, sheet, seen }, similarity }) => ({
      id,
      similarity,
      sheet,
      observations: decodeObservations(seen),
    }))
  }
}

/** Four independent sums are 1.5 times as fast as one. */
function dot(one: Float32Array, other: Float32Array): number {
  let a = 0
  let b = 0
  let c = 0
  let d = 0
  let at = 0
  const { length } = one
  for (; at + 3 < length; at += 4) {
    a += (one[at] as number) * (other[at] as number)
    b += (one[at + 1] as number) * (other[at + 1] as number)
    c += (one[at + 2] as number) * (other[at + 2] as number)
    d += (one[at + 3] as number) * (other[at + 3] as number)
  }
  for (; at < length; at++) a += (one[at] as number) * (other[at] as number)
  return a + b + c + d
}

function sizeOf({ id, vector, sheet, seen }: HeldRow): number {
  return vector.byteLength + 2 * (id.length + sheet.length + seen.length) + rowOverhead
}
