export type { Charge } from './algorithms/meter.js'
export type { Share } from './algorithms/share.js'
export type { Verdict } from './algorithms/verdict.js'
export type { LimitStatus, RateLimitDecision } from './decision.js'
export type { Costs, Part, Subject } from './demands.js'
export { QueueFullError, RateLimitedError, SlotLostError } from './errors.js'
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
export {
  type CheckOptions,
  createRateLimiter,
  type LearnOptions,
  type Policy,
  type RateLimiter,
  type RunOptions,
  type SubjectStats,
  type Usage,
  type WaitOptions,
} from './rate-limiter.js'
export type { Reservation } from './reservation.js'
export type {
  Cell,
  Change,
  Decision,
  DecisionRequest,
  Demand,
  Held,
  LeaseWish,
  LimitStore,
  Reading,
  Settlement,
  Terms,
} from './store.js'
export { MemoryLimitStore, type MemoryLimitStoreOptions } from './stores/memory.js'
export { RedisLimitStore, type RedisLimitStoreOptions } from './stores/redis.js'
export type { SubjectUsage, Totals } from './usage/usage-book.js'
