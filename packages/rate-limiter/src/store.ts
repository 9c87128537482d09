import type { Verdict } from './algorithms/verdict.js'
import type { Limit } from './options.js'

/** One limit of a decision. */
export interface Demand {
  /** Names the limit within its limiter; part of its keys. */
  readonly name: string
  readonly limit: Limit
  /** Units; a whole number from 0 to the limit. */
  readonly cost: number
}

export interface Decision {
  /** Whether every limit admits its cost. Then all were charged (unless it was a peek), else none. */
  readonly allowed: boolean
  /** In the order of the demands. */
  readonly verdicts: readonly Verdict[]
}

/**
 * Where the counts of limits live. `testLimitStore` of `@evenkeel/rate-limiter/testing` proves an
 * implementation.
 */
export interface LimitStore {
  /**
   * Decides all demands of one subject in one atomic step and charges them, all or none. Two deciders
   * that race for the last unit see one `allowed: true`. With `peek` nothing is charged.
   * A denied decision charges nothing. One clock reading holds for all demands.
   */
  decide(subject: string, demands: readonly Demand[], peek: boolean): Promise<Decision>
  /** Forgets what was charged to the subject under these limits. */
  reset(subject: string, demands: readonly Pick<Demand, 'name' | 'limit'>[]): Promise<void>
}
