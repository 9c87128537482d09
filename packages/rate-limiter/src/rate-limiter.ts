import {
  type Answer,
  checkSubject,
  type Failover,
  failover,
  InvalidInputError,
  type Source,
  UnavailableError,
} from '@evenkeel/core'
import { type RateLimiterOptions, type ResolvedOptions, resolveOptions } from './options.js'
import type { Decision, Demand, LimitStore } from './store.js'
import { MemoryLimitStore } from './stores/memory.js'
import { RedisLimitStore } from './stores/redis.js'

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
  /** All limits of the call. `limit`, `remaining` … above are those of the one that is nearest to its end. */
  readonly limits: { readonly [N in Name]?: LimitStatus }
}

export type Costs<Name extends string> = { readonly [N in Name]?: number }

export interface RateLimiter<Name extends string> {
  /**
   * Charges the costs to the subject's limits, all or none, and says whether they were admitted. Without
   * costs: one unit of each limit. A denied call charges nothing. One round trip.
   * @throws InvalidInputError before anything is sent: an unknown limit, a cost that is no whole number,
   * or above its limit, since it could never be admitted.
   */
  check(subject: string, costs?: Costs<Name>): Promise<RateLimitDecision<Name>>
  /** What {@link check} would say, without charging. One round trip. */
  peek(subject: string, costs?: Costs<Name>): Promise<RateLimitDecision<Name>>
  /** Forgets what was charged to the subject. One round trip. */
  reset(subject: string): Promise<void>
  /** Whether decisions come from Redis at the moment. */
  readonly state: Failover<LimitStore>['state']
  /** Ends what the limiter began; the connection stays open. */
  close(): void
}

/**
 * Limits by subject, shared by all instances through Redis. While Redis is away each instance enforces its
 * share of every limit, counting what it admitted before the outage too.
 * @example
 * const limiter = createRateLimiter({ redis, limits: { requests: slidingWindow(60, '1m') } })
 * const { allowed, retryAfterMs } = await limiter.check('user:42')
 */
export function createRateLimiter<Name extends string>(options: RateLimiterOptions<Name>): RateLimiter<Name> {
  return new Limiter<Name>(resolveOptions(options))
}

class Limiter<Name extends string> implements RateLimiter<Name> {
  readonly #options: ResolvedOptions
  readonly #memory: MemoryLimitStore
  readonly #stores: Failover<LimitStore>

  constructor(options: ResolvedOptions) {
    const { redis, name, onOutage, limits, maxSubjects, clock } = options
    const share = { instances: redis === undefined ? 1 : options.expectedInstances }
    this.#options = options
    this.#memory = new MemoryLimitStore({
      maxEntries: maxSubjects * limits.length,
      share: () => share,
      clock,
    })
    this.#stores = failover<LimitStore>(redis, {
      name: 'rate-limiter',
      primary: redis && new RedisLimitStore(redis, { name }),
      fallback: this.#memory,
      onOutage: onOutage === 'fallback' ? 'fallback' : 'throw',
    })
  }

  get state(): Failover<LimitStore>['state'] {
    return this.#stores.state
  }

  check(subject: string, costs?: Costs<Name>): Promise<RateLimitDecision<Name>> {
    return this.#decide(subject, costs, false)
  }

  peek(subject: string, costs?: Costs<Name>): Promise<RateLimitDecision<Name>> {
    return this.#decide(subject, costs, true)
  }

  async reset(subject: string): Promise<void> {
    const demands = this.#demands(undefined)
    checkSubject('subject', subject)
    await this.#memory.reset(subject, demands)
    await this.#stores.run((store) => store.reset(subject, demands))
  }

  close(): void {
    this.#stores.close()
  }

  async #decide(
    subject: string,
    costs: Costs<Name> | undefined,
    peek: boolean,
  ): Promise<RateLimitDecision<Name>> {
    checkSubject('subject', subject)
    const demands = this.#demands(costs)
    const { value, source } = await this.#ask(subject, demands, peek)
    if (source === 'redis' && value.allowed && !peek) this.#memory.note(subject, demands)
    return shape(demands, value, source)
  }

  async #ask(subject: string, demands: readonly Demand[], peek: boolean): Promise<Answer<Decision>> {
    const { onOutage, clock } = this.#options
    try {
      return await this.#stores.run((store) => store.decide(subject, demands, peek))
    } catch (error) {
      if (!UnavailableError.isInstance(error) || (onOutage !== 'allow' && onOutage !== 'deny')) throw error
      return { value: blanket(demands, onOutage === 'allow', clock.now()), source: 'memory' }
    }
  }

  #demands(costs: Costs<Name> | undefined): readonly Demand[] {
    const { names, limits } = this.#options
    const given: Readonly<Record<string, number | undefined>> = costs ?? {}
    for (const name of Object.keys(given)) {
      if (!names.includes(name))
        throw new InvalidInputError('costs', `limits among ${names.join(', ')}`, name)
    }
    const demands: Demand[] = []
    for (const [index, limit] of limits.entries()) {
      const name = names[index] ?? ''
      if (costs === undefined) demands.push({ name, limit, cost: 1 })
      // A limit that the call does not name is not looked at; one that it names with `undefined` is a mistake.
      else if (Object.hasOwn(given, name))
        demands.push({ name, limit, cost: checkCost(name, given[name], limit.limit) })
    }
    if (demands.length === 0) throw new InvalidInputError('costs', 'a cost for at least one limit', costs)
    return demands
  }
}

function checkCost(name: string, cost: number | undefined, limit: number): number {
  if (cost === undefined || !Number.isInteger(cost) || cost < 0)
    throw new InvalidInputError(`costs.${name}`, 'a whole number from 0', cost)
  if (cost > limit) {
    throw new InvalidInputError(
      `costs.${name}`,
      `at most the limit of ${limit}, or it could never be admitted`,
      cost,
    )
  }
  return cost
}

/** `onOutage: 'allow' | 'deny'`: an answer that counts nothing. */
function blanket(demands: readonly Demand[], allowed: boolean, now: number): Decision {
  const verdicts = demands.map(({ limit }) => ({
    allowed,
    remaining: allowed ? limit.limit : 0,
    retryAfterMs: allowed ? 0 : 1_000,
    resetAtMs: Math.floor(now) + 1_000,
  }))
  return { allowed, verdicts }
}

function shape<Name extends string>(
  demands: readonly Demand[],
  { allowed, verdicts }: Decision,
  source: Source,
): RateLimitDecision<Name> {
  const statuses = demands.map(({ name, limit }, index) => {
    const verdict = verdicts[index] ?? { allowed, remaining: 0, retryAfterMs: 0, resetAtMs: 0 }
    return { name: name as Name, status: { ...verdict, limit: limit.limit } }
  })
  const nearest = statuses.reduce((worst, one) => (isNearer(one.status, worst.status) ? one : worst))
  return {
    ...nearest.status,
    allowed,
    source,
    limitedBy: allowed ? undefined : nearest.name,
    limits: Object.fromEntries(statuses.map(({ name, status }) => [name, status])) as {
      readonly [N in Name]?: LimitStatus
    },
  }
}

function isNearer(one: LimitStatus, other: LimitStatus): boolean {
  if (one.allowed !== other.allowed) return !one.allowed
  if (!one.allowed) return one.retryAfterMs > other.retryAfterMs
  return one.remaining / one.limit < other.remaining / other.limit
}
