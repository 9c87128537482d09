import { createMetricsHandler } from '@evenkeel/core/prometheus'
import { type Meter, metrics } from '@opentelemetry/api'

/** A counter that OpenTelemetry reads when it collects, so that counting costs only a lookup in a map. */
class LabelledCounts {
  readonly #names: readonly [string, string]
  readonly #counts = new Map<string, { count: number; readonly labels: Readonly<Record<string, string>> }>()

  constructor(meter: Meter, name: string, description: string, labels: readonly [string, string]) {
    this.#names = labels
    const counter = meter.createObservableCounter(name, { description })
    counter.addCallback((result) => {
      for (const { count, labels } of this.#counts.values()) result.observe(count, labels)
    })
  }

  add(one: string, other: string): void {
    const key = `${one} ${other}`
    const known = this.#counts.get(key)
    if (known !== undefined) known.count++
    else this.#counts.set(key, { count: 1, labels: { [this.#names[0]]: one, [this.#names[1]]: other } })
  }
}

/** The gateway's own metrics, and a handler that serves them and those of the packages to Prometheus. */
export function createMetrics() {
  // Registers a MeterProvider for the process if there is none. The operators' routes decide who may read.
  const handler = createMetricsHandler({ authorize: () => true })
  const meter = metrics.getMeter('evenkeel-gateway')
  return {
    handler,
    requests: new LabelledCounts(meter, 'gateway_requests', 'Requests by route and outcome', [
      'route',
      'outcome',
    ]),
    upstreamCalls: new LabelledCounts(
      meter,
      'gateway_upstream_calls',
      'Calls of decoders, by node and outcome',
      ['node', 'outcome'],
    ),
    duration: meter.createHistogram('gateway_request_duration', {
      unit: 's',
      description: 'Time to the first byte',
      // The default boundaries suit milliseconds, not seconds.
      advice: { explicitBucketBoundaries: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] },
    }),
    /** Returns a function that removes the gauge's callback. */
    gauge(name: string, description: string, read: () => number): () => void {
      const gauge = meter.createObservableGauge(name, { description })
      const observe = (result: { observe(value: number): void }) => result.observe(read())
      gauge.addCallback(observe)
      return () => gauge.removeCallback(observe)
    },
  }
}

export type Metrics = ReturnType<typeof createMetrics>
