import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { describe, expect, it } from 'vitest'
import { createAgentMemory } from '../src/index.js'
import { soon, threadOf, useRedis, user } from './support.js'

const redis = useRedis()

describe('statistics', () => {
  it('tell what became of messages, and what reads cost', async () => {
    const { memory, cutOff, back } = await redis.instance()
    const other = (await redis.instance()).memory
    const thread = threadOf(memory)
    await thread.append([user('a'), user('b')])
    await thread.append(user('a'))
    await expect(thread.append(user('a', 'other'))).rejects.toThrow()
    await thread.window()
    await threadOf(other).window()
    await thread.append(user('c'))
    for (let read = 0; read < 2; read++) await threadOf(other).window()
    await cutOff()
    await thread.append(user('d'))
    await thread.window()
    expect(await memory.health()).toMatchObject({ status: 'down' })
    await back()
    await memory.flushed(soon())
    expect(memory.stats()).toMatchObject({
      appended: { stored: 3, duplicate: 1, journaled: 1, refused: 1 },
      journal: { replayed: 1, refused: 0 },
      reads: { stale: 1 },
    })
    expect(other.stats().reads).toEqual({ unchanged: 1, newer: 1, whole: 1, stale: 0 })
    await redis.server.restart({ empty: true })
    await expect.poll(() => memory.status().state).toBe('primary')
    // What was replayed a moment ago is the latest that Redis acknowledged, and lost.
    expect(memory.stats().journal.healed).toBe(4)
    expect((await thread.window()).count).toBe(4)
  })

  it('of all instances that run are their sum', async () => {
    const [one, other] = [await redis.instance(), await redis.instance()]
    await threadOf(one.memory).append([user('a'), user('b')])
    await threadOf(other.memory).append(user('c'))
    await threadOf(other.memory).append(user('c'))
    await threadOf(other.memory).window()
    const sum = {
      instances: 2,
      appended: { stored: 3, duplicate: 1, journaled: 0, refused: 0 },
      reads: { whole: 1 },
    }
    // How soon the other one answers depends on the machine.
    await expect.poll(() => one.memory.sharedStats()).toMatchObject(sum)
    expect(await redis.server.command('KEYS', '*stats*')).toEqual([])
    await one.cutOff()
    expect(await one.memory.sharedStats()).toMatchObject({ instances: 1, appended: { stored: 2 } })
    await other.memory.close()
    await one.back()
    await expect.poll(async () => (await one.memory.sharedStats()).instances).toBe(1)
    expect(await createAgentMemory().sharedStats()).toMatchObject({ instances: 1, appended: { stored: 0 } })
  })

  it('reach OpenTelemetry', async () => {
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
    const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 100_000 })
    const meterProvider = new MeterProvider({ readers: [reader] })
    const memory = createAgentMemory({ telemetry: { meterProvider } })
    await threadOf(memory).append(user('a'))
    const points = async () => {
      exporter.reset()
      await reader.forceFlush()
      const metrics = exporter
        .getMetrics()
        .flatMap((one) => one.scopeMetrics.flatMap(({ metrics }) => metrics))
      return metrics.flatMap(({ descriptor, dataPoints }) =>
        dataPoints.map(({ attributes, value }) => ({ name: descriptor.name, attributes, value })),
      )
    }
    await expect
      .poll(() => points())
      .toContainEqual({
        name: 'evenkeel_agent_memory_messages_total',
        attributes: { status: 'stored' },
        value: 1,
      })
    await memory.close()
    await meterProvider.shutdown()
  })
})

describe('health', () => {
  it('warns of what endangers conversations', async () => {
    const { memory } = await redis.instance()
    const codes = async () => (await memory.health()).warnings.map(({ code }) => code)
    expect(await codes()).toEqual(['AOF_OFF'])
    await redis.server.command('CONFIG', 'SET', 'maxmemory', '1gb')
    await redis.server.command('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru')
    expect(await codes()).toEqual(['EVICTION', 'AOF_OFF'])
    await redis.server.command('CONFIG', 'SET', 'maxmemory', '0')
    await redis.server.command('CONFIG', 'SET', 'appendonly', 'yes')
    expect(await memory.health()).toEqual({ status: 'ok', warnings: [] })
    await redis.server.command('CONFIG', 'SET', 'appendonly', 'no')
    expect(await createAgentMemory().health()).toEqual({ status: 'ok', warnings: [] })
  })
})
