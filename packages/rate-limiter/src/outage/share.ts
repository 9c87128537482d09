import type { Limit } from '../limits.js'

/** The part of every limit that this instance enforces while Redis can't count for all. */
export interface Share {
  /** Number of instances that share the limits, including this one. */
  readonly instances: number
  /** This instance's rank among them, from 0, if known: the first instances get the remainder of the division. */
  readonly rank?: number | undefined
}

/**
 * With ranks the shares add up to the limit exactly. Without them, each instance takes the quotient, but at least one
 * unit; otherwise a limit smaller than the number of instances would admit no call at all.
 */
export function shareOf(limit: Limit, { instances, rank }: Share): Limit {
  if (instances === 1) return limit
  const quotient = Math.floor(limit.limit / instances)
  const part =
    rank === undefined ? Math.max(1, quotient) : quotient + (rank < limit.limit % instances ? 1 : 0)
  // `everyMs` is the unit of a bucket's level, so the refill is divided instead.
  if (limit.kind === 'token-bucket') return { ...limit, limit: part, refill: limit.refill / instances }
  return { ...limit, limit: part }
}

/** What was known about a limit when Redis last answered. */
export interface RemoteSnapshot {
  /** Units that this instance had charged. */
  readonly used: number
  readonly remaining: number
  readonly atMs: number
}

/** Number of windows in which the shares become equal. */
const windowsToEqual = 10

/**
 * The part of a limit that an instance may use if it knows what was left: its own charges and an equal part of the
 * rest. The parts of all instances add up to the limit, apart from what was charged after each last heard from Redis.
 * Equal shares from the start would add up to more, because an instance that has used more than its share keeps that
 * while the others fill theirs. After one window, the parts become equal, by a tenth per window, so that traffic may
 * move between instances.
 */
export function partOf(
  limit: Limit,
  share: Share,
  { used, remaining, atMs }: RemoteSnapshot,
  now: number,
): Limit {
  const equal = shareOf(limit, share)
  const windowMs = lengthOf(limit)
  const progress = (now - atMs - windowMs) / (windowsToEqual * windowMs)
  if (progress >= 1) return equal
  const own = used + remaining / share.instances
  const towards = Math.max(0, progress)
  return { ...equal, limit: Math.floor(own * (1 - towards) + equal.limit * towards) }
}

function lengthOf(limit: Limit): number {
  switch (limit.kind) {
    case 'token-bucket':
      return (limit.limit * limit.everyMs) / limit.refill
    case 'concurrency':
      return limit.leaseMs
    default:
      return limit.windowMs
  }
}
