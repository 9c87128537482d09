import { createMetricsHandler } from '@evenkeel/core/prometheus'
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus'
import { MeterProvider } from '@opentelemetry/sdk-metrics'

/** What the gateway counts, through OpenTelemetry, and its text for Prometheus. */
export function createMetrics() {
  const exporter = new PrometheusExporter({ preventServerStart: true })
  const provider = new MeterProvider({ readers: [exporter] })
  const meter = provider.getMeter('evenkeel-gateway')
  return {
    provider,
    requests: meter.createCounter('gateway_requests', { description: 'Requests by route and outcome' }),
    upstreamCalls: meter.createCounter('gateway_upstream_calls', {
      description: 'Calls of decoders, by node and outcome',
    }),
    duration: meter.createHistogram('gateway_request_duration', {
      unit: 's',
      description: 'Time to the first byte',
      // The default boundaries are made for milliseconds.
      advice: { explicitBucketBoundaries: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] },
    }),
    gauge: (name: string, description: string, read: () => number) =>
      meter.createObservableGauge(name, { description }).addCallback((result) => result.observe(read())),
    /** `GET /metrics`, which says nothing of callers: whoever reaches the port may read it. */
    handler: createMetricsHandler({ authorize: () => true, reader: exporter }),
  }
}

export type Metrics = ReturnType<typeof createMetrics>
