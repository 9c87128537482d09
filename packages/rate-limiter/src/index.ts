export type { Share } from './algorithms/share.js'
export type { Verdict } from './algorithms/verdict.js'
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
export type {
  Cell,
  Change,
  Decision,
  Demand,
  Held,
  LimitStore,
  Reading,
  Settlement,
  Terms,
} from './store.js'
export { MemoryLimitStore, type MemoryLimitStoreOptions } from './stores/memory.js'
export { RedisLimitStore, type RedisLimitStoreOptions } from './stores/redis.js'
