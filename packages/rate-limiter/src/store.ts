/** For authors of stores and operators of limiters: the port, its types, both implementations, the view of Redis. */
export type { Charge, LimitResult } from './algorithms/meter.js'
export { type LimiterView, readLimiter, readLimiters } from './operator-view.js'
export type { Share } from './outage/share.js'
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
