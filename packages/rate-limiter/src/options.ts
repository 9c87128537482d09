import { type Connection, type Duration, InvalidOptionError, type TelemetryOptions } from '@evenkeel/core'
import { type Clock, option, resolveTelemetry, systemClock } from '@evenkeel/core/kit'
import { limitList } from './limit-list.js'
import { checkLimit, type Limit } from './limits.js'

export type OutagePolicy = 'fallback' | 'allow' | 'deny' | 'throw'

export interface RateLimiterOptions<Name extends string> {
  /** The connection whose Redis holds the counts. Without it, the counts stay in this process. */
  readonly redis?: Connection | undefined
  /** Limits by name (letters, digits, dots, dashes, underscores). A call without costs charges one unit of each. */
  readonly limits: { readonly [N in Name]: Limit }
  /**
   * Limiters with the same name in one Redis share their counts. A process counts as one instance, however often it
   * creates the limiter. Limiters with different limits need different names. @default 'default'
   */
  readonly name?: string | undefined
  /**
   * How calls are decided while Redis is away: by this instance's share of each limit (`'fallback'`), all admitted
   * (`'allow'`), all denied (`'deny'`), or rejected with an error (`'throw'`). @default 'fallback'
   */
  readonly onOutage?: OutagePolicy | undefined
  /**
   * Number of instances that share the limits in an outage, until they have been seen in Redis. Only with
   * `onOutage: 'fallback'`. @default 1
   */
  readonly expectedInstances?: number | undefined
  /** How many subjects this process keeps in memory; then it evicts the least recently used. @default 10_000 */
  readonly maxSubjects?: number | undefined
  /**
   * How long this process repeats a denial without asking Redis, at most until the cost could be admitted. A block,
   * reset or refund by another instance takes effect that much later. At most 1 minute; 0 always asks Redis.
   * @default '1s'
   */
  readonly denialMemory?: Duration | undefined
  /** How long a reservation may stay open, at least 1 s; settling it later has no effect. @default '10m' */
  readonly reservationTtl?: Duration | undefined
  /** How many calls in this process may wait at the same time, in `wait`, `acquire` and `run`. @default 1_000 */
  readonly maxQueue?: number | undefined
  /** The share of each limit that calls with `priority: 'low'` may use, above 0 and at most 1. @default 0.8 */
  readonly lowPriorityPart?: number | undefined
  /** Counts per subject, for the 1,000 seen last. Sent once a second, with no round trip per call. @default true */
  readonly stats?: boolean | undefined
  /** OpenTelemetry metrics, and with `spans` a span for each call, through the host's providers. @default true */
  readonly telemetry?: boolean | TelemetryOptions | undefined
  readonly clock?: Clock | undefined
}

export interface ResolvedOptions {
  readonly redis: Connection | undefined
  readonly names: readonly string[]
  readonly limits: readonly Limit[]
  /** The limits as text, as {@link limitList} writes them. */
  readonly limitList: string
  readonly name: string
  readonly onOutage: OutagePolicy
  readonly expectedInstances: number
  readonly maxSubjects: number
  readonly denialMemoryMs: number
  readonly reservationMs: number
  readonly maxQueue: number
  readonly lowPriorityPerMille: number
  readonly stats: boolean
  readonly telemetry: boolean | TelemetryOptions
  readonly clock: Clock
}

const nameShape = /^[\w.-]+$/
const nameRule = 'letters, digits, dots, dashes and underscores'
/** `subject` names the subject in costs of several subjects; `__proto__` is not a safe key of an object. */
const reservedNames = ['subject', '__proto__']
const policies = ['fallback', 'allow', 'deny', 'throw'] as const

const optionNames: Readonly<Record<keyof RateLimiterOptions<string>, true>> = {
  redis: true,
  limits: true,
  name: true,
  onOutage: true,
  expectedInstances: true,
  maxSubjects: true,
  denialMemory: true,
  reservationTtl: true,
  maxQueue: true,
  lowPriorityPart: true,
  stats: true,
  telemetry: true,
  clock: true,
}

/** @throws InvalidOptionError */
export function resolveOptions<Name extends string>(options: RateLimiterOptions<Name>): ResolvedOptions {
  option.members('', options, optionNames)
  const { name = 'default', onOutage = 'fallback', lowPriorityPart = 0.8 } = options
  if (typeof name !== 'string' || !nameShape.test(name)) throw new InvalidOptionError('name', nameRule, name)
  option.oneOf('onOutage', onOutage, policies)
  if (options.expectedInstances !== undefined && onOutage !== 'fallback')
    throw new InvalidOptionError('onOutage', "'fallback' where expectedInstances says who shares", onOutage)
  if (!(lowPriorityPart > 0 && lowPriorityPart <= 1))
    throw new InvalidOptionError('lowPriorityPart', 'a number above 0, at most 1', lowPriorityPart)
  const limits = checkLimits(options.limits)
  return {
    redis: checkRedis(options.redis),
    names: Object.keys(limits),
    limits: Object.values(limits),
    limitList: limitList(limits),
    name,
    onOutage,
    expectedInstances: option.integer('expectedInstances', options.expectedInstances ?? 1),
    maxSubjects: option.integer('maxSubjects', options.maxSubjects ?? 10_000),
    denialMemoryMs: option.duration('denialMemory', options.denialMemory ?? '1s', { maxMs: 60_000 }),
    reservationMs: option.duration('reservationTtl', options.reservationTtl ?? '10m', { minMs: 1_000 }),
    maxQueue: option.integer('maxQueue', options.maxQueue ?? 1_000),
    lowPriorityPerMille: Math.round(lowPriorityPart * 1_000),
    stats: option.flag('stats', options.stats ?? true),
    telemetry: resolveTelemetry(options.telemetry ?? true),
    clock: checkClock(options.clock ?? systemClock),
  }
}

function checkRedis(redis: Connection | undefined): Connection | undefined {
  if (redis === undefined) return undefined
  if (typeof (redis as Partial<Connection> | null)?.run !== 'function')
    throw new InvalidOptionError('redis', "a connection, awaited from connect() of '@evenkeel/core'", redis)
  return redis
}

function checkLimits(limits: Readonly<Record<string, Limit>>): Readonly<Record<string, Limit>> {
  if (typeof limits !== 'object' || limits === null || Object.keys(limits).length === 0)
    throw new InvalidOptionError('limits', 'at least one limit by name', limits)
  for (const [name, limit] of Object.entries(limits)) {
    if (!nameShape.test(name) || reservedNames.includes(name))
      throw new InvalidOptionError(
        'limits',
        `names of ${nameRule}, and not ${reservedNames.join(' or ')}`,
        name,
      )
    checkLimit(`limits.${name}`, limit)
  }
  return limits
}

function checkClock(clock: Clock): Clock {
  if (typeof clock?.now !== 'function' || typeof clock.monotonic !== 'function')
    throw new InvalidOptionError('clock', 'an object with now() and monotonic()', clock)
  return clock
}
