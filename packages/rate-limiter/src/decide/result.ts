import type { Source } from '@evenkeel/core'
import { type LimitResult, slackMs } from '../algorithms/meter.js'
import type { Decision, LimitCost } from '../stores/port.js'

/** What one limit said. */
export interface LimitStatus {
  readonly allowed: boolean
  readonly limit: number
  /** Units left. */
  readonly remaining: number
  /** How long until the same cost can be admitted; 0 when it is allowed. Of a `concurrency`, at the latest. */
  readonly retryAfterMs: number
  /** How long until the limit is whole again, if nothing else is charged until then. */
  readonly resetMs: number
  /** The same as a time: milliseconds since 1970 on this process's clock. */
  readonly resetAtMs: number
}

export interface RateLimitDecision<Name extends string> extends LimitStatus {
  /** Who decided: Redis for all instances, or memory for this one. */
  readonly source: Source
  /** The limit that denied; of several, the one with the longest wait. */
  readonly limitedBy: Name | undefined
  /** The subject is blocked, whatever its limits say; `retryAfterMs` is when that ends. */
  readonly blocked: boolean
  /**
   * All limits of the call; `limit`, `remaining` … above are those of the one that is nearest to its end.
   * Where several subjects of a call share a limit's name, the one nearest to its end is given.
   */
  readonly limits: { readonly [N in Name]?: LimitStatus }
}

/**
 * What a caller gets: all that was decided, and above it the limit that matters most. Times are told by this
 * process's clock, whichever clock decided.
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
  // Results are told by the deciding clock, whose time is that of the charge, but for what was booked.
  const bookedForMs = outcome === 'booked' ? delayMs + slackMs : 0
  const only = limitCosts[0]
  const result = results[0]
  // What most calls are.
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

/** `onOutage: 'allow' | 'deny'`: an answer that counts nothing. */
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
