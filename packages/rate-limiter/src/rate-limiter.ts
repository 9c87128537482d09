import { type Duration, type FailoverState, InvalidInputError, type Source } from '@evenkeel/core'
import { createSpans, input, linkSignals, type Spans } from '@evenkeel/core/kit'
import { createLimitedFetch } from './adapters/fetch.js'
import type { LimitedFetchOptions } from './adapters/fetch-options.js'
import type {
  CheckOptions,
  LearnOptions,
  LimiterStats,
  Policy,
  RateLimiter,
  RunOptions,
  SharedStats,
  SubjectInspection,
  WaitOptions,
} from './api.js'
import { CostReader, type Costs, type Subject } from './costs.js'
import type { SourcedDecision } from './decide/decider.js'
import { WaitQueue } from './decide/queue.js'
import { asReservation, newReservationId, OpenReservation, type Reservation } from './decide/reservation.js'
import { type LimitStatus, type RateLimitDecision, toRateLimitDecision } from './decide/result.js'
import { acquireCore, type LimiterCore } from './decide/shared-core.js'
import { LimiterClosedError } from './errors.js'
import { type Limit, windowMsOf } from './limits.js'
import { type RateLimiterOptions, type ResolvedOptions, resolveOptions } from './options.js'
import { type ProviderHeaders, type ProviderLimits, readProviderHeaders } from './provider/headers.js'
import type { Decision, LimitCost } from './stores/port.js'
import type { Totals } from './usage/counters.js'

/**
 * Creates a limiter that counts by subject and shares its limits with all instances through Redis. While Redis is away,
 * each instance enforces its share of every limit, and also counts what it admitted before the outage.
 * @throws InvalidOptionError that names the option
 * @example
 * const limiter = createRateLimiter({ redis, limits: { requests: slidingWindow(60, '1m') } })
 * const { allowed, retryAfterMs } = await limiter.check('user:42')
 */
export function createRateLimiter<Name extends string>(options: RateLimiterOptions<Name>): RateLimiter<Name> {
  return new Limiter<Name>(resolveOptions(options))
}

const defaultTimeout = '30s'
const dayMs = 86_400_000
const statusesThatBlock = [429, 503, 529]

class Limiter<Name extends string> implements RateLimiter<Name> {
  readonly policies: { readonly [N in Name]: Policy }
  readonly #options: ResolvedOptions
  readonly #costs: CostReader
  readonly #core: LimiterCore
  readonly #queue: WaitQueue
  readonly #spans: Spans | undefined
  #closing: Promise<void> | undefined

  constructor(options: ResolvedOptions) {
    const { name, names, limits, clock, maxQueue, telemetry } = options
    this.#options = options
    this.#spans = createSpans('@evenkeel/rate-limiter', telemetry)
    this.#costs = new CostReader(names, limits)
    this.#core = acquireCore(options)
    this.#queue = new WaitQueue({ name, decider: this.#core.decider, clock, maxQueue })
    this.#core.queues.add(this.#queue)
    this.policies = Object.fromEntries(
      limits.map((limit, index) => [names[index], policyOf(limit, names[index] ?? '')]),
    ) as { readonly [N in Name]: Policy }
  }

  get state(): FailoverState {
    return this.#core.decider.state
  }

