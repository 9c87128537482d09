import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { describe, expect, it } from 'vitest'
import { createResponseCache } from '../src/index.js'
import { chatCall, chatUrl, completion, fakeProvider, settled } from './fake.js'

describe('metrics', () => {
  it('tell how calls were answered and what was saved, by model, and no prompt', async () => {
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
    const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 100_000 })
    const meterProvider = new MeterProvider({ readers: [reader] })
    const cache = createResponseCache({
      telemetry: { meterProvider },
      prices: { m: { input: 1, output: 1, unit: 1 } },
    })
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
    const provider = fakeProvider(() => Response.json(completion('answer-c4nary')))
    for (let turn = 0; turn < 3; turn++) {
      const response = await cache.fetch({ fetch: provider.fetch })(chatUrl, chatCall('prompt-c4nary'))
      await response.text()
      await settled()
    }
    const attributes = { cache: 'llm_response', 'gen_ai.request.model': 'm' }
    const told = await points()
    expect(told).toEqual(
      expect.arrayContaining([
        {
          name: 'evenkeel_response_cache_requests_total',
          attributes: { ...attributes, outcome: 'hit' },
          value: 2,
        },
        {
          name: 'evenkeel_response_cache_requests_total',
          attributes: { ...attributes, outcome: 'miss' },
          value: 1,
        },
        { name: 'evenkeel_response_cache_saved_tokens_total', attributes, value: 34 },
        { name: 'evenkeel_response_cache_saved_money_total', attributes, value: 34 },
        { name: 'evenkeel_response_cache_stored_total', attributes, value: 1 },
        { name: 'evenkeel_response_cache_memory_entries', attributes: { cache: 'llm_response' }, value: 1 },
        {
          name: 'evenkeel_response_cache_provider_duration_seconds',
          attributes: { 'gen_ai.request.model': 'm' },
          value: expect.objectContaining({ count: 1 }),
        },
      ]),
    )
    expect(JSON.stringify(told)).not.toContain('c4nary')
    await cache.close()
    await meterProvider.shutdown()
  })
})
