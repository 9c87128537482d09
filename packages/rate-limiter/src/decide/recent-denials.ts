import { LimitMap } from '../stores/limit-map.js'
import type { Decision, LimitCost, LimitKey } from '../stores/port.js'

interface Denial {
  readonly cost: number
  readonly untilMs: number
  readonly atMs: number
  readonly limitCosts: readonly LimitCost[]
  readonly decision: Decision
}

/**
 * Denials of Redis, remembered for the cost that was denied: a client that floods costs Redis nothing. It
 * can't admit too much; it may deny up to its time longer where somebody gives units back meanwhile.
 * All times are monotonic.
 */
export class RecentDenials {
  readonly #denials: LimitMap<Denial>
  readonly #maxMs: number

  constructor(maxMs: number, maxSubjects: number) {
    this.#maxMs = maxMs
    this.#denials = new LimitMap(maxSubjects)
  }

  get size(): number {
    return this.#denials.size
  }

  remember(limitCosts: readonly LimitCost[], decision: Decision, nowMs: number): void {
    if (this.#maxMs === 0) return
    const { blockedForMs, results } = decision
    for (const [index, limitCost] of limitCosts.entries()) {
      const { allowed = true, retryAfterMs = 0 } = results[index] ?? {}
      if (allowed && blockedForMs === 0) continue
      const forMs = Math.min(this.#maxMs, Math.max(retryAfterMs, blockedForMs))
      const cost = blockedForMs > 0 ? 0 : limitCost.cost
      this.#denials.set(limitCost, { cost, untilMs: nowMs + forMs, atMs: nowMs, limitCosts, decision })
    }
  }

  /** What Redis would say, if a part of this call was denied a moment ago. */
  recall(limitCosts: readonly LimitCost[], nowMs: number): Decision | undefined {
    if (this.#denials.size === 0) return undefined
    for (const limitCost of limitCosts) {
      const denial = this.#denials.get(limitCost)
      if (denial === undefined || limitCost.cost < denial.cost) continue
      if (denial.untilMs > nowMs) return again(denial, limitCosts, nowMs)
      this.#denials.delete(limitCost)
    }
    return undefined
  }

  forget(limitKeys: readonly LimitKey[]): void {
    for (const limitKey of limitKeys) this.#denials.delete(limitKey)
  }

  clear(): void {
    this.#denials.clear()
  }
}

function again(
  { decision, limitCosts, atMs }: Denial,
  wanted: readonly LimitCost[],
  nowMs: number,
): Decision {
  const passedMs = Math.round(nowMs - atMs)
  const rest = (ms: number) => (ms === 0 ? 0 : Math.max(1, ms - passedMs))
  return {
    ...decision,
    blockedForMs: rest(decision.blockedForMs),
    abandoned: 0,
    results: wanted.map((limitCost) => {
      const index = limitCosts.findIndex(
        ({ name, subject }) => name === limitCost.name && subject === limitCost.subject,
      )
      const known = decision.results[index]
      if (known !== undefined) return { ...known, retryAfterMs: rest(known.retryAfterMs) }
      const { limit } = limitCost.limit
      return { allowed: true, remaining: limit, retryAfterMs: 0, resetAtMs: 0, chargedAtMs: 0 }
    }),
  }
}
