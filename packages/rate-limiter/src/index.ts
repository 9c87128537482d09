export type { Share } from './algorithms/share.js'
export type { Verdict } from './algorithms/verdict.js'
export {
  type Limit,
  type RateLimiterOptions,
  type SlidingWindow,
  slidingWindow,
  type TokenBucket,
  tokenBucket,
} from './options.js'
export {
  type Costs,
  createRateLimiter,
  type LimitStatus,
  type RateLimitDecision,
  type RateLimiter,
} from './rate-limiter.js'
export type { Decision, Demand, LimitStore } from './store.js'
export { MemoryLimitStore, type MemoryLimitStoreOptions } from './stores/memory.js'
export { RedisLimitStore, type RedisLimitStoreOptions } from './stores/redis.js'
