import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { describe, expect, it } from 'vitest'
import { node, useCoordinators } from './pools.js'

const { create } = useCoordinators()

describe('metrics', () => {
  it('tell of nodes by state, requests, ejections and exposures', async () => {
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
    const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 100_000 })
    const meterProvider = new MeterProvider({ readers: [reader] })
    const pool = await create({ name: 'main', telemetry: { meterProvider }, ejectAfter: 1 })
    for (const name of ['a', 'b', 'c']) await pool.register(node(name, { tags: ['v2'] }))
    await pool.drain('c')
    const options = { languagePair: 'en-de', unit: 'u' }
    await pool.experiments.put({
      id: 'x',
      languagePair: 'en-de',
      trafficPercentage: 100,
      experimentTags: ['v2'],
    })
    const kept = await pool.acquire(options)
    ;(await pool.acquire()).release({ ok: false })
    const points = async () => {
      exporter.reset()
      await reader.forceFlush()
      const metrics = exporter
        .getMetrics()
        .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics))
      return metrics.flatMap(({ descriptor, dataPoints }) =>
        dataPoints.map(({ attributes, value }) => ({ name: descriptor.name, attributes, value })),
      )
    }
    await expect.poll(async () => (await points()).length).toBeGreaterThan(0)
    const at = (name: string, value: number, own: object = {}) => ({
      name: `evenkeel_decoder_pool_${name}`,
      value,
      attributes: { pool: 'main', ...own },
    })
    expect(await points()).toEqual(
      expect.arrayContaining([
        at('nodes', 1, { state: 'serving' }),
        at('nodes', 1, { state: 'ejected' }),
        at('nodes', 1, { state: 'draining' }),
        at('in_flight', 1),
        at('waiting', 0),
        at('requests_total', 2),
        at('ejections_total', 1, { reason: 'failures' }),
        at('exposures_total', 1, { experiment: 'x', arm: 'experiment', diverted: false }),
      ]),
    )
    kept.release({ ok: true })
    await meterProvider.shutdown()
  })
})
