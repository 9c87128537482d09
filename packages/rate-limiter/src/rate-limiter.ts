import {
  type Duration,
  durationMs,
  type Failover,
  InvalidInputError,
  type Source,
  wholeNumber,
} from '@evenkeel/core'
import { CostReader, type Costs, type Subject } from './costs.js'
import { Decider, type SourcedDecision } from './decide/decider.js'
import { WaitQueue } from './decide/queue.js'
import { asReservation, newReservationId, OpenReservation, type Reservation } from './decide/reservation.js'
import { type LimitStatus, type RateLimitDecision, toRateLimitDecision } from './decide/result.js'
import { SlotRenewal } from './decide/slot-renewal.js'
import type { Limit } from './limits.js'
import { type RateLimiterOptions, type ResolvedOptions, resolveOptions } from './options.js'
import { type ProviderHeaders, type ProviderLimits, readProviderHeaders } from './provider/headers.js'
import type { Decision, LimitCost, LimitStore } from './stores/port.js'
import { type SubjectUsage, type Totals, UsageCounters } from './usage/counters.js'
import { Metrics } from './usage/metrics.js'

export interface CheckOptions {
  /** `'low'` leaves a part of each limit to the others (`lowPriorityPart`). @default 'normal' */
  readonly priority?: 'normal' | 'low' | undefined
}

export interface WaitOptions extends CheckOptions {
  /** How long to wait at the most; what can't be admitted by then is an error at once. @default '30s' */
  readonly timeout?: Duration | undefined
  /** Gives up waiting, and gives back what was booked. */
  readonly signal?: AbortSignal | undefined
}

export interface RunOptions<Name extends string, Result> extends WaitOptions {
  /** What the call cost in the end. @default what was reserved */
  readonly actual?: ((result: Result) => Costs<Name>) | undefined
}

export interface LearnOptions {
  /** The status of the answer: a `retry-after` blocks the subject when it is 429, 503 or 529, or not given. */
  readonly status?: number | undefined
}

/** What one subject has used. */
export interface SubjectStats<Name extends string> extends SubjectUsage {
  readonly limits: { readonly [N in Name]: LimitStatus & { readonly used: number } }
  readonly blocked: boolean
  readonly source: Source
}

export interface Usage extends Totals {
  /** Calls of this process that wait at the moment. */
  readonly waiting: number
  /** Instances that share the limits, as last seen. */
  readonly instances: number
  /** Of the 1,000 subjects that were seen last, those with the most calls. */
  readonly top: readonly SubjectUsage[]
}

/** A limit as middleware tells of it. */
export interface Policy {
  readonly kind: Limit['kind']
  readonly limit: number
  readonly unit: string
  /** The time in which `limit` units may pass; none for a concurrency. */
  readonly windowMs: number | undefined
}

