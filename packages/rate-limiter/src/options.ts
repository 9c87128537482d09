import {
  type Clock,
  type Connection,
  type Duration,
  durationMs,
  InvalidOptionError,
  systemClock,
  wholeNumber,
} from '@evenkeel/core'

/** At most `limit` units in any rolling window of `windowMs`. */
export interface SlidingWindow {
  readonly kind: 'sliding-window'
  readonly limit: number
  readonly windowMs: number
}

/** A bucket of `capacity` units that refills by `refill` every `everyMs`. */
export interface TokenBucket {
  readonly kind: 'token-bucket'
  readonly limit: number
  readonly refill: number
  readonly everyMs: number
}

export type Limit = SlidingWindow | TokenBucket

/** Products of a limit's numbers must stay exact, in JavaScript as in Lua. */
const exact = Number.MAX_SAFE_INTEGER

/**
 * At most `limit` units in any rolling window: the exact log up to 128 units, slots of a sixtieth of the
 * window above (a unit is then held up to a slot longer, never shorter).
 */
export function slidingWindow(limit: number, per: Duration): SlidingWindow {
  const windowMs = durationMs('per', per, { minMs: 1 })
  return { kind: 'sliding-window', limit: wholeNumber('limit', limit), windowMs: whole('per', windowMs) }
}

/** Bursts up to `capacity`, then `refill` units every `every`, evenly. */
export function tokenBucket(options: { capacity: number; refill: number; every: Duration }): TokenBucket {
  const everyMs = whole('every', durationMs('every', options.every, { minMs: 1 }))
  const limit = wholeNumber('capacity', options.capacity)
  const refill = wholeNumber('refill', options.refill)
  if (2 * limit * everyMs > exact || refill * everyMs > exact) {
    throw new InvalidOptionError('capacity', `capacity times every (in ms) under ${exact / 2}`, limit)
  }
  return { kind: 'token-bucket', limit, refill, everyMs }
}

export interface RateLimiterOptions<Name extends string> {
  /** Where the counts live; left out, they live in this process alone. */
  readonly redis?: Connection | undefined
  /** Limits by name (letters, digits, dots, dashes, underscores). A call without costs charges one unit of each. */
  readonly limits: { readonly [N in Name]: Limit }
  /** Keeps apart limiters that share a Redis. @default 'default' */
  readonly name?: string | undefined
  /**
   * What decides while Redis is away: this instance's share of each limit (`'fallback'`), everybody
   * (`'allow'`), nobody (`'deny'`), or an error (`'throw'`). @default 'fallback'
   */
  readonly onOutage?: 'fallback' | 'allow' | 'deny' | 'throw' | undefined
  /** How many instances share the limits in an outage; only with `onOutage: 'fallback'`. @default 1 */
  readonly expectedInstances?: number | undefined
  /** Subjects that this process remembers; beyond it the least recently used are forgotten. @default 10_000 */
  readonly maxSubjects?: number | undefined
  readonly clock?: Clock | undefined
}

export interface ResolvedOptions {
  readonly redis: Connection | undefined
  readonly names: readonly string[]
  readonly limits: readonly Limit[]
  readonly name: string
  readonly onOutage: 'fallback' | 'allow' | 'deny' | 'throw'
  readonly expectedInstances: number
  readonly maxSubjects: number
  readonly clock: Clock
}

const nameShape = /^[\w.-]+$/
const nameRule = 'letters, digits, dots, dashes and underscores'

const policies = ['fallback', 'allow', 'deny', 'throw'] as const

export function resolveOptions<Name extends string>(options: RateLimiterOptions<Name>): ResolvedOptions {
  const { limits, name = 'default', onOutage = 'fallback' } = options
  if (typeof limits !== 'object' || limits === null || Object.keys(limits).length === 0) {
    throw new InvalidOptionError('limits', 'at least one limit by name', limits)
  }
  for (const [limitName, limit] of Object.entries<Limit>(limits)) {
    if (!nameShape.test(limitName)) throw new InvalidOptionError('limits', `names of ${nameRule}`, limitName)
    if (limit?.kind !== 'sliding-window' && limit?.kind !== 'token-bucket') {
      throw new InvalidOptionError(`limits.${limitName}`, 'slidingWindow(…) or tokenBucket(…)', limit)
    }
  }
  if (typeof name !== 'string' || !nameShape.test(name)) throw new InvalidOptionError('name', nameRule, name)
  if (!policies.includes(onOutage)) {
    throw new InvalidOptionError('onOutage', `one of ${policies.join(', ')}`, onOutage)
  }
  if (options.expectedInstances !== undefined && onOutage !== 'fallback') {
    throw new InvalidOptionError('onOutage', "'fallback' where expectedInstances says who shares", onOutage)
  }
  return {
    redis: options.redis,
    names: Object.keys(limits),
    limits: Object.values(limits),
    name,
    onOutage,
    expectedInstances: wholeNumber('expectedInstances', options.expectedInstances ?? 1),
    maxSubjects: wholeNumber('maxSubjects', options.maxSubjects ?? 10_000),
    clock: options.clock ?? systemClock,
  }
}

function whole(field: string, ms: number): number {
  if (!Number.isInteger(ms)) throw new InvalidOptionError(field, 'whole milliseconds', ms)
  return ms
}
