import type { Source } from '@evenkeel/core'
import type { LimitResult } from '../algorithms/verdict.js'
import type { Decision, LimitCost } from '../stores/port.js'

/** What one limit said. */
export interface LimitStatus {
  readonly allowed: boolean
  readonly limit: number
  /** Units left. */
  readonly remaining: number
  /** When the same cost can be admitted; 0 when it is allowed. */
  readonly retryAfterMs: number
  /** When the limit is whole again; milliseconds since 1970. */
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
   * Where several subjects of a call share a limit's name, the one nearest to its end stands for all.
   */
  readonly limits: { readonly [N in Name]?: LimitStatus }
}

/** Who asks gets all that was decided, told by the limit that matters most. */
export function toResult<Name extends string>(
  limitCosts: readonly LimitCost[],
  decision: Decision,
  source: Source,
): RateLimitDecision<Name> {
  const { results, outcome, blockedForMs } = decision
  const allowed = outcome === 'allowed' || outcome === 'booked'
  const only = limitCosts[0]
  const result = results[0]
  // What most calls are.
  if (limitCosts.length === 1 && only !== undefined && result !== undefined && blockedForMs === 0) {
    const status = statusOf(result, only.limit.limit)
    return {
      allowed,
      limit: status.limit,
      remaining: status.remaining,
      retryAfterMs: status.retryAfterMs,
      resetAtMs: status.resetAtMs,
      source,
      limitedBy: allowed ? undefined : (only.name as Name),
      blocked: false,
      limits: { [only.name]: status } as { readonly [N in Name]?: LimitStatus },
    }
  }
  return toResultOfAll(limitCosts, decision, allowed, source)
}

function toResultOfAll<Name extends string>(
  limitCosts: readonly LimitCost[],
  { results, blockedForMs }: Decision,
  allowed: boolean,
  source: Source,
): RateLimitDecision<Name> {
  const limits: Record<string, LimitStatus> = {}
  let nearest: LimitStatus | undefined
  let name = ''
  for (let index = 0; index < limitCosts.length; index++) {
    const limitCost = limitCosts[index]
    const result = results[index]
    if (limitCost === undefined || result === undefined) continue
    const status = statusOf(result, limitCost.limit.limit)
    const known = Object.hasOwn(limits, limitCost.name) ? limits[limitCost.name] : undefined
    if (known === undefined || isNearer(status, known)) limits[limitCost.name] = status
    if (nearest === undefined || isNearer(status, nearest)) {
      nearest = status
      name = limitCost.name
    }
  }
  const { limit = 0, remaining = 0, retryAfterMs = 0, resetAtMs = 0 } = nearest ?? {}
  const blocked = blockedForMs > 0
  return {
    allowed,
    limit,
    remaining,
    retryAfterMs: Math.max(retryAfterMs, blockedForMs),
    resetAtMs,
    source,
    limitedBy: allowed || blocked ? undefined : (name as Name),
    blocked,
    limits: limits as { readonly [N in Name]?: LimitStatus },
  }
}

function statusOf({ allowed, remaining, retryAfterMs, resetAtMs }: LimitResult, limit: number): LimitStatus {
  return { allowed, limit, remaining, retryAfterMs, resetAtMs }
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
