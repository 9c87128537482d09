import { LimitMap } from '../stores/limit-map.js'
import type { Decision, LimitCost, LimitKey } from '../stores/port.js'

interface Denial {
  readonly cost: number
  /** The part of the limit that the denied call could use: a call that may use more was not denied by it. */
  readonly perMille: number
  readonly untilMs: number
  readonly atMs: number
  readonly limitCosts: readonly LimitCost[]
  readonly decision: Decision
}

/**
 * Remembers denials of Redis by cost and priority, so that a client that floods causes no calls to Redis. This never
 * admits too much; it may deny for up to `maxMs` longer if another instance refunds units meanwhile. All times are
 * monotonic.
 */
export class RecentDenials {
  readonly #denials: LimitMap<Denial>
  readonly #maxMs: number

  /** @param maxMs how long a denial is remembered at most; 0 remembers none */
  constructor(maxMs: number, maxSubjects: number) {
    this.#maxMs = maxMs
    this.#denials = new LimitMap(maxSubjects)
  }

  get size(): number {
    return this.#denials.size
  }

  remember(limitCosts: readonly LimitCost[], perMille: number, decision: Decision, nowMs: number): void {
    if (this.#maxMs === 0) return
    const { blockedForMs, results } = decision
    for (const [index, limitCost] of limitCosts.entries()) {
      const { allowed = true, retryAfterMs = 0 } = results[index] ?? {}
      const isBlocked = blockedForMs > 0
      if (allowed && !isBlocked) continue
      const forMs = Math.min(this.#maxMs, Math.max(retryAfterMs, blockedForMs))
      this.#denials.set(limitCost, {
        // A block denies every cost at every priority.
        cost: isBlocked ? 0 : limitCost.cost,
        perMille: isBlocked ? 1_000 : perMille,
        untilMs: nowMs + forMs,
        atMs: nowMs,
        limitCosts,
        decision,
      })
    }
  }

  /** What Redis would answer, if a part of this call was denied a moment ago. */
  recall(limitCosts: readonly LimitCost[], perMille: number, nowMs: number): Decision | undefined {
    if (this.#denials.size === 0) return undefined
    for (const limitCost of limitCosts) {
      const denial = this.#denials.get(limitCost)
      if (denial === undefined || limitCost.cost < denial.cost || perMille > denial.perMille) continue
      if (denial.untilMs > nowMs) {
        const decision = repeated(denial, limitCosts, nowMs)
        if (decision !== undefined) return decision
      } else this.#denials.delete(limitCost)
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

/** The denial as of now; `undefined` if the call also has limits that the denied call did not have. */
function repeated(denial: Denial, limitCosts: readonly LimitCost[], nowMs: number): Decision | undefined {
  const { decision } = denial
  const passedMs = Math.round(nowMs - denial.atMs)
  const rest = (ms: number) => (ms === 0 ? 0 : Math.max(1, ms - passedMs))
  const results: Decision['results'][number][] = []
  for (const { name, subject } of limitCosts) {
    const index = denial.limitCosts.findIndex((known) => known.name === name && known.subject === subject)
    const known = decision.results[index]
    if (known === undefined) return undefined
    const { retryAfterMs, chargedAtMs } = known
    results.push({ ...known, retryAfterMs: rest(retryAfterMs), chargedAtMs: chargedAtMs + passedMs })
  }
  return { ...decision, blockedForMs: rest(decision.blockedForMs), abandoned: 0, results }
}
