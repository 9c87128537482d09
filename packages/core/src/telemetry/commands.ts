import type { Meter, MeterProvider, Tracer, TracerProvider } from '@opentelemetry/api'
import type { EvenkeelError } from '../errors.js'

export interface TelemetryOptions {
  /** @default the one registered with OpenTelemetry */
  readonly meterProvider?: MeterProvider | undefined
  readonly tracerProvider?: TracerProvider | undefined
  /**
   * A CLIENT span a command. Off unless asked for: the client libraries' own instrumentations make them too,
   * and two for one command mislead. @default false
   */
  readonly spans?: boolean | undefined
}

/** What the connection tells of. */
export interface Telemetry {
  command(command: string, durationMs: number, failure: EvenkeelError | undefined): void
  fellBack(pair: string, reason: string): void
  transition(closed: boolean): void
}

export interface TelemetrySubject {
  readonly inFlight: number
  readonly state: string
  readonly pairs: readonly { readonly name: string; readonly active: boolean }[]
  readonly address: { readonly host: string; readonly port: number } | undefined
}

/** Labels must be few: a command that is none of these is 'other'. */
const known = new Set(
  (
    'APPEND BITCOUNT COPY DECR DECRBY DEL DUMP EVAL EVALSHA EVALSHA_RO EVAL_RO EXISTS EXPIRE FCALL GET GETDEL GETEX GETSET ' +
    'HDEL HEXISTS HGET HGETALL HINCRBY HKEYS HLEN HMGET HSCAN HSET HSETNX HVALS INCR INCRBY INFO LINDEX LLEN LPOP LPUSH ' +
    'LRANGE LREM LSET LTRIM MGET MSET PERSIST PEXPIRE PING PSETEX PTTL PUBLISH RENAME RESTORE ROLE RPOP RPUSH SADD SCAN ' +
    'SCARD SET SETEX SETNX SISMEMBER SMEMBERS SPUBLISH SREM SSCAN STRLEN TIME TTL TYPE UNLINK VADD VSIM XACK XADD XDEL ' +
    'XLEN XRANGE XREAD XREADGROUP XREVRANGE XTRIM ZADD ZCARD ZCOUNT ZINCRBY ZRANGE ZRANGEBYSCORE ZRANK ZREM ZSCAN ZSCORE'
  ).split(' '),
)

const name = '@evenkeel/core'

/**
 * Metrics and spans through OpenTelemetry. Without an SDK, and without providers of the host's, there is
 * nothing to tell to: then this gives nothing, and a command costs one comparison.
 */
export async function createTelemetry(
  options: boolean | TelemetryOptions,
  subject: TelemetrySubject,
): Promise<Telemetry | undefined> {
  if (options === false) return undefined
  // Imported here: it takes longer than the whole of core, and not everybody needs it.
  const api = await import('@opentelemetry/api')
  const { meterProvider, tracerProvider, spans = false } = options === true ? {} : options
  const isRegistered = api.metrics.getMeterProvider().constructor.name !== 'NoopMeterProvider'
  const meters = meterProvider ?? (isRegistered ? api.metrics.getMeterProvider() : undefined)
  const tracer = spans ? (tracerProvider ?? api.trace.getTracerProvider()).getTracer(name) : undefined
  if (meters === undefined && tracer === undefined) return undefined
  const count = meters === undefined ? undefined : instruments(meters.getMeter(name), subject)
  const trace =
    tracer === undefined ? undefined : spansOf(tracer, subject, api.SpanKind.CLIENT, api.SpanStatusCode.ERROR)
  return {
    command(command, durationMs, failure) {
      const operation = known.has(command) ? command : 'other'
      count?.command(operation, durationMs, failure === undefined)
      trace?.(operation, durationMs, failure)
    },
    fellBack: (pair, reason) => count?.fellBack(pair, reason),
    transition: (closed) => count?.transition(closed),
  }
}

/** Names that operators of such systems know. */
function instruments(meter: Meter, subject: TelemetrySubject) {
  const operations = meter.createCounter('redis_operations_total', {
    description: 'Commands, by operation and success',
  })
  const duration = meter.createHistogram('redis_operation_duration_seconds', {
    description: 'Time to the answer of a command',
    unit: 's',
    advice: { explicitBucketBoundaries: [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10] },
  })
  const fallbackCalls = meter.createCounter('evenkeel_fallback_calls_total', {
    description: 'Calls that memory answered',
  })
  const transitions = meter.createCounter('evenkeel_breaker_transitions_total', {
    description: 'Openings and closings',
  })
  meter
    .createObservableGauge('redis_connection_status', {
      description: '1 for the state that the connection is in',
    })
    .addCallback((result) => {
      for (const status of ['connecting', 'up', 'down', 'closed'])
        result.observe(subject.state === status ? 1 : 0, { status })
    })
  meter
    .createObservableGauge('evenkeel_fallback_active', { description: '1 while memory answers' })
    .addCallback((result) => {
      for (const { name: pair, active } of subject.pairs) result.observe(active ? 1 : 0, { package: pair })
    })
  meter
    .createObservableGauge('evenkeel_commands_in_flight', { description: 'Commands sent and unanswered' })
    .addCallback((result) => result.observe(subject.inFlight))
  return {
    command(operation: string, durationMs: number, success: boolean) {
      operations.add(1, { operation, success })
      duration.record(durationMs / 1_000, { operation })
    },
    fellBack: (pair: string, reason: string) => fallbackCalls.add(1, { package: pair, reason }),
    transition: (closed: boolean) => transitions.add(1, { to: closed ? 'closed' : 'open' }),
  }
}

/** By OpenTelemetry's conventions for databases; no key and no value is ever in one. */
function spansOf(tracer: Tracer, subject: TelemetrySubject, kind: number, error: number) {
  return (operation: string, durationMs: number, failure: EvenkeelError | undefined) => {
    const endTime = Date.now()
    const { address } = subject
    const span = tracer.startSpan(operation, {
      kind,
      startTime: endTime - durationMs,
      attributes: {
        'db.system.name': 'redis',
        'db.operation.name': operation,
        ...(address && { 'server.address': address.host, 'server.port': address.port }),
        ...(failure && { 'error.type': failure.code }),
      },
    })
    if (failure !== undefined) span.setStatus({ code: error })
    span.end(endTime)
  }
}
