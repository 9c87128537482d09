export type { PoolRequest } from './adapters/pool-request.js'
export type {
  AcquireOptions,
  AssignedLease,
  DecoderPool,
  Drained,
  DrainOptions,
  NodeStatus,
  PoolEvents,
  PoolFetchOptions,
  PoolStats,
  PoolStatus,
  SharedPoolStats,
} from './api.js'
export { type PromptBlockOptions, promptBlocks } from './balancing/prompt-blocks.js'
export type { ExperimentUnit, NodeRequirements } from './balancing/requirements.js'
export { type StrategyName, strategyNames } from './balancing/strategy.js'
export { createDecoderPool } from './decoder-pool.js'
export type { NodeLease } from './dispatch/dispatcher.js'
export type { Outcome } from './dispatch/outcome.js'
export type { RunOptions } from './dispatch/run.js'
export {
  AddressRefusedError,
  MirrorDamagedError,
  NoNodeError,
  PoolClosedError,
  PushBackError,
} from './errors.js'

export type { Arm } from './experiments/assign.js'
export type { Experiment, ExperimentInput, ExperimentRecord } from './experiments/experiment.js'
export type { Assignment, Experiments, Exposure } from './experiments/experiments.js'
export { MemoryExperimentStore } from './experiments/memory.js'
export type { ExperimentStore, PutOutcome } from './experiments/port.js'
export { RedisExperimentStore } from './experiments/redis.js'
export type { EjectionReason } from './health/ejection.js'
export { MemoryHealthStore, type MemoryHealthStoreOptions } from './health/memory.js'
export type { OutlierOptions, ProbeOptions } from './health/options.js'
export type {
  HealthStore,
  HealthWord,
  OwnVerdict,
  ProbingCoordinator,
  SharedVerdicts,
  Verdict,
} from './health/port.js'
export type { PreservationReason, PreservationStatus } from './health/preservation.js'
export { RedisHealthStore, type RedisHealthStoreOptions } from './health/redis.js'
export type { HealthState, NodeEjection, NodeHealth, NodeVerdict } from './health/status.js'
export type { DecoderNode, NodeInput } from './nodes/node.js'
export type { NodeReport } from './nodes/node-report.js'
export type { PoolChange } from './nodes/node-table.js'
export type { DecoderPoolOptions } from './options.js'
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
