import type { TokenBucket } from '../options.js'
import type { Verdict } from './verdict.js'

/**
 * A token bucket kept as its mirror image, a leaky meter (the two are equivalent, ITU-T I.371): `level` is
 * what was taken and has not refilled. It is counted in units of 1/everyMs tokens, so that a refill of a
 * fraction of a token a millisecond stays a whole number, and JavaScript and Lua agree to the last bit.
 */
export interface TokenBucketState {
  readonly level: number
  readonly atMs: number
}

export const fullBucket: TokenBucketState = { level: 0, atMs: 0 }

/** Refills what has come in since. A clock that stepped back refills nothing. */
export function bucketAt(
  { level, atMs }: TokenBucketState,
  { refill }: TokenBucket,
  now: number,
): TokenBucketState {
  const elapsedMs = Math.max(0, now - atMs)
  // Compared before multiplying: after years away the product would leave the exact numbers.
  if (level === 0 || elapsedMs >= level / refill) return { level: 0, atMs: Math.max(atMs, now) }
  return { level: level - refill * elapsedMs, atMs: Math.max(atMs, now) }
}

/** Expects a state that {@link bucketAt} has brought to `now`. */
export function judgeBucket(
  { level }: TokenBucketState,
  { limit, refill, everyMs }: TokenBucket,
  now: number,
  cost: number,
): Verdict {
  const capacity = limit * everyMs
  const wanted = level + cost * everyMs
  const allowed = wanted <= capacity
  const after = allowed ? wanted : level
  return {
    allowed,
    // Negative where the capacity became smaller than what was taken.
    remaining: Math.max(0, Math.floor((capacity - after) / everyMs)),
    retryAfterMs: allowed ? 0 : Math.ceil((wanted - capacity) / refill),
    resetAtMs: now + Math.ceil(after / refill),
  }
}

export function chargeBucket(
  { level, atMs }: TokenBucketState,
  { everyMs }: TokenBucket,
  cost: number,
): TokenBucketState {
  return { level: level + cost * everyMs, atMs }
}
