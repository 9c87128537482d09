import type { Limit } from '../limits.js'

/** Which part of every limit this instance enforces while nobody can count for all. */
export interface Share {
  /** Instances that share the limits, this one among them. */
  readonly instances: number
  /** This instance's place among them from 0, where it is known: the first ones get what division leaves over. */
  readonly rank?: number | undefined
}

/**
 * With ranks the shares add up to the limit exactly. Without, each instance takes the quotient, but one unit
 * at the least: a limit smaller than the number of instances would else admit nobody at all.
 */
export function shareOf(limit: Limit, { instances, rank }: Share): Limit {
  if (instances === 1) return limit
  const quotient = Math.floor(limit.limit / instances)
  const part =
    rank === undefined ? Math.max(1, quotient) : quotient + (rank < limit.limit % instances ? 1 : 0)
  // `everyMs` is the unit in which a bucket's level is counted, so it is the refill that is divided.
  if (limit.kind === 'token-bucket') return { ...limit, limit: part, refill: limit.refill / instances }
  return { ...limit, limit: part }
}
