import { createMetricsHandler } from '@evenkeel/core/prometheus'
import { metrics } from '@opentelemetry/api'

/** What this gateway counts, beside what the packages report to OpenTelemetry; and all of it as Prometheus reads it. */
export function createMetrics() {
  // Registers a MeterProvider for the process, if there is none. Who may read is decided where the routes are.
  const handler = createMetricsHandler({ authorize: () => true })
  const meter = metrics.getMeter('evenkeel-gateway')
  return {
    handler,
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
    /** Gives what ends it. */
    gauge(name: string, description: string, read: () => number): () => void {
      const gauge = meter.createObservableGauge(name, { description })
      const observe = (result: { observe(value: number): void }) => result.observe(read())
      gauge.addCallback(observe)
      return () => gauge.removeCallback(observe)
    },
  }
}

export type Metrics = ReturnType<typeof createMetrics>
