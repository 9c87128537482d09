import { CellMap } from '../stores/limit-map.js'
import type { Cell, Decision, Demand } from '../stores/port.js'

interface Denial {
  readonly cost: number
  readonly untilMs: number
  readonly atMs: number
  readonly demands: readonly Demand[]
  readonly decision: Decision
}

/**
 * Denials of Redis, remembered for the cost that was denied: a client that floods costs Redis nothing. It
 * can't admit too much; it may deny up to its time longer where somebody gives units back meanwhile.
 * All times are monotonic.
 */
export class DenialMemory {
  readonly #denials: CellMap<Denial>
  readonly #mostMs: number

  constructor(mostMs: number, maxSubjects: number) {
    this.#mostMs = mostMs
    this.#denials = new CellMap(maxSubjects)
  }

  get size(): number {
    return this.#denials.size
  }

  remember(demands: readonly Demand[], decision: Decision, nowMs: number): void {
    if (this.#mostMs === 0) return
    const { blockedForMs, verdicts } = decision
    for (const [index, demand] of demands.entries()) {
      const { allowed = true, retryAfterMs = 0 } = verdicts[index] ?? {}
      if (allowed && blockedForMs === 0) continue
      const forMs = Math.min(this.#mostMs, Math.max(retryAfterMs, blockedForMs))
      const cost = blockedForMs > 0 ? 0 : demand.cost
      this.#denials.set(demand, { cost, untilMs: nowMs + forMs, atMs: nowMs, demands, decision })
    }
  }

  /** What Redis would say, if a part of this call was denied a moment ago. */
  recall(demands: readonly Demand[], nowMs: number): Decision | undefined {
    if (this.#denials.size === 0) return undefined
    for (const demand of demands) {
      const denial = this.#denials.get(demand)
      if (denial === undefined || demand.cost < denial.cost) continue
      if (denial.untilMs > nowMs) return again(denial, demands, nowMs)
      this.#denials.delete(demand)
    }
    return undefined
  }

  forget(cells: readonly Cell[]): void {
    for (const cell of cells) this.#denials.delete(cell)
  }

  clear(): void {
    this.#denials.clear()
  }
}

function again({ decision, demands, atMs }: Denial, wanted: readonly Demand[], nowMs: number): Decision {
  const passedMs = Math.round(nowMs - atMs)
  const rest = (ms: number) => (ms === 0 ? 0 : Math.max(1, ms - passedMs))
  return {
    ...decision,
    blockedForMs: rest(decision.blockedForMs),
    abandoned: 0,
    verdicts: wanted.map((demand) => {
      const index = demands.findIndex(
        ({ name, subject }) => name === demand.name && subject === demand.subject,
      )
      const known = decision.verdicts[index]
      if (known !== undefined) return { ...known, retryAfterMs: rest(known.retryAfterMs) }
      const { limit } = demand.limit
      return { allowed: true, remaining: limit, retryAfterMs: 0, resetAtMs: 0, chargedAtMs: 0 }
    }),
  }
}
