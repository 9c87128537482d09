import { createNoopMeter, metrics } from '@opentelemetry/api'
import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus'
import { MeterProvider, MetricReader, type ResourceMetrics } from '@opentelemetry/sdk-metrics'
import { InvalidOptionError } from '../errors.js'
import { option } from '../kit/validate.js'
import { isOpen } from '../telemetry/connection-name.js'
import { isProviderRegistered } from '../telemetry/meter.js'
import { type Authorize, checkAuthorize, forbidden, isAllowed, methodNotAllowed } from './responses.js'

export type { Authorize } from './responses.js'

/** Collects the metrics of a MeterProvider: any MetricReader of OpenTelemetry's SDK. */
export interface MetricReaderLike {
  collect(): Promise<{ readonly resourceMetrics: object; readonly errors?: readonly unknown[] }>
}

export interface MetricsHandlerOptions {
  /** Whether a request may read the metrics. Required; `() => true` allows all requests. */
  readonly authorize: Authorize
  /**
   * A reader of the host's own MeterProvider (for example a `PrometheusExporter` with `preventServerStart`). Without
   * one, a MeterProvider is created and registered with OpenTelemetry, for evenkeel and all other libraries.
   */
  readonly reader?: MetricReaderLike | undefined
}

/**
 * A fetch-style handler for `GET /metrics` in Prometheus' text format: everything that evenkeel and other libraries
 * report to OpenTelemetry. Needs the packages `@opentelemetry/sdk-metrics` and `@opentelemetry/exporter-prometheus`.
 *
 * @throws InvalidOptionError if the host has registered a MeterProvider but gives no reader of it
 * @example
 * app.get('/metrics', toNodeHandler(createMetricsHandler({ authorize: isFromOurNetwork })))
 */
export function createMetricsHandler(
  options: MetricsHandlerOptions,
): (request: Request) => Promise<Response> {
  option.members('', options, { authorize: true, reader: true })
  const { authorize } = options
  checkAuthorize(authorize)
  const reader = options.reader ?? ownReader()
  option.fn('reader.collect', reader.collect)
  const serializer = new PrometheusSerializer()
  return async (request) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') return methodNotAllowed('GET, HEAD')
    if (!(await isAllowed(authorize, request))) return forbidden()
    const { resourceMetrics } = await reader.collect()
    return new Response(serializer.serialize(ofOpenConnections(resourceMetrics as ResourceMetrics)), {
      headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8', 'cache-control': 'no-store' },
    })
  }
}

class PullReader extends MetricReader {
  protected override async onShutdown(): Promise<void> {}
  protected override async onForceFlush(): Promise<void> {}
}

/** Kept for the whole process: handlers may be created again (hot reload, both builds), but the provider only once. */
const readerSymbol = Symbol.for('evenkeel.metrics-reader')

function ownReader(): MetricReaderLike {
  const known = Reflect.get(globalThis, readerSymbol) as MetricReaderLike | undefined
  if (known !== undefined) return known
  if (isProviderRegistered({ createNoopMeter, metrics })) {
    throw new InvalidOptionError('reader', 'a reader of the MeterProvider that is registered', undefined)
  }
  const reader = new PullReader()
  metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }))
  Reflect.set(globalThis, readerSymbol, reader)
  return reader
}

/** The SDK keeps values of closed connections; a scrape shows only those of open ones. */
function ofOpenConnections(resourceMetrics: ResourceMetrics): ResourceMetrics {
  const scopeMetrics = resourceMetrics.scopeMetrics.map((scope) => {
    if (scope.scope.name !== '@evenkeel/core') return scope
    const kept = scope.metrics.map((metric) => ({
      ...metric,
      dataPoints: metric.dataPoints.filter(
        ({ attributes: { connection } }: { readonly attributes: { readonly connection?: unknown } }) =>
          typeof connection !== 'string' || isOpen(connection),
      ),
    }))
    return { ...scope, metrics: kept.filter(({ dataPoints }) => dataPoints.length > 0) }
  })
  return { ...resourceMetrics, scopeMetrics: scopeMetrics as ResourceMetrics['scopeMetrics'] }
}
