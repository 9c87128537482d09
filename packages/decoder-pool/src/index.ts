export type { Wanted } from './choose.js'
export {
  type AcquireOptions,
  createDecoderPool,
  type DecoderPool,
  type NodeLease,
  type NodeStatus,
  type Outcome,
  type PoolChange,
  type PoolEvents,
  type PoolStatus,
} from './decoder-pool.js'
export { MirrorDamagedError, NoNodeError } from './errors.js'
export type { DecoderNode, NodeInput } from './node.js'
export type { DecoderPoolOptions, ProbeOptions } from './options.js'
export type { PutResult, Registration, RegistryStore, Snapshot } from './store.js'
export { MemoryRegistryStore, type MemoryRegistryStoreOptions } from './stores/memory.js'
export { RedisRegistryStore } from './stores/redis.js'
