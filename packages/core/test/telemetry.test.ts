import { type RedisServer, startRedis, until } from '@evenkeel/test-servers'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connect, failover } from '../src/index.js'

let server: RedisServer
beforeAll(async () => {
  server = await startRedis({ password: 'c4nary' })
})
afterAll(() => server.close())

function collector() {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
  const meterProvider = new MeterProvider({ readers: [reader] })
  const collect = async () => {
    exporter.reset()
    await reader.forceFlush()
    return exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics))
  }
  return { meterProvider, collect }
}

describe('telemetry', () => {
  it('counts and times commands under names that operators know', async () => {
    const { meterProvider, collect } = collector()
    await using redis = await connect({ url: server.url, telemetry: { meterProvider } })
    await redis.command(['SET', 'secret-key', 'secret-value'])
    await redis.command(['HGET', 'secret-key', 'f']).catch(() => {})
    const metrics = await collect()
    const points = (name: string) =>
      metrics
        .find(({ descriptor }) => descriptor.name === name)
        ?.dataPoints.map(({ attributes, value }) => [attributes, value])
    expect(points('redis_operations_total')).toEqual([
      [{ operation: 'SET', success: true }, 1],
      [{ operation: 'HGET', success: false }, 1],
    ])
    expect(points('redis_operation_duration_seconds')?.map(([attributes]) => attributes)).toEqual([
      { operation: 'SET' },
      { operation: 'HGET' },
    ])
    expect(points('redis_connection_status')).toContainEqual([{ status: 'up' }, 1])
    expect(points('evenkeel_commands_in_flight')).toEqual([[{}, 0]])
    // Promise 10.
    expect(JSON.stringify(metrics)).not.toMatch(/secret|c4nary/)
  })

  it('has few labels, whatever is sent', async () => {
    const { meterProvider, collect } = collector()
    await using redis = await connect({ url: server.url, telemetry: { meterProvider } })
    await Promise.all(
      Array.from({ length: 2_000 }, (_, index) =>
        redis.command([`NONE${index}`, `k${index}`]).catch(() => {}),
      ),
    )
    const metrics = await collect()
    const operations = metrics.find(({ descriptor }) => descriptor.name === 'redis_operations_total')
    expect(operations?.dataPoints.map(({ attributes }) => attributes)).toEqual([
      { operation: 'other', success: false },
    ])
  })

  it('tells of fallbacks and of the breaker', async () => {
    const own = await startRedis()
    const { meterProvider, collect } = collector()
    const redis = await connect({ url: own.url, telemetry: { meterProvider } })
    const pair = failover<object>(redis, { name: 'notes', primary: {}, fallback: {} })
    await own.kill()
    await until(() => pair.state === 'fallback', 1_000)
    await pair.run(async () => 1)
    const metrics = await collect()
    const points = (name: string) =>
      metrics
        .find(({ descriptor }) => descriptor.name === name)
        ?.dataPoints.map(({ attributes, value }) => [attributes, value])
    expect(points('evenkeel_fallback_active')).toEqual([[{ package: 'notes' }, 1]])
    expect(points('evenkeel_fallback_calls_total')).toEqual([[{ package: 'notes', reason: 'fallback' }, 1]])
    expect(points('evenkeel_breaker_transitions_total')).toEqual([
      [{ to: 'closed' }, 1],
      [{ to: 'open' }, 1],
    ])
    pair.close()
    await redis.close()
    await own.close()
  })

  it('makes spans only when asked to, by the conventions for databases', async () => {
    const exporter = new InMemorySpanExporter()
    const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
    await using quiet = await connect({ url: server.url, telemetry: { tracerProvider } })
    await quiet.command(['GET', 'k'])
    expect(exporter.getFinishedSpans()).toEqual([])
    await using redis = await connect({ url: server.url, telemetry: { tracerProvider, spans: true } })
    await redis.command(['GET', 'secret-key'])
    const [span] = exporter.getFinishedSpans()
    expect(span?.name).toBe('GET')
    expect(span?.attributes).toEqual({
      'db.system.name': 'redis',
      'db.operation.name': 'GET',
      'server.address': server.host,
      'server.port': server.port,
    })
  })
})
