import type { Limit } from '../limits.js'

/**
 * Counts one limit of one subject. Its answers depend only on its charges and on the times that it is given. `advance`
 * takes the limit, because in an outage it is a share of the whole one; `most` is below the limit for calls of low
 * priority. The scripts in `src/scripts` give the same answers.
 */
export interface Meter {
  /** Brings the meter to `now`; the questions below are about that time. */
  advance(limit: Limit, now: number): void
  admits(cost: number, most: number, id: string): boolean
  /** The first time, not before `from`, at which the cost can be admitted if nothing else is charged. */
  earliest(cost: number, most: number, from: number): number
  /** Charges as of `when`, without a check. */
  charge(when: number, cost: number, id: string): void
  /** Records that a call is booked for this time: later calls come after it. */
  book(when: number): void
  /** Refunds what was charged as of `when`, as far as it still counts. */
  refund(when: number, cost: number, id: string): void
  /** Units left, if `extra` more were charged. */
  remaining(extra: number, most: number): number
  /** When the limit is fully available again, if `extra` more were charged now. */
  resetAt(extra: number): number
  /** Charges enough to leave `remaining` units. A sliding window drops that charge after `resetMs`. */
  lower(remaining: number, resetMs: number): void
  /** What counts now, as charges that another meter can take over. */
  charges(): readonly Charge[]
}

export interface Charge {
  readonly atMs: number
  readonly cost: number
}

/** A booked call may start this much later than its time; it is charged as of the end of that slack. */
export const slackMs = 50

/** The result of one limit for one call. */
export interface LimitResult {
  readonly allowed: boolean
  /** Units left: after the charge if the call is allowed, otherwise as they are. */
  readonly remaining: number
  /** Milliseconds until the same cost can be admitted, if nothing else is charged until then; 0 if it is allowed. */
  readonly retryAfterMs: number
  /** When the limit is fully available again, if nothing else is charged: milliseconds on the deciding clock. */
  readonly resetAtMs: number
  /** The time as of which the call was charged, if it was. Settling needs it. */
  readonly chargedAtMs: number
}
