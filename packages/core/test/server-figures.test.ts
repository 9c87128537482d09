import { startCluster, startRedis, until } from '@evenkeel/test-servers'
import { describe, expect, it } from 'vitest'
import { type ConnectOptions, connect } from '../src/index.js'
import { collector } from './collector.js'

async function measured(name: string, options: ConnectOptions) {
  const { meterProvider, collect } = collector()
  const redis = await connect({ ...options, name, telemetry: { meterProvider } })
  return {
    redis,
    value: async (metricName: string) => {
      const metric = (await collect()).find(
        ({ descriptor }) => descriptor.name === `evenkeel_redis_${metricName}`,
      )
      const [point] = metric?.dataPoints ?? []
      if (point !== undefined) expect(point.attributes).toEqual({ connection: name })
      return point?.value as number | undefined
    },
  }
}

describe('what metrics say of the server', () => {
  it('memory, its limit, and replicas that are behind or gone', async () => {
    const primary = await startRedis({
      args: { maxmemory: '32mb', 'repl-ping-replica-period': '1', 'repl-timeout': '60' },
    })
    const replica = await startRedis({ args: { replicaof: `127.0.0.1 ${primary.port}` } })
    const { redis, value } = await measured('primary', { url: primary.url })
    await until(async () => (await value('memory_limit_bytes')) === 32 * 1024 * 1024, 10_000)
    const before = (await value('memory_used_bytes')) ?? 0
    expect(before).toBeGreaterThan(100_000)
    for (let key = 0; key < 5; key++) await primary.command('SET', `k${key}`, 'x'.repeat(1_000_000))
    await until(async () => ((await value('memory_used_bytes')) ?? 0) > before + 5_000_000, 10_000)

    await until(async () => (await value('replicas')) === 1, 20_000)
    await until(async () => (await primary.info('slave0')).includes('online'), 20_000)
    replica.freeze()
    await until(async () => ((await value('replication_lag_seconds')) ?? 0) >= 3, 20_000)
    replica.resume()
    await replica.kill()
    await until(async () => (await value('replicas')) === 0, 20_000)
    expect(await value('replication_lag_seconds')).toBe(0)
    await redis.close()
    expect(await value('memory_used_bytes')).toBe(0)
    await replica.close()
    await primary.close()
  })

  it('of a Cluster: the primary that is nearest to its limit', async () => {
    const cluster = await startCluster({ primaries: 3, replicasPerPrimary: 0 })
    const [first, second] = cluster.nodes
    await first?.command('CONFIG', 'SET', 'maxmemory', '64mb')
    await second?.command('CONFIG', 'SET', 'maxmemory', '16mb')
    const nodes = cluster.nodes.map(({ port }) => `127.0.0.1:${port}`)
    const { redis, value } = await measured('cluster', { cluster: { nodes } })
    await until(async () => (await value('memory_limit_bytes')) === 16 * 1024 * 1024, 20_000)
    await redis.close()
    await cluster.close()
  })

  it('nothing, and no error, where the user may not ask; what was known while Redis is away', async () => {
    const server = await startRedis({ args: { maxmemory: '32mb' } })
    await server.command('ACL', 'SETUSER', 'little', 'on', '>pw', '~*', '&*', '+@all', '-info')
    const little = await measured('little', { url: `redis://little:pw@127.0.0.1:${server.port}` })
    const { redis, value } = await measured('whole', { url: server.url })
    await until(async () => (await value('memory_limit_bytes')) === 32 * 1024 * 1024, 10_000)
    expect(await little.value('memory_used_bytes')).toBeUndefined()
    await server.kill()
    await until(() => redis.state === 'down', 10_000)
    expect(await value('memory_limit_bytes')).toBe(32 * 1024 * 1024)
    await little.redis.close()
    await redis.close()
    await server.close()
  })
})
