import type { Duration, FailoverState, Source } from '@evenkeel/core'
import type { LimitedFetchOptions } from './adapters/fetch-options.js'
import type { Costs, Subject } from './costs.js'
import type { Reservation } from './decide/reservation.js'
import type { LimitStatus, RateLimitDecision } from './decide/result.js'
import type { Limit } from './limits.js'
import type { ProviderHeaders, ProviderLimits } from './provider/headers.js'
import type { SubjectUsage, Totals } from './usage/counters.js'

export interface CheckOptions {
  /** `'low'` reserves a part of each limit for other calls (see `lowPriorityPart`). @default 'normal' */
  readonly priority?: 'normal' | 'low' | undefined
}

export interface WaitOptions extends CheckOptions {
  /** Longest wait. A call that can't be admitted within this time rejects at once. @default '30s' */
  readonly timeout?: Duration | undefined
  /** Ends the wait and refunds what was booked. */
  readonly signal?: AbortSignal | undefined
}

export interface RunOptions<Name extends string, Result> extends WaitOptions {
  /** The actual costs of the call, computed from its result. @default what was reserved */
  readonly actual?: ((result: Result) => Costs<Name>) | undefined
}

export interface LearnOptions {
  /** HTTP status of the answer. `retry-after` blocks the subject if the status is 429, 503, 529 or not given. */
  readonly status?: number | undefined
}

/** What one subject has used of its limits. */
export interface SubjectInspection<Name extends string> extends SubjectUsage {
  readonly limits: { readonly [N in Name]: LimitStatus & { readonly used: number } }
  readonly blocked: boolean
  readonly source: Source
}

/** Counts of this process since the limiter was created. */
export interface LimiterStats extends Totals {
  /** Number of calls that wait now. */
  readonly waiting: number
  /** Number of instances that share the limits, as last seen. */
  readonly instances: number
}

/** Counts of all instances. */
export interface SharedStats extends Totals {
  /** Number of calls in this process that wait now. */
  readonly waiting: number
  /** Number of instances that share the limits, as last seen. */
  readonly instances: number
  /** The subjects with the most calls, among the 1,000 that were seen last. */
  readonly top: readonly SubjectUsage[]
}

/** A limit, as HTTP headers show it. */
export interface Policy {
  readonly kind: Limit['kind']
  readonly limit: number
  readonly unit: string
  /** Milliseconds in which `limit` units may pass; `undefined` for a `concurrency`. */
  readonly windowMs: number | undefined
}

export interface RateLimiter<Name extends string> extends AsyncDisposable {
  /**
   * Charges the costs to the subject's limits, either all of them or none, and resolves with whether the call is
   * admitted. Without costs, it charges one unit of each limit; for a `concurrency` it only checks whether a slot is
   * free. A denied call charges nothing. Costs of several subjects, `[{ subject, requests: 1 }, …]`, are also one
   * decision. One round trip, shared by all calls in the same turn of the event loop; none for a cost that was denied
   * a moment ago (`denialMemory`) or while leased quota lasts. In a Cluster, several subjects take one round trip each,
   * one after the other; if one is denied, the charges before it are refunded.
   * @throws InvalidInputError before anything is sent: for an unknown limit, a cost that is not a whole number, or a
   * cost above its limit, since it could never be admitted.
   */
  check(subject: Subject<Name>, costs?: Costs<Name>, options?: CheckOptions): Promise<RateLimitDecision<Name>>
  /** Resolves with what {@link check} would decide, without charging. One round trip. */
  peek(subject: Subject<Name>, costs?: Costs<Name>): Promise<RateLimitDecision<Name>>
  /**
   * As {@link check}, for a call whose cost is known only afterwards, or that holds a slot of a `concurrency`. Settle
   * or cancel the reservation; otherwise its costs stay charged. One round trip.
   */
  reserve(subject: Subject<Name>, costs?: Costs<Name>, options?: CheckOptions): Promise<Reservation<Name>>
  /**
   * Resolves when the call is admitted, in order of arrival across all instances. One round trip and one timer, no
   * polling: Redis books a time for the call, which a later `check` can't overtake. The timer keeps the process alive.
   * @throws RateLimitedError at once, if the wait would exceed `timeout`; QueueFullError; LimiterClosedError; the
   * signal's reason, as soon as it aborts. Nothing stays charged then.
   */
  wait(subject: Subject<Name>, costs?: Costs<Name>, options?: WaitOptions): Promise<RateLimitDecision<Name>>
  /** {@link wait} and {@link reserve} in one: resolves with the reservation when the call is admitted. */
  acquire(subject: Subject<Name>, costs?: Costs<Name>, options?: WaitOptions): Promise<Reservation<Name>>
  /**
   * Waits for admission, reserves, runs `call`, settles, and releases slots. If `call` throws, nothing is charged.
   * `call` receives a signal that aborts when the caller's signal aborts, or when a slot is lost.
   * @throws as {@link wait}, and what `call` throws
   */
  run<Result>(
    subject: Subject<Name>,
    costs: Costs<Name> | undefined,
    call: (signal: AbortSignal) => Promise<Result> | Result,
    options?: RunOptions<Name, Result>,
  ): Promise<Result>
  /**
   * Applies the limits that a provider reports in its answer, for all instances: limits with the same unit have no
   * more left than the provider says until its reset, and `retry-after` blocks the subject. For a call that the
   * provider refused, cancel the reservation first; otherwise the refund would be added to what the provider says is
   * left. At most one round trip.
   */
  learn(subject: string, headers: ProviderHeaders, options?: LearnOptions): Promise<ProviderLimits>
  /** Denies all calls of the subject for a time; 0 ends the block. One round trip, two if quota is leased. */
  block(subject: string, duration: Duration): Promise<void>
  /** Removes all charges and the block of the subject. One round trip. */
  reset(subject: string): Promise<void>
  /** What one subject has used, and how often it was admitted and denied. At most three round trips. */
  inspect(subject: string): Promise<SubjectInspection<Name>>
  /** Counts of this process since the limiter was created. No round trip. */
  stats(): LimiterStats
  /** Counts of all instances together, with the `top` subjects (20 by default, at most 1,000). Two round trips. */
  sharedStats(options?: { readonly top?: number }): Promise<SharedStats>
  /**
   * A fetch that respects a provider's limits, for any SDK that accepts a fetch. Each call waits until the limits admit
   * its estimated costs, applies the provider's headers, waits for a `retry-after` together with all other instances,
   * and settles the usage that the answer reports. Streams are passed on as they arrive.
   * @throws RateLimitedError, QueueFullError, LimiterClosedError, and what the next fetch throws
   * @example new OpenAI({ fetch: limiter.fetch({ subject: 'openai' }) })
   */
  fetch(options?: LimitedFetchOptions<Name>): typeof globalThis.fetch
  readonly policies: { readonly [N in Name]: Policy }
  /** Whether Redis or memory decides now. */
  readonly state: FailoverState
  /**
   * Rejects waiting calls with a LimiterClosedError at once, returns leased quota, and stops the limiter; the
   * connection stays open. Reservations can still be settled. May be called more than once.
   */
  close(): Promise<void>
}
