export type { Wanted } from './choose.js'
export {
  type AcquireOptions,
  createDecoderPool,
  type DecoderPool,
  type NodeLease,
  type NodeStatus,
  type Outcome,
  type PoolEvents,
  type PoolStatus,
} from './decoder-pool.js'
export { MirrorDamagedError, NoNodeError } from './errors.js'
export type { PoolChange } from './members.js'
export type { DecoderNode, NodeInput } from './node.js'
export type { DecoderPoolOptions, ProbeOptions } from './options.js'
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