export interface RateLimiter<Name extends string> extends AsyncDisposable {
  /**
   * Charges the costs to the subject's limits, all or none, and says whether they were admitted. Without
   * costs: one unit of each limit (of a `concurrency` it only looks whether a slot is free). A denied call
   * charges nothing. Several subjects, `[{ subject, requests: 1 }, …]`, are one decision too. One round trip,
   * shared by all calls of one turn of the event loop; none for a cost that was denied a moment ago, and
   * none while leased quota lasts. In a Cluster one for each subject, one after the other, with those given
   * back that came before a denial.
   * @throws InvalidInputError before anything is sent: an unknown limit, a cost that is no whole number,
   * or above its limit, since it could never be admitted.
   */
  check(subject: Subject<Name>, costs?: Costs<Name>, options?: CheckOptions): Promise<RateLimitDecision<Name>>
  /** What {@link check} would say, without charging. One round trip. */
  peek(subject: Subject<Name>, costs?: Costs<Name>): Promise<RateLimitDecision<Name>>
  /**
   * As {@link check}, for a call whose cost is known only afterwards, or that holds a slot of a
   * `concurrency`. Settle or cancel it; what is neither stays charged. One round trip.
   */
  reserve(subject: Subject<Name>, costs?: Costs<Name>, options?: CheckOptions): Promise<Reservation<Name>>
  /**
   * Resolves when the call is admitted: first come, first served, across all instances. One round trip and
   * one timer, no polling: a time is booked, and a direct check can't overtake it. The timer keeps the
   * process alive.
   * @throws RateLimitedError, at once, when it would take longer than `timeout`; QueueFullError; the signal's
   * reason. Nothing is charged then.
   */
  wait(subject: Subject<Name>, costs?: Costs<Name>, options?: WaitOptions): Promise<RateLimitDecision<Name>>
  /** {@link wait} and {@link reserve} in one: resolves with the reservation when it is admitted. */
  acquire(subject: Subject<Name>, costs?: Costs<Name>, options?: WaitOptions): Promise<Reservation<Name>>
  /**
   * Waits, reserves, calls, settles, and gives slots back; a call that throws is not charged. `call` gets a
   * signal that aborts with the caller's, and when a slot is lost.
   * @throws as {@link wait}, and what `call` throws
   */
  run<Result>(
    subject: Subject<Name>,
    costs: Costs<Name> | undefined,
    call: (signal: AbortSignal) => Promise<Result> | Result,
    options?: RunOptions<Name, Result>,
  ): Promise<Result>
  /**
   * Takes in what a provider's answer says of its own limits, for all instances: limits of that unit have
   * no more left than the provider says until its reset, and `retry-after` blocks the subject. One round trip
   * at the most.
   */
  learn(subject: string, headers: ProviderHeaders, options?: LearnOptions): Promise<ProviderLimits>
  /** Denies everything to the subject for a time; 0 ends it. One round trip. */
  block(subject: string, duration: Duration): Promise<void>
  /** Forgets what was charged to the subject, and its block. One round trip. */
  reset(subject: string): Promise<void>
  /** What the subject has used, and how often it was admitted and denied. Three round trips at the most. */
  stats(subject: string): Promise<SubjectStats<Name>>
  /** Counts of all instances together. Two round trips. */
  usage(options?: { readonly top?: number }): Promise<Usage>
  readonly policies: { readonly [N in Name]: Policy }
  /** Whether decisions come from Redis at the moment. */
  readonly state: Failover<LimitStore>['state']
  /** Gives back leased quota and ends what the limiter began; the connection stays open. */
  close(): Promise<void>
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

const defaultTimeout = '30s'
const statusesThatBlock = [429, 503, 529]

class Limiter<Name extends string> implements RateLimiter<Name> {
  readonly policies: { readonly [N in Name]: Policy }
  readonly #options: ResolvedOptions
  readonly #limitCosts: CostReader
  readonly #keeper: SlotRenewal
  readonly #decider: Decider
  readonly #waiting: WaitQueue
  readonly #usage: UsageCounters | undefined
  readonly #metrics: Metrics | undefined

  constructor(options: ResolvedOptions) {
    const { names, limits, clock, maxQueue } = options
    this.#options = options
    this.#limitCosts = new CostReader(names, limits)
    this.#keeper = new SlotRenewal((slots) => this.#decider.renew(slots))
    this.#decider = new Decider(options, () => this.#keeper.held)
    this.#waiting = new WaitQueue(this.#decider, clock, maxQueue)
    this.#usage = options.stats ? new UsageCounters(options) : undefined
    this.#metrics =
      options.telemetry === false
        ? undefined
        : new Metrics(options.name, options.telemetry, {
            waiting: () => this.#waiting.count,
            instances: () => this.#decider.instances,
          })
    this.policies = Object.fromEntries(
      limits.map((limit, index) => [names[index], policyOf(limit, names[index] ?? '')]),
    ) as { readonly [N in Name]: Policy }
  }

  get state(): Failover<LimitStore>['state'] {
    return this.#decider.state
  }

