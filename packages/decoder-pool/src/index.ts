export { type StrategyName, strategyNames } from './choosing/strategy.js'
export type { Enrolled, Wanted } from './choosing/wanted.js'
export {
  type AcquireOptions,
  type AssignedLease,
  createDecoderPool,
  type DecoderPool,
  type Drained,
  type DrainOptions,
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
export type { EjectionReason } from './health/ejection.js'
export { MemoryHealthStore, type MemoryHealthStoreOptions } from './health/memory-store.js'
export type { OutlierOptions, ProbeOptions } from './health/options.js'
export type { PreservationReason, PreservationStatus } from './health/preservation.js'
export { RedisHealthStore, type RedisHealthStoreOptions } from './health/redis-store.js'
export type { HealthState, NodeEjection, NodeHealth, NodeVerdict } from './health/status.js'
export type {
  HealthStore,
  HealthWord,
  OwnVerdict,
  ProbingCoordinator,
  SharedVerdicts,
  Verdict,
} from './health/store.js'
export type { PoolChange } from './members.js'
export type { DecoderNode, NodeInput } from './node.js'
export type { DecoderPoolOptions } from './options.js'
export { type PromptBlockOptions, promptBlocks } from './prompt-blocks.js'
export type { NodeReport } from './report.js'
export { PushBackError, type RunOptions } from './run.js'
export { MemorySlotStore, type MemorySlotStoreOptions } from './slots/memory-store.js'
export { RedisSlotStore, type RedisSlotStoreOptions } from './slots/redis-store.js'
export type {
  Attendance,
  Batch,
  BatchResult,
  Coordinator,
  Gauges,
  SlotRequest,
  SlotStore,
} from './slots/store.js'
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
