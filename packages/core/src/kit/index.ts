/**
 * Shared by the packages of this family and not covered by semantic versioning: a release of core may change it, and
 * each package depends on the version of core that it was released with.
 */

export { defineScript, type Script, type ScriptDefinition } from '../connection/scripts.js'
export { keepNames } from '../errors.js'
export { isOutage } from '../failover/is-outage.js'
export { createManagementHandler, type ManagementHandlerOptions } from '../http/management-handler.js'
export {
  type Authorize,
  checkAuthorize,
  forbidden,
  isAllowed,
  json,
  methodNotAllowed,
  notFound,
  withoutEndingSlashes,
} from '../http/responses.js'
export { followMeter, type MeterOptions } from '../telemetry/meter.js'
export {
  type Measurement,
  type MetricTable,
  type ObservedMetric,
  observeMetrics,
} from '../telemetry/metrics.js'
export { resolveTelemetry } from '../telemetry/options.js'
export type {
  InstrumentOptions,
  Labels,
  MeterLike,
  MeterProviderLike,
  ObservableInstrument,
  ObservableResultLike,
  TracerProviderLike,
} from '../telemetry/provider.js'
export { createSpans, type OpenSpan, type Spans, spanKind } from '../telemetry/spans.js'
export { traceIterations } from '../telemetry/trace-iterations.js'
export { traceMethods } from '../telemetry/trace-methods.js'
export { bufferedResponse } from './buffered-response.js'
export { type Clock, ManualClock, systemClock } from './clock.js'
export { checkConnection } from './connection-option.js'
export { isError, isPromiseLike } from './cross-realm.js'
export { type Deferred, deferred } from './deferred.js'
export { type Duration, type DurationBounds, durationMs } from './duration.js'
export { Emitter } from './emitter.js'
export { nextTick, queueMicrotask, setImmediate } from './event-loop.js'
export { isRequest, isResponse } from './fetch-shapes.js'
export { type Heartbeat, type HeartbeatOptions, heartbeat } from './heartbeat.js'
export { checkSubject, createKeyspace, escapeGlob, escapeTag, type Keyspace } from './keys.js'
export { type ListenOptions, listen } from './listen.js'
export { createLog } from './log.js'
export { type Logger, notify, warnOfListener } from './logger.js'
export { ByteBoundedLru, type ByteBoundedLruOptions } from './lru.js'
export { mapBounded } from './map-bounded.js'
export { isTextList, parseJson } from './parse-json.js'
export { integerOf, listOf, mapOf, okOf, pairsOf, textOf } from './replies.js'
export { retryAfterMs } from './retry-after.js'
export { SharedView, type SharedViewHost, type SharedViewOptions } from './shared-view.js'
export { type LinkedSignal, linkSignals, onAbort } from './signals.js'
export { TickBatcher, type TickBatcherOptions } from './tick-batcher.js'
export {
  type LongTimer,
  type LongTimerOptions,
  maxTimerMs,
  type SleepOptions,
  setLongTimeout,
  sleep,
} from './timers.js'
export { countTokens, estimateTokens } from './token-estimate.js'
export { untilAborted } from './until-aborted.js'
export { input, type NumberBounds, option, type Validator, wholeNumber } from './validate.js'
export { cosine, hasVectorSets, packVector, unpackVector } from './vectors.js'
export {
  type BodyEnd,
  type ResponseOrigin,
  type WatchedBodyOptions,
  watchedBody,
  withOriginOf,
} from './watched-body.js'
