import type { Limit } from '../limits.js'

/**
 * What is known of one limit of one subject: a deterministic function of its charges and of the times that
 * it is given. The limit comes with each question, since a share of it may be asked for, and `most` since a
 * class of callers may see less of it. `src/scripts` comes to the same answers.
 */
export interface Meter {
  /** Brings the meter to `now`; the questions below are about that time. */
  advance(limit: Limit, now: number): void
  admits(cost: number, most: number, id: string): boolean
  /** The first time, not before `from`, at which the cost can be admitted if nothing else is charged. */
  earliest(cost: number, most: number, from: number): number
  /** Charges without asking, as of `when`. */
  charge(when: number, cost: number, id: string): void
  /** Calls have been promised until this time: later ones come after it. */
  book(when: number): void
  /** Takes back what was charged as of `when`, as far as it still counts. */
  refund(when: number, cost: number, id: string): void
  /** Units left, were `extra` more charged. */
  remaining(extra: number, most: number): number
  /** When the limit is whole again, were `extra` more charged now. */
  resetAt(extra: number): number
  /** Charges as much as leaves `remaining`, until `resetMs` from now. */
  lower(remaining: number, resetMs: number): void
  /** What counts at the moment, as charges that another meter can take over. */
  charges(): readonly Charge[]
}

export interface Charge {
  readonly atMs: number
  readonly cost: number
}

/** A booked call may start this much later than its time; it is charged as of the end of that slack. */
export const slackMs = 50

/** What one limit says of one call. */
export interface LimitResult {
  readonly allowed: boolean
  /** Units left; after the charge when it is allowed, as things are when it is not. */
  readonly remaining: number
  /** When the same cost can be admitted, if nothing else is charged until then; 0 when it is allowed. */
  readonly retryAfterMs: number
  /** When the limit is whole again, if nothing else is charged until then; milliseconds of the deciding clock. */
  readonly resetAtMs: number
  /** As of when it was charged, if it was; settling needs it. */
  readonly chargedAtMs: number
}
