/** For authors of stores: the ports, their types, and both stores of each. The contract suites are in `./testing`. */
export { MemoryExperimentStore } from './experiments/memory.js'
export type { ExperimentStore, PutOutcome } from './experiments/port.js'
export { RedisExperimentStore } from './experiments/redis.js'
export { MemoryHealthStore, type MemoryHealthStoreOptions } from './health/memory.js'
export type {
  HealthStore,
  HealthWord,
  OwnVerdict,
  ProbingCoordinator,
  SharedVerdicts,
  Verdict,
} from './health/port.js'
export { RedisHealthStore, type RedisHealthStoreOptions } from './health/redis.js'
export { MemoryRegistryStore, type MemoryRegistryStoreOptions } from './registry/memory.js'
export type {
  Position,
  PutResult,
  Registration,
  RegistryDelta,
  RegistrySnapshot,
  RegistryStore,
  RemoveResult,
} from './registry/port.js'
export { RedisRegistryStore, type RedisRegistryStoreOptions } from './registry/redis.js'
export { MemorySlotStore, type MemorySlotStoreOptions } from './slots/memory.js'
export type {
  Batch,
  BatchResult,
  Coordinator,
  HeartbeatReply,
  SlotCounts,
  SlotRequest,
  SlotStore,
} from './slots/port.js'
export { RedisSlotStore, type RedisSlotStoreOptions } from './slots/redis.js'
