import { type Connection, type Duration, InvalidOptionError, type TelemetryOptions } from '@evenkeel/core'
import { type Clock, option, resolveTelemetry, systemClock } from '@evenkeel/core/kit'
import { limitList } from './limit-list.js'
import { checkLimit, type Limit } from './limits.js'

export type OutagePolicy = 'fallback' | 'allow' | 'deny' | 'throw'

export interface RateLimiterOptions<Name extends string> {
  /** Where the counts live; left out, they live in this process alone. */
  readonly redis?: Connection | undefined
  /** Limits by name (letters, digits, dots, dashes, underscores). A call without costs charges one unit of each. */
  readonly limits: { readonly [N in Name]: Limit }
  /**
   * Limiters of one name in one Redis share their counts: a process is one instance, however often it makes the
   * limiter. Limiters with other limits need other names. @default 'default'
   */
  readonly name?: string | undefined
  /**
   * What decides while Redis is away: this instance's share of each limit (`'fallback'`), everybody
   * (`'allow'`), no call (`'deny'`), or an error (`'throw'`). @default 'fallback'
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
  /** Counts per subject, kept for the 1,000 seen last and sent once a second: no round trip a call. @default true */
  readonly stats?: boolean | undefined
  /** Metrics, and with `spans` a span a call, through OpenTelemetry, as the host registers or gives it. @default true */
  readonly telemetry?: boolean | TelemetryOptions | undefined
  readonly clock?: Clock | undefined
}

export interface ResolvedOptions {
  readonly redis: Connection | undefined
  readonly names: readonly string[]
  readonly limits: readonly Limit[]
  /** What the limits are, as {@link limitList} writes it. */
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
/** The first names the subject where one call has several; the second is no key of an object. */
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
