export type { PoolRequest } from './adapters/pool-request.js'
export type {
  AcquireOptions,
  AssignedLease,
  DecoderPool,
  Drained,
  DrainOptions,
  EndedRequest,
  GivenRequest,
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

export type { Experiment, ExperimentInput } from './experiments/experiment.js'
export type { Assignment, Experiments, Exposure } from './experiments/experiments.js'
export type { EjectionReason } from './health/ejection.js'
export type { OutlierOptions, ProbeOptions } from './health/options.js'
export type { PreservationReason, PreservationStatus } from './health/preservation.js'
export type { HealthState, NodeEjection, NodeHealth, NodeVerdict } from './health/status.js'
export type { DecoderNode, NodeInput } from './nodes/node.js'
export type { NodeReport } from './nodes/node-report.js'
export type { PoolChange } from './nodes/node-table.js'
export type { DecoderPoolOptions } from './options.js'