  check(
    subject: Subject<Name>,
    costs?: Costs<Name>,
    options?: CheckOptions,
  ): Promise<RateLimitDecision<Name>> {
    // One promise, and no more: this is called for every request that a service gets.
    return new Promise((resolve, failed) => {
      const perMille = this.#perMille(options)
      const limitCosts = this.#limitCosts.read(subject, costs, 'judge', perMille)
      this.#decider.ask({
        limitCosts,
        options: perMille === 1_000 ? undefined : { perMille },
        done: (decision, source) => resolve(this.#answer(limitCosts, decision, source)),
        failed,
      })
    })
  }

  async peek(subject: Subject<Name>, costs?: Costs<Name>): Promise<RateLimitDecision<Name>> {
    const limitCosts = this.#limitCosts.read(subject, costs, 'take')
    const { value, source } = await this.#decider.decide(limitCosts, { mode: 'peek' })
    return toRateLimitDecision(limitCosts, value, source)
  }

  async reserve(
    subject: Subject<Name>,
    costs?: Costs<Name>,
    options?: CheckOptions,
  ): Promise<Reservation<Name>> {
    const perMille = this.#perMille(options)
    const limitCosts = this.#limitCosts.read(subject, costs, 'take', perMille)
    const id = newReservationId()
    const decided = await this.#decider.decide(limitCosts, {
      id,
      openMs: this.#options.reservationMs,
      perMille,
    })
    const decision = this.#answer(limitCosts, decided.value, decided.source)
    const reserved = decision.allowed
      ? new OpenReservation(this.#decider, this.#keeper, { id, limitCosts, decided })
      : undefined
    return asReservation(decision, reserved)
  }

  async wait(
    subject: Subject<Name>,
    costs?: Costs<Name>,
    options: WaitOptions = {},
  ): Promise<RateLimitDecision<Name>> {
    const perMille = this.#perMille(options)
    const limitCosts = this.#limitCosts.read(subject, costs, 'leave', perMille)
    const decided = await this.#admit(limitCosts, newReservationId(), perMille, options)
    return this.#answer(limitCosts, decided.value, decided.source)
  }

  async acquire(
    subject: Subject<Name>,
    costs?: Costs<Name>,
    options: WaitOptions = {},
  ): Promise<Reservation<Name>> {
    const perMille = this.#perMille(options)
    const limitCosts = this.#limitCosts.read(subject, costs, 'take', perMille)
    const id = newReservationId()
    const decided = await this.#admit(limitCosts, id, perMille, options)
    const decision = this.#answer(limitCosts, decided.value, decided.source)
    return asReservation(
      decision,
      new OpenReservation(this.#decider, this.#keeper, { id, limitCosts, decided }),
    )
  }

  async run<Result>(
    subject: Subject<Name>,
    costs: Costs<Name> | undefined,
    call: (signal: AbortSignal) => Promise<Result> | Result,
    options: RunOptions<Name, Result> = {},
  ): Promise<Result> {
    const reservation = await this.acquire(subject, costs, options)
    const { signal, actual } = options
    const signals = signal === undefined ? reservation.signal : AbortSignal.any([signal, reservation.signal])
    let result: Result
    try {
      result = await call(signals)
    } catch (error) {
      await reservation.cancel()
      throw error
    }
    try {
      await reservation.settle(actual?.(result) ?? ({} as Costs<Name>))
    } finally {
      // Where the costs can't be read: the slot goes back, and the charge stays.
      await reservation[Symbol.asyncDispose]()
    }
    return result
  }

  async learn(
    subject: string,
    headers: ProviderHeaders,
    options: LearnOptions = {},
  ): Promise<ProviderLimits> {
    const limitKeys = this.#limitCosts.limitKeys(subject)
    if (typeof headers !== 'object' || headers === null)
      throw new InvalidInputError('headers', 'Headers or an object of them', headers)
    const learned = readProviderHeaders(headers, this.#options.clock.now())
    const readings = learned.counts.flatMap(({ unit, remaining, resetMs }) =>
      limitKeys
        .filter(({ limit, name }) => (limit.unit ?? name) === unit && remaining < limit.limit)
        .map((limitKey) => ({ ...limitKey, remaining, resetMs })),
    )
    const { status } = options
    const blocks = status === undefined || statusesThatBlock.includes(status)
    await Promise.all([
      readings.length > 0 ? this.#decider.learn(readings) : undefined,
      blocks && learned.retryAfterMs > 0 ? this.#decider.block(limitKeys, learned.retryAfterMs) : undefined,
    ])
    return learned
  }

  async block(subject: string, duration: Duration): Promise<void> {
    const limitKeys = this.#limitCosts.limitKeys(subject)
    await this.#decider.block(limitKeys, durationMs('duration', duration))
  }

  async reset(subject: string): Promise<void> {
    await this.#decider.reset(this.#limitCosts.limitKeys(subject))
  }

  async stats(subject: string): Promise<SubjectStats<Name>> {
    const limitCosts = this.#limitCosts.limitKeys(subject).map((limitKey) => ({ ...limitKey, cost: 0 }))
    const { value, source } = await this.#decider.decide(limitCosts, { mode: 'peek' })
    const { limits, blocked } = toRateLimitDecision<Name>(limitCosts, value, source)
    const used = Object.fromEntries(
      Object.entries<LimitStatus | undefined>(limits).map(([name, status]) => [
        name,
        { ...status, used: (status?.limit ?? 0) - (status?.remaining ?? 0) },
      ]),
    ) as SubjectStats<Name>['limits']
    const counted = await this.#usage?.subject(subject)
    return {
      ...(counted ?? { subject, allowed: 0, denied: 0, lastSeenAtMs: 0 }),
      limits: used,
      blocked,
      source,
    }
  }

  async usage({ top = 20 }: { readonly top?: number } = {}): Promise<Usage> {
    wholeNumber('top', top, 0, 1_000)
    const { totals, top: subjects } = (await this.#usage?.overview(top)) ?? nothingCounted
    return { ...totals, waiting: this.#waiting.count, instances: this.#decider.instances, top: subjects }
  }

  async close(): Promise<void> {
    this.#keeper.close()
    this.#waiting.close()
    this.#metrics?.close()
    await Promise.all([this.#usage?.close(), this.#decider.close()])
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #admit(
    limitCosts: readonly LimitCost[],
    id: string,
    perMille: number,
    options: WaitOptions,
  ): Promise<SourcedDecision> {
    const timeoutMs = durationMs('timeout', options.timeout ?? defaultTimeout)
    const openMs = this.#options.reservationMs + timeoutMs
    return this.#waiting.admit(limitCosts, { id, timeoutMs, openMs, perMille, signal: options.signal })
  }

  #answer(limitCosts: readonly LimitCost[], value: Decision, source: Source): RateLimitDecision<Name> {
    const decision = toRateLimitDecision<Name>(limitCosts, value, source)
    const { allowed, limitedBy } = decision
    this.#metrics?.count(allowed, source, limitedBy)
    if (this.#usage !== undefined) {
      for (let index = 0; index < limitCosts.length; index++) {
        const subject = limitCosts[index]?.subject
        if (subject === undefined || subject === limitCosts[index - 1]?.subject) continue
        this.#usage.record(subject, value.results[index]?.chargedAtMs ?? 0, allowed, limitedBy, source)
      }
      this.#usage.abandoned(value.abandoned)
    }
    return decision
  }

  #perMille(options: CheckOptions | undefined): number {
    const priority = options?.priority ?? 'normal'
    if (priority === 'normal') return 1_000
    if (priority !== 'low') throw new InvalidInputError('priority', "'normal' or 'low'", priority)
    return this.#options.lowPriorityPerMille
  }
}

const nothingCounted: { totals: Totals; top: readonly SubjectUsage[] } = {
  totals: { allowed: 0, denied: 0, deniedBy: {}, fallback: 0, abandoned: 0 },
  top: [],
}

function policyOf(limit: Limit, name: string): Policy {
  const windowMs =
    limit.kind === 'token-bucket'
      ? Math.ceil((limit.limit * limit.everyMs) / limit.refill)
      : limit.kind === 'concurrency'
        ? undefined
        : limit.windowMs
  return { kind: limit.kind, limit: limit.limit, unit: limit.unit ?? name, windowMs }
}
