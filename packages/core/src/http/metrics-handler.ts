import { metrics } from '@opentelemetry/api'
import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus'
import { MeterProvider, MetricReader, type ResourceMetrics } from '@opentelemetry/sdk-metrics'
import { InvalidOptionError } from '../errors.js'
import { option } from '../kit/validate.js'
import { isOpen } from '../telemetry/connection-name.js'
import { isProviderRegistered } from '../telemetry/meter.js'
import { type Authorize, checkAuthorize, forbidden, isAllowed, methodNotAllowed } from './responses.js'

export type { Authorize } from './responses.js'

/** Collects what a MeterProvider has: any MetricReader of OpenTelemetry's SDK. */
export interface MetricReaderLike {
  collect(): Promise<{ readonly resourceMetrics: object; readonly errors?: readonly unknown[] }>
}

export interface MetricsHandlerOptions {
  /** Who may read the metrics. There is no default; `() => true` lets everybody. */
  readonly authorize: Authorize
  /**
   * A reader of the host's own MeterProvider (a `PrometheusExporter` with `preventServerStart` is one). Without one, a
   * MeterProvider is made and registered with OpenTelemetry, for evenkeel and all other libraries.
   */
  readonly reader?: MetricReaderLike | undefined
}

/**
 * Metrics in Prometheus' text format, as a fetch-style handler for `GET /metrics`: all that evenkeel and other libraries
 * report to OpenTelemetry. Needs the packages `@opentelemetry/sdk-metrics` and `@opentelemetry/exporter-prometheus`.
 *
 * @throws InvalidOptionError where the host has registered a MeterProvider and gives no reader of it
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

/** Kept for the process: handlers may be made again (hot reload, both builds), the provider only once. */
const readerSymbol = Symbol.for('evenkeel.metrics-reader')

function ownReader(): MetricReaderLike {
  const known = Reflect.get(globalThis, readerSymbol) as MetricReaderLike | undefined
  if (known !== undefined) return known
  if (isProviderRegistered(metrics.getMeterProvider())) {
    throw new InvalidOptionError('reader', 'a reader of the MeterProvider that is registered', undefined)
  }
  const reader = new PullReader()
  metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }))
  Reflect.set(globalThis, readerSymbol, reader)
  return reader
}

/** The SDK keeps values of connections that were closed; a scrape shows those that are open. */
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
