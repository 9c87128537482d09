import type { Connection } from '@evenkeel/core'
import { createKeyspace, escapeGlob, integerOf, listOf, textOf } from '@evenkeel/core/kit'
import type { SubjectInspection } from './api.js'
import { type LimitStatus, toRateLimitDecision } from './decide/result.js'
import { checkLimit, type Limit } from './limits.js'
import type { LimitKey } from './stores/port.js'
import { RedisLimitStore } from './stores/redis.js'
import { type SubjectUsage, type Totals, UsageCounters } from './usage/counters.js'

/**
 * A view of a limiter in Redis, for its operators. It is not an instance, so it takes no share of the limits, and its
 * reads are not charged.
 */
export interface LimiterView {
  readonly name: string
  /** The limits as the instance that announced itself last has them. */
  readonly limits: Readonly<Record<string, Limit>>
  /** Number of instances that announced themselves within the last seconds. */
  readonly instances: number
  /** Counts of all instances, and the subjects with the most calls. One round trip. */
  overview(top: number): Promise<Totals & { readonly top: readonly SubjectUsage[] }>
  /** What a subject has used. One round trip. */
  inspect(subject: string): Promise<SubjectInspection<string>>
  /**
   * Removes the charges and the block of a subject. Instances that denied the subject a moment ago notice within their
   * `denialMemory`, 1 second by default. One round trip.
   */
  reset(subject: string): Promise<void>
}

/**
 * Finds the limiters that have announced themselves in a Redis within the last day, in the order of their names. Walks
 * all keys without blocking the server. @throws as `Connection.scan`
 */
export async function readLimiters(redis: Connection): Promise<readonly LimiterView[]> {
  const prefix = `${redis.namespace}rate-limiter:`
  const suffix = ':{instances}:epoch'
  const names = new Set<string>()
  for await (const keys of redis.scan(`${escapeGlob(prefix)}*${suffix}`)) {
    for (const key of keys) names.add(key.slice(prefix.length, -suffix.length))
  }
  const views = await Promise.all([...names].sort().map((name) => readLimiter(redis, name)))
  return views.filter((view) => view !== undefined)
}

/** The limiter of this name; `undefined` if none has announced itself within the last day. Two round trips. */
export async function readLimiter(redis: Connection, name: string): Promise<LimiterView | undefined> {
  const keys = createKeyspace(redis.namespace, `rate-limiter:${name}`)
  const epoch = keys.key('instances', 'epoch')
  const members = keys.key('instances', 'members')
  const [list, time] = await Promise.all([
    redis.command(['HGET', epoch, 'limits'], { key: epoch, readOnly: true }),
    redis.command(['TIME']),
  ])
  const announced = textOf('HGET', list)
  if (announced === undefined) return undefined
  const nowMs = integerOf('TIME', listOf('TIME', time)[0]) * 1_000
  const instances = await redis.command(['ZCOUNT', members, String(nowMs), '+inf'], {
    key: members,
    readOnly: true,
  })
  const limits = limitsOf(announced)
  return limits && new View(redis, name, limits, integerOf('ZCOUNT', instances))
}

/** Reads what {@link limitList} wrote; `undefined` if another version of the package wrote it in another form. */
function limitsOf(list: string): Readonly<Record<string, Limit>> | undefined {
  try {
    const limits = (JSON.parse(list) as readonly (Limit & { readonly name: string })[]).map(
      ({ name, ...limit }) => [name, limit as Limit] as const,
    )
    for (const [name, limit] of limits) checkLimit(`limits.${name}`, limit)
    return Object.fromEntries(limits)
  } catch {
    return undefined
  }
}

class View implements LimiterView {
  readonly #store: RedisLimitStore
  readonly #usage: UsageCounters

  constructor(
    redis: Connection,
    readonly name: string,
    readonly limits: Readonly<Record<string, Limit>>,
    readonly instances: number,
  ) {
    this.#store = new RedisLimitStore(redis, { name })
    this.#usage = new UsageCounters({ redis, name, maxSubjects: 1 })
  }

  async overview(top: number): Promise<Totals & { readonly top: readonly SubjectUsage[] }> {
    const { totals, top: busiest } = await this.#usage.overview(top)
    return { ...totals, top: busiest }
  }

  async inspect(subject: string): Promise<SubjectInspection<string>> {
    const limitCosts = this.#keysOf(subject).map((key) => ({ ...key, cost: 0 }))
    const [[decision], counted] = await Promise.all([
      this.#store.decide([{ limitCosts, options: { mode: 'peek' } }]),
      this.#usage.subject(subject),
    ])
    if (decision === undefined) throw new Error(`the store decided nothing about ${this.name}`)
    const decided = toRateLimitDecision<string>(limitCosts, decision, 'redis', Date.now())
    const limits = Object.entries<LimitStatus | undefined>(decided.limits).flatMap(([name, status]) =>
      status === undefined ? [] : [[name, { ...status, used: status.limit - status.remaining }] as const],
    )
    return { ...counted, limits: Object.fromEntries(limits), blocked: decided.blocked, source: 'redis' }
  }

  reset(subject: string): Promise<void> {
    return this.#store.reset(this.#keysOf(subject))
  }

  #keysOf(subject: string): readonly LimitKey[] {
    return Object.entries(this.limits).map(([name, limit]) => ({ subject, name, limit }))
  }
}
