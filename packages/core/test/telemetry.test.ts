import { type RedisServer, startRedis, until } from '@evenkeel/test-servers'
import { metrics as otel } from '@opentelemetry/api'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connect, failover } from '../src/index.js'
import { collector } from './collector.js'

let server: RedisServer
beforeAll(async () => {
  server = await startRedis({ password: 'c4nary' })
})
afterAll(() => server.close())

const redisName = ({ host, port }: RedisServer) => `${host}:${port}/0`

describe('telemetry', () => {
  it('counts and times commands under names that operators know', async () => {
    const { meterProvider, collect } = collector()
    await using redis = await connect({ url: server.url, name: 'main', telemetry: { meterProvider } })
    await redis.command(['SET', 'secret-key', 'secret-value'])
    await redis.command(['HGET', 'secret-key', 'f']).catch(() => {})
    const metrics = await collect()
    const points = (name: string) =>
      metrics
        .find(({ descriptor }) => descriptor.name === name)
        ?.dataPoints.map(({ attributes, value }) => [attributes, value])
    expect(points('redis_operations_total')).toEqual([
      [{ connection: 'main', operation: 'SET', success: true }, 1],
      [{ connection: 'main', operation: 'HGET', success: false }, 1],
    ])
    expect(points('redis_operation_duration_seconds')?.map(([attributes]) => attributes)).toEqual([
      { connection: 'main', operation: 'SET' },
      { connection: 'main', operation: 'HGET' },
    ])
    expect(points('redis_connection_status')).toContainEqual([{ connection: 'main', status: 'up' }, 1])
    expect(points('evenkeel_commands_in_flight')).toEqual([[{ connection: 'main' }, 0]])
    for (const { descriptor } of metrics) expect(descriptor.description, descriptor.name).not.toBe('')
    // Promise 10: no key and no value shows.
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
      { connection: redisName(server), operation: 'other', success: false },
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
    const connection = redisName(own)
    expect(points('evenkeel_fallback_active')).toEqual([[{ connection, package: 'notes' }, 1]])
    expect(points('evenkeel_fallback_calls_total')).toEqual([
      [{ connection, package: 'notes', reason: 'fallback' }, 1],
    ])
    expect(points('evenkeel_breaker_transitions_total')).toEqual([
      [{ connection, to: 'open' }, 1],
      [{ connection, to: 'closed' }, 1],
    ])
    pair.close()
    await redis.close()
    await own.close()
  })

  it('tells connections apart, and forgets one that was closed', async () => {
    const { meterProvider, collect } = collector()
    const telemetry = { meterProvider }
    // What a dashboard shows: the state whose value is 1.
    const statuses = async () => {
      const metric = (await collect()).find(({ descriptor }) => descriptor.name === 'redis_connection_status')
      const all = metric?.dataPoints.map(({ attributes, value }) => ({ attributes, value })) ?? []
      const now = all.filter(({ value }) => value === 1)
      return now.map(({ attributes }) => `${attributes.connection} ${attributes.status}`).sort()
    }
    const cache = await connect({ url: server.url, name: 'cache', telemetry })
    const memory = await connect({ url: 'redis://127.0.0.1:1', name: 'memory', telemetry })
    const second = await connect({ url: server.url, name: 'cache', telemetry })
    expect(await statuses()).toEqual(['cache up', 'cache#2 up', 'memory down'])
    await memory.close()
    await cache.close()
    expect(await statuses()).toEqual(['cache#2 up'])
    await using third = await connect({ url: server.url, name: 'cache', telemetry })
    await third.command(['GET', 'k'])
    await second.close()
    expect(await statuses()).toEqual(['cache up'])
  })

  it('holds nothing of a hundred connections that were closed', async () => {
    const { meterProvider, collect } = collector()
    for (let number = 0; number < 100; number++) {
      const redis = await connect({ url: server.url, telemetry: { meterProvider } })
      await redis.command(['GET', 'k'])
      await redis.close()
    }
    const metrics = await collect()
    const observed = metrics.filter(({ descriptor }) => !descriptor.name.endsWith('_seconds'))
    expect(observed.filter(({ dataPoints }) => dataPoints.length > 0)).toEqual([])
    // The histogram, which OpenTelemetry can't remove, has one label for all, since the name was free again.
    const duration = metrics.find(({ descriptor }) => descriptor.name === 'redis_operation_duration_seconds')
    expect(duration?.dataPoints.map(({ attributes }) => attributes)).toEqual([
      { connection: redisName(server), operation: 'GET' },
    ])
  })

  it('begins when the host registers a provider later', async () => {
    await using redis = await connect({ url: server.url })
    const { meterProvider, collect } = collector()
    otel.setGlobalMeterProvider(meterProvider)
    try {
      const operations = async () => {
        await redis.command(['GET', 'k'])
        return (await collect()).filter(({ descriptor }) => descriptor.name === 'redis_operations_total')
      }
      await until(async () => (await operations()).some(({ dataPoints }) => dataPoints.length > 0), 10_000)
    } finally {
      otel.disable()
    }
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
      'db.namespace': '0',
      'server.address': server.host,
      'server.port': server.port,
    })
  })
})
