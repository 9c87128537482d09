export type { Charge } from './algorithms/meter.js'
export type { LimitResult } from './algorithms/meter.js'
export type { Costs, Part, Subject } from './costs.js'
export type { Reservation } from './decide/reservation.js'
export type { LimitStatus, RateLimitDecision } from './decide/result.js'
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
export type { Share } from './outage/share.js'
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
export { MemoryLimitStore, type MemoryLimitStoreOptions } from './stores/memory.js'
export type {
  Change,
  Decision,
  DecisionOptions,
  DecisionRequest,
  HeldSlot,
  LeaseRequest,
  LimitCost,
  LimitKey,
  LimitStore,
  ProviderReading,
  Settlement,
} from './stores/port.js'
export { RedisLimitStore, type RedisLimitStoreOptions } from './stores/redis.js'
export type { SubjectUsage, Totals } from './usage/counters.js'
