export { ByteBoundedLru, type ByteBoundedLruOptions } from './bounded/byte-bounded-lru.js'
export { wholeNumber } from './checks.js'
export type { Argument, MessageHandler, Reply } from './clients/port.js'
export { type Clock, ManualClock, systemClock } from './clock.js'
export { connect } from './connect.js'
export type { Connection, ConnectionEvents, ConnectionState } from './connection.js'
export { type Duration, type DurationBounds, durationMs } from './duration.js'
export { Emitter } from './emitter.js'
export {
  CommandTimeoutError,
  type ErrorCode,
  EvenkeelError,
  InvalidInputError,
  InvalidOptionError,
  ReplyError,
  UnavailableError,
} from './errors.js'
export type { CommandOptions } from './executor.js'
export {
  type Answer,
  type Failover,
  type FailoverHost,
  type FailoverOptions,
  type FailoverState,
  failover,
  type RecoverContext,
  type Source,
} from './failover.js'
export type { Alert, AlertName, AlertThresholds } from './health/alerts.js'
export { createHealthHandler, type HealthHandlerOptions } from './health/handler.js'
export { toNodeHandler } from './health/node-http.js'
export type { HealthReport, PairHealth, ServerHealth } from './health/report.js'
export {
  type Codec,
  createKeyValueStore,
  type KeyValueStats,
  type KeyValueStore,
  type KeyValueStoreOptions,
} from './key-value/key-value-store.js'
export { MemoryKeyValueStore, type MemoryKeyValueStoreOptions } from './key-value/memory-store.js'
export { RedisKeyValueStore } from './key-value/redis-store.js'
export type { KeyValuePort, SetOptions, Versioned } from './key-value/store.js'
export { checkSubject, createKeyspace, escapeGlob, escapeTag, type Keyspace } from './keys.js'
export { type Lock, lock } from './lock/lock.js'
export type { LockOptions } from './lock/options.js'
export { createLog } from './log.js'
export { createManagementHandler, type ManagementHandlerOptions } from './management-handler.js'
export type { ConnectOptions, NodeAddress, Password } from './options.js'
export type { SubscribeOptions, Subscription } from './pub-sub.js'
export { defineScript, type Script, type ScriptDefinition } from './scripts.js'
export { loadMeter, type MeterOptions } from './telemetry/meter.js'
export type { TelemetryOptions } from './telemetry/telemetry.js'
export { untilAborted } from './until-aborted.js'
