export { type StrategyName, strategyNames } from './choosing/strategy.js'
export type { Wanted } from './choosing/wanted.js'
export {
  type AcquireOptions,
  createDecoderPool,
  type DecoderPool,
  type NodeStatus,
  type PoolEvents,
  type PoolStatus,
} from './decoder-pool.js'
export type { NodeLease, Outcome } from './dispatch.js'
export { MirrorDamagedError, NoNodeError } from './errors.js'
export type { PoolChange } from './members.js'
export type { DecoderNode, NodeInput } from './node.js'
export type { DecoderPoolOptions, ProbeOptions } from './options.js'
export type { NodeReport } from './report.js'
export { PushBackError, type RunOptions } from './run.js'
export type {
  Changes,
  News,
  Position,
  PutResult,
  Registration,
  RegistryStore,
  RemoveResult,
} from './store.js'
export { MemoryRegistryStore, type MemoryRegistryStoreOptions } from './stores/memory.js'
export { RedisRegistryStore, type RedisRegistryStoreOptions } from './stores/redis.js'