  check(
    subject: Subject<Name>,
    costs?: Costs<Name>,
    options?: CheckOptions,
  ): Promise<RateLimitDecision<Name>> {
    if (this.#spans === undefined) return this.#check(subject, costs, options)
    return this.#traced('check', () => this.#check(subject, costs, options))
  }

  #check(
    subject: Subject<Name>,
    costs: Costs<Name> | undefined,
    options: CheckOptions | undefined,
  ): Promise<RateLimitDecision<Name>> {
    // Exactly one promise: this method is called for every request of a service.
    return new Promise((resolve, failed) => {
      this.#assertOpen()
      const perMille = this.#perMille(options)
      const limitCosts = this.#costs.read(subject, costs, 'judge', perMille)
      this.#core.decider.ask({
        limitCosts,
        options: perMille === 1_000 ? undefined : { perMille },
        done: (decision, source) => resolve(this.#answer(limitCosts, decision, source)),
        failed,
      })
    })
  }

  async peek(subject: Subject<Name>, costs?: Costs<Name>): Promise<RateLimitDecision<Name>> {
    return this.#peek(this.#costs.read(subject, costs, 'take'))
  }

  async reserve(
    subject: Subject<Name>,
    costs?: Costs<Name>,
    options?: CheckOptions,
  ): Promise<Reservation<Name>> {
    this.#assertOpen()
    const perMille = this.#perMille(options)
    const limitCosts = this.#costs.read(subject, costs, 'take', perMille)
    const id = newReservationId()
    const openMs = this.#options.reservationMs
    return this.#traced('reserve', async () => {
      const decided = await this.#core.decider.decide(limitCosts, { id, openMs, perMille })
      return this.#reservation(id, limitCosts, decided)
    })
  }

  async wait(
    subject: Subject<Name>,
    costs?: Costs<Name>,
    options: WaitOptions = {},
  ): Promise<RateLimitDecision<Name>> {
    const limitCosts = this.#costs.read(subject, costs, 'leave', this.#perMille(options))
    return this.#traced('wait', async () => {
      const decided = await this.#admit(limitCosts, newReservationId(), options)
      return this.#answer(limitCosts, decided.value, decided.source)
    })
  }

  async acquire(
    subject: Subject<Name>,
    costs?: Costs<Name>,
    options: WaitOptions = {},
  ): Promise<Reservation<Name>> {
    const limitCosts = this.#costs.read(subject, costs, 'take', this.#perMille(options))
    const id = newReservationId()
    return this.#traced('acquire', async () => {
      const decided = await this.#admit(limitCosts, id, options, this.#options.reservationMs)
      return this.#reservation(id, limitCosts, decided)
    })
  }

  /** A span around a decision, if spans are enabled. It does not contain the subject. */
  #traced<D extends RateLimitDecision<Name>>(operation: string, decide: () => Promise<D>): Promise<D> {
    if (this.#spans === undefined) return decide()
    const attributes = { 'evenkeel.rate_limiter.name': this.#options.name }
    return this.#spans.around(`rate_limiter ${operation}`, { attributes }, async (span) => {
      const decision = await decide()
      span?.set({
        'evenkeel.rate_limiter.allowed': decision.allowed,
        'evenkeel.rate_limiter.limited_by': decision.limitedBy,
        'evenkeel.source': decision.source,
      })
      return decision
    })
  }

  async run<Result>(
    subject: Subject<Name>,
    costs: Costs<Name> | undefined,
    call: (signal: AbortSignal) => Promise<Result> | Result,
    options: RunOptions<Name, Result> = {},
  ): Promise<Result> {
    const reservation = await this.acquire(subject, costs, options)
    const linked = linkSignals(options.signal, reservation.signal)
    let result: Result
    try {
      result = await call(linked.signal)
    } catch (error) {
      await reservation.cancel()
      throw error
    } finally {
      linked.unlink()
    }
    try {
      await reservation.settle(options.actual?.(result) ?? ({} as Costs<Name>))
    } finally {
      // If the costs can't be read, the slot is released and the charge stays.
      await reservation[Symbol.asyncDispose]()
    }
    return result
  }

  async learn(
    subject: string,
    headers: ProviderHeaders,
    options: LearnOptions = {},
  ): Promise<ProviderLimits> {
    const limitKeys = this.#costs.limitKeys(subject)
    const learned = readProviderHeaders(input.object('headers', headers), this.#options.clock.now())
    // A reading denies for at most its limit's window; `retry-after` for a day or the longest window, if longer.
    const retryAfterMs = Math.min(
      learned.retryAfterMs,
      Math.max(dayMs, ...limitKeys.map(({ limit }) => windowMsOf(limit))),
    )
    const readings = learned.counts.flatMap(({ unit, remaining, resetMs }) =>
      limitKeys
        .filter(({ limit, name }) => (limit.unit ?? name) === unit && remaining < limit.limit)
        .map((limitKey) => ({
          ...limitKey,
          remaining,
          resetMs: Math.min(resetMs, windowMsOf(limitKey.limit)),
        })),
    )
    const { status } = options
    const blocks = status === undefined || statusesThatBlock.includes(status)
    const { decider } = this.#core
    await Promise.all([
      readings.length > 0 ? decider.learn(readings) : undefined,
      blocks && retryAfterMs > 0 ? decider.block(limitKeys, retryAfterMs) : undefined,
    ])
    return learned
  }

  async block(subject: string, duration: Duration): Promise<void> {
    const limitKeys = this.#costs.limitKeys(subject)
    await this.#core.decider.block(limitKeys, input.duration('duration', duration))
  }

  async reset(subject: string): Promise<void> {
    await this.#core.decider.reset(this.#costs.limitKeys(subject))
  }

  async inspect(subject: string): Promise<SubjectInspection<Name>> {
    const limitCosts = this.#costs.limitKeys(subject).map((limitKey) => ({ ...limitKey, cost: 0 }))
    const { limits, blocked, source } = await this.#peek(limitCosts)
    const used = Object.fromEntries(
      Object.entries<LimitStatus | undefined>(limits).map(([name, status]) => [
        name,
        { ...status, used: (status?.limit ?? 0) - (status?.remaining ?? 0) },
      ]),
    ) as SubjectInspection<Name>['limits']
    const counted = await this.#core.usage?.subject(subject)
    return {
      ...(counted ?? { subject, allowed: 0, denied: 0, lastSeenAtMs: 0 }),
      limits: used,
      blocked,
      source,
    }
  }

  stats(): LimiterStats {
    const { counts, decider } = this.#core
    const totals = counts.totals(this.#options.redis !== undefined)
    return { ...totals, waiting: this.#queue.count, instances: decider.instances }
  }

  async sharedStats({ top = 20 }: { readonly top?: number } = {}): Promise<SharedStats> {
    const count = input.integer('top', top, { min: 0, max: 1_000 })
    const { totals, top: subjects } = (await this.#core.usage?.overview(count)) ?? nothingCounted
    return { ...totals, waiting: this.#queue.count, instances: this.#core.decider.instances, top: subjects }
  }

  fetch(options: LimitedFetchOptions<Name> = {}): typeof globalThis.fetch {
    return createLimitedFetch(this, options)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.#queue.close()
    this.#core.queues.delete(this.#queue)
    await this.#core.release()
  }

  async #peek(limitCosts: readonly LimitCost[]): Promise<RateLimitDecision<Name>> {
    this.#assertOpen()
    const { value, source } = await this.#core.decider.decide(limitCosts, { mode: 'peek' })
    return toRateLimitDecision<Name>(limitCosts, value, source, this.#options.clock.now())
  }

  #admit(
    limitCosts: readonly LimitCost[],
    id: string,
    { timeout = defaultTimeout, signal, priority }: WaitOptions,
    reservationMs?: number,
  ): Promise<SourcedDecision> {
    this.#assertOpen()
    const timeoutMs = input.duration('timeout', timeout)
    const openMs = reservationMs === undefined ? undefined : reservationMs + timeoutMs
    return this.#queue.admit(limitCosts, {
      id,
      timeoutMs,
      openMs,
      perMille: this.#perMille({ priority }),
      signal,
    })
  }

  #reservation(id: string, limitCosts: readonly LimitCost[], decided: SourcedDecision): Reservation<Name> {
    const { decider, slots } = this.#core
    const decision = this.#answer(limitCosts, decided.value, decided.source)
    const open = decision.allowed
      ? new OpenReservation(decider, slots, { id, limitCosts, decided })
      : undefined
    return asReservation(decision, open)
  }

  #answer(limitCosts: readonly LimitCost[], value: Decision, source: Source): RateLimitDecision<Name> {
    const { usage, counts } = this.#core
    // Memory decided by the same clock a moment ago; reading it again would add a tenth to the cost of the decision.
    const decidedAtMs =
      source === 'memory' && value.outcome !== 'booked' ? value.results[0]?.chargedAtMs : undefined
    const nowMs = decidedAtMs ?? this.#options.clock.now()
    const decision = toRateLimitDecision<Name>(limitCosts, value, source, nowMs)
    const { allowed, limitedBy } = decision
    counts.count(allowed, source, limitedBy)
    counts.highestUse.record(limitCosts, value.results, nowMs)
    if (usage !== undefined) {
      for (let index = 0; index < limitCosts.length; index++) {
        const subject = limitCosts[index]?.subject
        if (subject === undefined || subject === limitCosts[index - 1]?.subject) continue
        usage.record(subject, nowMs, allowed, limitedBy, source)
      }
    }
    if (value.abandoned > 0) {
      counts.countAbandoned(value.abandoned)
      usage?.abandoned(value.abandoned)
    }
    return decision
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw new LimiterClosedError(this.#options.name)
  }

  #perMille(options: CheckOptions | undefined): number {
    const priority = options?.priority ?? 'normal'
    if (priority === 'normal') return 1_000
    if (priority !== 'low') throw new InvalidInputError('priority', "'normal' or 'low'", priority)
    return this.#options.lowPriorityPerMille
  }
}

const nothingCounted: { totals: Totals; top: SharedStats['top'] } = {
  totals: { allowed: 0, denied: 0, deniedBy: {}, fallback: 0, abandoned: 0 },
  top: [],
}

function policyOf(limit: Limit, name: string): Policy {
  const windowMs = limit.kind === 'concurrency' ? undefined : windowMsOf(limit)
  return { kind: limit.kind, limit: limit.limit, unit: limit.unit ?? name, windowMs }
}
