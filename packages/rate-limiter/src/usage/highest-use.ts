import type { LimitCost } from '../stores/port.js'

const generationMs = 30_000

/**
 * The highest share of each limit that a subject had used, of the decisions of the last minute, or half of one at
 * least. Of all subjects together, since a metric's labels must be few.
 */
export class HighestUse {
  #current = new Map<string, number>()
  #previous = new Map<string, number>()
  #turnedAtMs = 0

  /** @param remaining units left of each cost's limit, after the decision */
  record(
    limitCosts: readonly LimitCost[],
    remaining: readonly { readonly remaining: number }[],
    nowMs: number,
  ): void {
    if (nowMs - this.#turnedAtMs > generationMs) this.#turn(nowMs)
    for (let index = 0; index < limitCosts.length; index++) {
      const limitCost = limitCosts[index]
      const left = remaining[index]?.remaining
      if (limitCost === undefined || left === undefined) continue
      const share = 1 - left / limitCost.limit.limit
      if (!(share <= (this.#current.get(limitCost.name) ?? -1))) this.#current.set(limitCost.name, share)
    }
  }

  /** By limit. */
  read(nowMs: number): ReadonlyMap<string, number> {
    if (nowMs - this.#turnedAtMs > generationMs) this.#turn(nowMs)
    const highest = new Map(this.#previous)
    for (const [name, share] of this.#current) highest.set(name, Math.max(share, highest.get(name) ?? 0))
    return highest
  }

  #turn(nowMs: number): void {
    const isFresh = nowMs - this.#turnedAtMs <= 2 * generationMs
    // A limit without calls is at 0, not as it was: an exporter would keep its last value.
    const idle = [...this.#current.keys(), ...this.#previous.keys()].map((name) => [name, 0] as const)
    this.#previous = new Map([...idle, ...(isFresh ? this.#current : [])])
    this.#current = new Map()
    this.#turnedAtMs = nowMs
  }
}
