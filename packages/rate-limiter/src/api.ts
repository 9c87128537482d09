import type { Duration, FailoverState, Source } from '@evenkeel/core'
import type { LimitedFetchOptions } from './adapters/fetch-options.js'
import type { Costs, Subject } from './costs.js'
import type { Reservation } from './decide/reservation.js'
import type { LimitStatus, RateLimitDecision } from './decide/result.js'
import type { Limit } from './limits.js'
import type { ProviderHeaders, ProviderLimits } from './provider/headers.js'
import type { SubjectUsage, Totals } from './usage/counters.js'

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
export interface SubjectInspection<Name extends string> extends SubjectUsage {
  readonly limits: { readonly [N in Name]: LimitStatus & { readonly used: number } }
  readonly blocked: boolean
  readonly source: Source
}

/** Counts of this process. */
export interface LimiterStats extends Totals {
  /** Calls that wait at the moment. */
  readonly waiting: number
  /** Instances that share the limits, as last seen. */
  readonly instances: number
}

/** Counts of all instances. */
export interface SharedStats extends Totals {
  /** Calls of this process that wait at the moment. */
  readonly waiting: number
  /** Instances that share the limits, as last seen. */
  readonly instances: number
  /** Of the 1,000 subjects that were seen last, those with the most calls. */
  readonly top: readonly SubjectUsage[]
}

/** A limit as HTTP headers show it. */
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
   * @throws RateLimitedError, at once, when it would take longer than `timeout`; QueueFullError;
   * LimiterClosedError; the signal's own reason, at once when it aborts. Nothing stays charged then.
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
   * no more left than the provider says until its reset, and `retry-after` blocks the subject. Learn of a call that
   * was refused after its reservation was cancelled: what that gives back would else stand above what the provider
   * says. One round trip at the most.
   */
  learn(subject: string, headers: ProviderHeaders, options?: LearnOptions): Promise<ProviderLimits>
  /** Denies everything to the subject for a time; 0 ends it. One round trip. */
  block(subject: string, duration: Duration): Promise<void>
  /** Forgets what was charged to the subject, and its block. One round trip. */
  reset(subject: string): Promise<void>
  /** What one subject has used, and how often it was admitted and denied. Three round trips at the most. */
  inspect(subject: string): Promise<SubjectInspection<Name>>
  /** Counts of this process, since the limiter was made. No round trip. */
  stats(): LimiterStats
  /** Counts of all instances together. Two round trips. */
  sharedStats(options?: { readonly top?: number }): Promise<SharedStats>
  /**
   * A fetch that keeps to a provider's limits, for any SDK that takes one. Each call waits until the limits admit
   * its estimate, passes on what the provider's headers say, waits out a `retry-after` together with all other
   * instances, and settles what the answer says it used. Streams pass through as they come.
   * @throws RateLimitedError, QueueFullError, LimiterClosedError, and what the next fetch throws
   * @example new OpenAI({ fetch: limiter.fetch({ subject: 'openai' }) })
   */
  fetch(options?: LimitedFetchOptions<Name>): typeof globalThis.fetch
  readonly policies: { readonly [N in Name]: Policy }
  /** Whether decisions come from Redis at the moment. */
  readonly state: FailoverState
  /**
   * Ends what waits with a LimiterClosedError at once, gives back leased quota, and ends what the limiter began; the
   * connection stays open. What was reserved can still be settled. May be called again.
   */
  close(): Promise<void>
}
