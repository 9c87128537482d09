import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { describe, expect, it } from 'vitest'
import { createRateLimiter, slidingWindow } from '../src/index.js'

describe('metrics', () => {
  it('tell of decisions and denials, and end with the limiter', async () => {
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
    const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 100_000 })
    const meterProvider = new MeterProvider({ readers: [reader] })
    const limiter = createRateLimiter({
      name: 'chat',
      limits: { requests: slidingWindow(2, '1m') },
      telemetry: { meterProvider },
    })
    for (let count = 0; count < 5; count++) await limiter.check('u')
    const points = async () => {
      exporter.reset()
      await reader.forceFlush()
      const metrics = exporter
        .getMetrics()
        .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics))
      return metrics.flatMap(({ descriptor, dataPoints }) =>
        dataPoints.map(({ attributes, value }) => ({ name: descriptor.name, attributes, value })),
      )
    }
    await expect.poll(async () => (await points()).length).toBeGreaterThan(0)
    const attributes = { limiter: 'chat', source: 'memory' }
    expect(await points()).toEqual(
      expect.arrayContaining([
        {
          name: 'evenkeel_rate_limiter_decisions_total',
          attributes: { ...attributes, outcome: 'allowed' },
          value: 2,
        },
        {
          name: 'evenkeel_rate_limiter_decisions_total',
          attributes: { ...attributes, outcome: 'denied' },
          value: 3,
        },
        {
          name: 'evenkeel_rate_limiter_denials_total',
          attributes: { limiter: 'chat', limit: 'requests' },
          value: 3,
        },
        {
          name: 'evenkeel_rate_limiter_used_ratio',
          attributes: { limiter: 'chat', limit: 'requests' },
          value: 1,
        },
        { name: 'evenkeel_rate_limiter_waiting', attributes: { limiter: 'chat' }, value: 0 },
        { name: 'evenkeel_rate_limiter_instances', attributes: { limiter: 'chat' }, value: 1 },
      ]),
    )
    await limiter.close()
    await meterProvider.shutdown()
  })
})
