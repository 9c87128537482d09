export { type StrategyName, strategyNames } from './choosing/strategy.js'
export type { Wanted } from './choosing/wanted.js'
export {
  type AcquireOptions,
  type AssignedLease,
  createDecoderPool,
  type DecoderPool,
  type NodeStatus,
  type PoolEvents,
  type PoolStatus,
} from './decoder-pool.js'
export type { NodeLease, Outcome } from './dispatch.js'
export { MirrorDamagedError, NoNodeError } from './errors.js'
export type { Arm } from './experiments/assign.js'
export type { Experiment, ExperimentInput, ExperimentRecord } from './experiments/experiment.js'
export type { Assignment, Experiments, Exposure } from './experiments/experiments.js'
export { MemoryExperimentStore } from './experiments/memory-store.js'
export { RedisExperimentStore } from './experiments/redis-store.js'
export type { ExperimentStore, PutOutcome } from './experiments/store.js'
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
