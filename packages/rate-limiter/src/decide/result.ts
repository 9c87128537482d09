import type { Source } from '@evenkeel/core'
import { type LimitResult, slackMs } from '../algorithms/meter.js'
import type { Decision, LimitCost } from '../stores/port.js'

/** The decision of one limit. */
export interface LimitStatus {
  readonly allowed: boolean
  readonly limit: number
  /** Units that are left. */
  readonly remaining: number
  /**
   * Milliseconds until the same cost can be admitted; 0 if it is allowed. For a `concurrency`, until the next lease
   * ends: a release may come sooner, and a renewal moves that end.
   */
  readonly retryAfterMs: number
  /** Milliseconds until the limit is full again, if nothing else is charged. */
  readonly resetMs: number
  /** The time of that reset, in milliseconds since 1970 by this process's clock. */
  readonly resetAtMs: number
}

export interface RateLimitDecision<Name extends string> extends LimitStatus {
  /** Whether Redis decided for all instances, or memory for this instance. */
  readonly source: Source
  /** The limit that denied; if several did, the one with the longest wait. `undefined` if the subject is blocked. */
  readonly limitedBy: Name | undefined
  /** The subject is blocked, whatever its limits say; the block ends after `retryAfterMs`. */
  readonly blocked: boolean
  /**
   * All limits of the call. `limit`, `remaining` … above are those of the limit that is nearest to exhaustion.
   * If several subjects of a call share the name of a limit, the one nearest to exhaustion is given.
   */
  readonly limits: { readonly [N in Name]?: LimitStatus }
}

/**
 * Builds the result for a caller: all limits, with the one that matters most on top. Times are given by this process's
 * clock, whichever clock decided.
 * @param nowMs this process's wall clock
 */
export function toRateLimitDecision<Name extends string>(
  limitCosts: readonly LimitCost[],
  decision: Decision,
  source: Source,
  nowMs: number,
): RateLimitDecision<Name> {
  const { results, outcome, blockedForMs, delayMs } = decision
  const allowed = outcome === 'allowed' || outcome === 'booked'
  // The results use the clock that decided, at the time of the charge; a booking adds its delay.
  const bookedForMs = outcome === 'booked' ? delayMs + slackMs : 0
  const only = limitCosts[0]
  const result = results[0]
  // The most common case.
  if (limitCosts.length === 1 && only !== undefined && result !== undefined && blockedForMs === 0) {
    const status = statusOf(result, only.limit.limit, bookedForMs, nowMs)
    return {
      allowed,
      limit: status.limit,
      remaining: status.remaining,
      retryAfterMs: status.retryAfterMs,
      resetMs: status.resetMs,
      resetAtMs: status.resetAtMs,
      source,
      limitedBy: allowed ? undefined : (only.name as Name),
      blocked: false,
      limits: { [only.name]: status } as { readonly [N in Name]?: LimitStatus },
    }
  }
  const statuses = limitCosts.flatMap(({ name, limit }, index): [string, LimitStatus][] => {
    const own = results[index]
    return own === undefined ? [] : [[name, statusOf(own, limit.limit, bookedForMs, nowMs)]]
  })
  return { ...nearestOf<Name>(statuses, allowed, blockedForMs), allowed, source }
}

function nearestOf<Name extends string>(
  statuses: readonly [string, LimitStatus][],
  allowed: boolean,
  blockedForMs: number,
): Omit<RateLimitDecision<Name>, 'allowed' | 'source'> {
  const limits: Record<string, LimitStatus> = {}
  let nearest: LimitStatus | undefined
  let nearestName = ''
  for (const [name, status] of statuses) {
    const known = Object.hasOwn(limits, name) ? limits[name] : undefined
    if (known === undefined || isNearer(status, known)) limits[name] = status
    if (nearest === undefined || isNearer(status, nearest)) {
      nearest = status
      nearestName = name
    }
  }
  const { limit = 0, remaining = 0, retryAfterMs = 0, resetMs = 0, resetAtMs = 0 } = nearest ?? {}
  const blocked = blockedForMs > 0
  return {
    limit,
    remaining,
    retryAfterMs: Math.max(retryAfterMs, blockedForMs),
    resetMs,
    resetAtMs,
    limitedBy: allowed || blocked ? undefined : (nearestName as Name),
    blocked,
    limits: limits as { readonly [N in Name]?: LimitStatus },
  }
}

function statusOf(result: LimitResult, limit: number, bookedForMs: number, nowMs: number): LimitStatus {
  const { allowed, remaining, retryAfterMs, resetAtMs, chargedAtMs } = result
  const resetMs = Math.max(0, resetAtMs - chargedAtMs + bookedForMs)
  return { allowed, limit, remaining, retryAfterMs, resetMs, resetAtMs: nowMs + resetMs }
}

function isNearer(one: LimitStatus, other: LimitStatus): boolean {
  if (one.allowed !== other.allowed) return !one.allowed
  if (!one.allowed) return one.retryAfterMs > other.retryAfterMs
  return one.remaining / one.limit < other.remaining / other.limit
}

/** For `onOutage: 'allow' | 'deny'`: a decision that counts nothing. */
export function blanket(limitCosts: readonly LimitCost[], allowed: boolean, now: number): Decision {
  return {
    outcome: allowed ? 'allowed' : 'denied',
    blockedForMs: 0,
    delayMs: 0,
    abandoned: 0,
    results: limitCosts.map(({ limit }) => ({
      allowed,
      remaining: allowed ? limit.limit : 0,
      retryAfterMs: allowed ? 0 : 1_000,
      resetAtMs: Math.floor(now) + 1_000,
      chargedAtMs: Math.floor(now),
    })),
  }
}
