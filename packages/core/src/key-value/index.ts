export {
  type Codec,
  createKeyValueStore,
  type KeyValueStats,
  type KeyValueStore,
  type KeyValueStoreOptions,
} from './key-value-store.js'
export { MemoryKeyValueStore, type MemoryKeyValueStoreOptions } from './memory-store.js'
export type { Expected, KeyValuePort, SetOptions, SetResult, Versioned } from './port.js'
export { RedisKeyValueStore } from './redis-store.js'
