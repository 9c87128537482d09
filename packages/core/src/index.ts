export type { Argument, MessageHandler, Reply } from './clients/port.js'
export { connect } from './connect.js'
export type { Connection } from './connection/connection.js'
export type { ConnectionEvents } from './connection/events.js'
export type { CommandOptions } from './connection/executor.js'
export type { SubscribeOptions, Subscription } from './connection/pub-sub.js'

export { defineScript, type Script, type ScriptDefinition } from './connection/scripts.js'
export type { ConnectionState, Durability, FailoverState } from './connection/state.js'
export type { TransactionOptions } from './connection/transaction.js'
export {
  CommandTimeoutError,
  type ErrorCode,
  EvenkeelError,
  InvalidInputError,
  InvalidOptionError,
  ReplyError,
  TransactionError,
  UnavailableError,
} from './errors.js'
export {
  type Answer,
  type Failover,
  type FailoverHost,
  type FailoverOptions,
  failover,
  type RecoverContext,
  type Source,
} from './failover/failover.js'
export type { Alert, AlertName, AlertThresholds } from './health/alerts.js'
export type { HealthReport, PairHealth, ServerHealth } from './health/report.js'
export { createHealthHandler, type HealthHandlerOptions } from './http/health-handler.js'
export { createManagementHandler, type ManagementHandlerOptions } from './http/management-handler.js'
export { toNodeHandler } from './http/node.js'
export {
  type Codec,
  createKeyValueStore,
  type KeyValueStats,
  type KeyValueStore,
  type KeyValueStoreOptions,
} from './key-value/key-value-store.js'
export { MemoryKeyValueStore, type MemoryKeyValueStoreOptions } from './key-value/memory-store.js'
export type {
  Expected,
  KeyValuePort,
  SetOptions,
  SetResult,
  Versioned,
} from './key-value/port.js'
export { RedisKeyValueStore } from './key-value/redis-store.js'
export { type Clock, ManualClock } from './kit/clock.js'
export type { Duration } from './kit/duration.js'
export type { Logger } from './kit/logger.js'
export type { Lock } from './lock/held-lock.js'
export { lock } from './lock/lock.js'
export type { LockOptions } from './lock/options.js'
export type { AlertOptions, BreakerOptions, ConnectOptions, NodeAddress, Password } from './options.js'
export type { MeterOptions } from './telemetry/meter.js'
export type { TelemetryOptions } from './telemetry/options.js'
