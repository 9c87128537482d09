export { estimateTokens } from '@evenkeel/core/kit'
export type { LimitedFetchOptions, OutgoingCall } from './adapters/fetch-options.js'
export type {
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
export type { Costs, Subject, SubjectCosts } from './costs.js'
export type { Reservation } from './decide/reservation.js'
export type { LimitStatus, RateLimitDecision } from './decide/result.js'
export { LimiterClosedError, QueueFullError, RateLimitedError, SlotLostError } from './errors.js'
export {
  type Concurrency,
  type ConcurrencyOptions,
  concurrency,
  type FixedWindow,
  type FixedWindowOptions,
  fixedWindow,
  type LeaseOptions,
  type Limit,
  type QuotaLease,
  type SlidingWindow,
  slidingWindow,
  type TokenBucket,
  type TokenBucketOptions,
  tokenBucket,
  type UnitOptions,
} from './limits.js'
export type { OutagePolicy, RateLimiterOptions } from './options.js'
export type { ProviderCount, ProviderHeaders, ProviderLimits } from './provider/headers.js'
export { createRateLimiter } from './rate-limiter.js'
export type { SubjectUsage, Totals } from './usage/counters.js'
