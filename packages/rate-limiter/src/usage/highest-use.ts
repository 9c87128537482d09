import type { LimitCost } from '../stores/port.js'

const generationMs = 30_000

/**
 * The highest share of each limit that any subject had used, in the decisions of the last 30 to 60 seconds. It is one
 * number for all subjects, because a metric must have few labels.
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

  /** The highest share, 0 to 1, by the limit's name. */
  read(nowMs: number): ReadonlyMap<string, number> {
    if (nowMs - this.#turnedAtMs > generationMs) this.#turn(nowMs)
    const highest = new Map(this.#previous)
    for (const [name, share] of this.#current) highest.set(name, Math.max(share, highest.get(name) ?? 0))
    return highest
  }

  #turn(nowMs: number): void {
    const isFresh = nowMs - this.#turnedAtMs <= 2 * generationMs
    // A limit without calls is reported as 0: if it were left out, an exporter would keep its last value.
    const idle = [...this.#current.keys(), ...this.#previous.keys()].map((name) => [name, 0] as const)
    this.#previous = new Map([...idle, ...(isFresh ? this.#current : [])])
    this.#current = new Map()
    this.#turnedAtMs = nowMs
  }
}
