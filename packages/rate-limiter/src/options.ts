import {
  type Clock,
  type Connection,
  type Duration,
  durationMs,
  InvalidOptionError,
  type MeterOptions,
  systemClock,
  wholeNumber,
} from '@evenkeel/core'
import { isLimit, type Limit } from './limits.js'

export type OutagePolicy = 'fallback' | 'allow' | 'deny' | 'throw'

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
  readonly onOutage?: OutagePolicy | undefined
  /**
   * How many instances share the limits in an outage, as long as they have not been seen in Redis; only
   * with `onOutage: 'fallback'`. @default 1
   */
  readonly expectedInstances?: number | undefined
  /** Subjects that this process remembers; beyond it the least recently used are forgotten. @default 10_000 */
  readonly maxSubjects?: number | undefined
  /**
   * For how long a denied cost is denied without asking Redis, at most until it could be admitted. A block,
   * reset or refund by another instance shows that much later. 0 asks every time. @default '1s'
   */
  readonly denialMemory?: Duration | undefined
  /** How long a reservation may stay open; a slot or charge given back later is not accepted. @default '10m' */
  readonly reservationTtl?: Duration | undefined
  /** Calls that may wait at once in this process, in `wait` and `run`. @default 1_000 */
  readonly maxQueue?: number | undefined
  /** The part of each limit that calls of `priority: 'low'` may use. @default 0.8 */
  readonly lowPriorityPart?: number | undefined
  /** Counts per subject, kept for the busiest 1,000 and sent once a second: no round trip a call. @default true */
  readonly stats?: boolean | undefined
  /** Metrics through OpenTelemetry, where the host has registered it or gives a provider. @default true */
  readonly telemetry?: boolean | MeterOptions | undefined
  readonly clock?: Clock | undefined
}

export interface ResolvedOptions {
  readonly redis: Connection | undefined
  readonly names: readonly string[]
  readonly limits: readonly Limit[]
  readonly name: string
  readonly onOutage: OutagePolicy
  readonly expectedInstances: number
  readonly maxSubjects: number
  readonly denialMemoryMs: number
  readonly reservationMs: number
  readonly maxQueue: number
  readonly lowPriorityPerMille: number
  readonly stats: boolean
  readonly telemetry: boolean | MeterOptions
  readonly clock: Clock
}

const nameShape = /^[\w.-]+$/
const nameRule = 'letters, digits, dots, dashes and underscores'
/** The first names the subject where one call has several; the second is no key of an object. */
const taken = ['subject', '__proto__']
const policies = ['fallback', 'allow', 'deny', 'throw'] as const

export function resolveOptions<Name extends string>(options: RateLimiterOptions<Name>): ResolvedOptions {
  const { limits, name = 'default', onOutage = 'fallback', lowPriorityPart = 0.8, stats = true } = options
  if (typeof limits !== 'object' || limits === null || Object.keys(limits).length === 0) {
    throw new InvalidOptionError('limits', 'at least one limit by name', limits)
  }
  for (const [limitName, limit] of Object.entries<Limit>(limits)) {
    if (!nameShape.test(limitName) || taken.includes(limitName))
      throw new InvalidOptionError('limits', `names of ${nameRule}, and not ${taken.join(' or ')}`, limitName)
    if (!isLimit(limit)) {
      throw new InvalidOptionError(
        `limits.${limitName}`,
        'slidingWindow(…), tokenBucket(…), fixedWindow(…) or concurrency(…)',
        limit,
      )
    }
  }
  if (typeof name !== 'string' || !nameShape.test(name)) throw new InvalidOptionError('name', nameRule, name)
  if (!policies.includes(onOutage)) {
    throw new InvalidOptionError('onOutage', `one of ${policies.join(', ')}`, onOutage)
  }
  if (options.expectedInstances !== undefined && onOutage !== 'fallback') {
    throw new InvalidOptionError('onOutage', "'fallback' where expectedInstances says who shares", onOutage)
  }
  if (!(lowPriorityPart > 0 && lowPriorityPart <= 1)) {
    throw new InvalidOptionError('lowPriorityPart', 'a number above 0, at most 1', lowPriorityPart)
  }
  if (typeof stats !== 'boolean') throw new InvalidOptionError('stats', 'true or false', stats)
  return {
    redis: options.redis,
    names: Object.keys(limits),
    limits: Object.values(limits),
    name,
    onOutage,
    expectedInstances: wholeNumber('expectedInstances', options.expectedInstances ?? 1),
    maxSubjects: wholeNumber('maxSubjects', options.maxSubjects ?? 10_000),
    denialMemoryMs: durationMs('denialMemory', options.denialMemory ?? '1s', { maxMs: 60_000 }),
    reservationMs: durationMs('reservationTtl', options.reservationTtl ?? '10m', { minMs: 1_000 }),
    maxQueue: wholeNumber('maxQueue', options.maxQueue ?? 1_000),
    lowPriorityPerMille: Math.round(lowPriorityPart * 1_000),
    stats,
    telemetry: options.telemetry ?? true,
    clock: options.clock ?? systemClock,
  }
}
