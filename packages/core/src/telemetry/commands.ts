import { type EvenkeelError, ReplyError } from '../errors.js'
import { CommandCounts } from './counts.js'
import { followMeter, registeredMeterProvider } from './meter.js'
import { observeMetrics } from './metrics.js'
import type { TelemetryOptions } from './options.js'
import type { TracerLike, TracerProviderLike } from './provider.js'
import { type MeasuredConnection, ServerFigures } from './server-figures.js'
import { errorStatus, spanKind } from './spans.js'

/** Where the connection reports what it does. */
export interface Telemetry {
  command(command: string, durationMs: number, failure: EvenkeelError | undefined): void
  fellBack(pair: string, reason: string): void
  transition(closed: boolean): void
}

/** The connection that is measured. */
export interface TelemetrySubject extends MeasuredConnection {
  /** The value of the label `connection`. */
  readonly name: string
  readonly inFlight: number
  readonly state: string
  readonly pairs: readonly { readonly name: string; readonly active: boolean }[]
  readonly address: { readonly host: string; readonly port: number } | undefined
  readonly database: number | undefined
  /** Calls back each time that Redis comes up. Returns a function that stops it. */
  onUp(listener: () => void): () => void
  /** Reports to `telemetry` from now on, if there is one. */
  report(telemetry: Telemetry | undefined): void
}

const scope = '@evenkeel/core'

/**
 * Reports metrics and spans to OpenTelemetry, with the providers that the host gives or registers, now or later. While
 * there are none, a command costs one comparison. The returned function ends the reports: afterwards nothing of the
 * connection is held or exported, except the histogram's sums, which OpenTelemetry can't remove.
 */
export async function startTelemetry(
  options: boolean | TelemetryOptions,
  subject: TelemetrySubject,
): Promise<() => void> {
  if (options === false) return () => {}
  const { meterProvider: given, tracerProvider, spans = false } = options === true ? {} : options
  const trace = spans ? spansOf(await tracerOf(tracerProvider), subject) : undefined
  const counts = new CommandCounts()
  const figures = new ServerFigures(subject)
  const toSpans: Telemetry | undefined = trace && { command: trace, fellBack() {}, transition() {} }
  subject.report(toSpans)
  // A provider that is registered already is attached before the first command is sent.
  const meterProvider = given ?? (await registeredMeterProvider())
  const stops = [
    observeMetrics(scope, { meterProvider }, { ...counts.table(subject), ...figures.table() }),
    // Without a provider of metrics, Redis is not asked for its figures.
    followMeter(scope, { meterProvider }, () => {
      figures.refresh()
      return subject.onUp(() => figures.refresh())
    }),
    followMeter(scope, { meterProvider }, (meter) => {
      const duration = meter.createHistogram('redis_operation_duration_seconds', {
        description: 'Time to the answer of a command',
        unit: 's',
        advice: { explicitBucketBoundaries: [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10] },
      })
      subject.report({
        command(command, durationMs, failure) {
          const operation = counts.command(command, failure === undefined)
          duration.record(durationMs / 1_000, { connection: subject.name, operation })
          trace?.(command, durationMs, failure)
        },
        fellBack: (pair, reason) => counts.fellBack(pair, reason),
        transition: (closed) => counts.transition(closed),
      })
      return () => subject.report(toSpans)
    }),
  ]
  return () => {
    for (const stop of stops) stop()
    subject.report(undefined)
  }
}

async function tracerOf(provider: TracerProviderLike | undefined): Promise<TracerLike> {
  // Imported here, because loading it takes longer than loading core, and not every host needs it.
  const tracers = provider ?? (await import('@opentelemetry/api')).trace.getTracerProvider()
  return tracers.getTracer(scope)
}

/** Creates spans by OpenTelemetry's conventions for databases. They never contain a key or a value. */
function spansOf(tracer: TracerLike, subject: TelemetrySubject): Telemetry['command'] {
  return (command, durationMs, failure) => {
    const endTime = Date.now()
    const { address, database } = subject
    // The convention asks for the command's own name; unlike a label of a metric, it need not be one of few.
    const operation = command.toUpperCase()
    const span = tracer.startSpan(operation, {
      kind: spanKind.client,
      startTime: endTime - durationMs,
      attributes: {
        'db.system.name': 'redis',
        'db.operation.name': operation,
        ...(address && { 'server.address': address.host, 'server.port': address.port }),
        ...(database !== undefined && { 'db.namespace': `${database}` }),
        ...(failure && { 'error.type': failure.code, ...statusOf(failure) }),
      },
    })
    if (failure !== undefined) span.setStatus({ code: errorStatus })
    span.end(endTime)
  }
}

/** The first word of the server's own error. */
function statusOf(failure: EvenkeelError) {
  return failure instanceof ReplyError ? { 'db.response.status_code': failure.prefix } : {}
}
