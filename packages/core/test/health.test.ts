import { fairTime, flavours, type RedisServer, startProxy, startRedis, until } from '@evenkeel/test-servers'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { alertsOf } from '../src/health/alerts.js'
import { LatencyHistogram } from '../src/health/latency.js'
import {
  type Alert,
  type Connection,
  connect,
  createHealthHandler,
  failover,
  type HealthReport,
} from '../src/index.js'

const get = (path: string, method = 'GET') => new Request(`http://host${path}`, { method })

describe.each(flavours())('health on $name', (flavour) => {
  let server: RedisServer
  let redis: Connection

  beforeAll(async () => {
    server = await startRedis({
      flavour,
      password: 'c4nary',
      args: { maxmemory: '100mb', appendonly: 'yes', 'repl-diskless-sync-delay': '0' },
    })
    redis = await connect({ url: server.url, commandTimeout: '10s' })
  })
  afterAll(async () => {
    await redis.close()
    await server.close()
  })

  it('tells everything that the server knows of itself', async () => {
    await redis.command(['SET', 'k', 'v'])
    await redis.command(['GET', 'k'])
    const report = await redis.health()
    expect(report).toMatchObject({
      status: 'healthy',
      reasons: [],
      state: 'up',
      topology: 'standalone',
      client: 'node-redis',
      operations: { set: true, get: true, delete: true },
      breaker: { closed: true, opened: 0 },
      fallback: { active: false, pairs: [] },
      server: {
        name: flavour.name.split('-')[0],
        role: 'master',
        memory: { limitBytes: 100 << 20 },
        persistence: { aof: true, lastSaveOk: true, lastAppendOk: true },
        evictionPolicy: 'noeviction',
      },
    })
    expect(report.server?.version).toMatch(new RegExp(`^${flavour.majorVersion}\\.`))
    for (const value of [
      report.latency.pingMs,
      report.latency.p50Ms,
      report.latency.p99Ms,
      report.server?.hitRate,
      report.server?.uptimeSeconds,
      report.server?.memory.usedBytes,
    ]) {
      expect(value).toBeGreaterThanOrEqual(0)
    }
  })

  it('promise 10: has no secret in it', async () => {
    expect(JSON.stringify(await redis.health())).not.toContain('c4nary')
  })

  it('does without what an ACL forbids', async () => {
    await server.command('ACL', 'SETUSER', 'app', 'on', '>pw', '~*', '+@all', '-info', '-config')
    await using limited = await connect({ url: server.url.replace(/\/\/[^@]*@/, '//app:pw@') })
    const report = await limited.health()
    expect(report).toMatchObject({ status: 'healthy', server: undefined, operations: { set: true } })
  })

  it('tells how far a replica is behind', async () => {
    const replica = await startRedis({
      flavour,
      // The replica accepts writes: a read-only one is not used, so it has no server health.
      args: {
        replicaof: `${server.host} ${server.port}`,
        masterauth: 'c4nary',
        'replica-read-only': 'no',
      },
    })
    await until(async () => (await replica.info('master_link_status')) === 'up', 20_000)
    expect((await redis.health()).server?.replicationLagSeconds).toBeGreaterThanOrEqual(0)
    await using ofReplica = await connect({ url: replica.url })
    expect((await ofReplica.health()).server).toMatchObject({ role: 'slave' })
    await replica.close()
  })
})

describe('health in trouble', () => {
  const ends: (() => Promise<unknown>)[] = []
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end()
  })

  const setUp = async (options = {}) => {
    const server = await startRedis()
    const proxy = await startProxy({ host: server.host, port: server.port })
    const redis = await connect({ url: proxy.url, commandTimeout: 200, ...options })
    ends.push(
      () => server.close(),
      () => proxy.close(),
      () => redis.close(),
    )
    return { server, proxy, redis }
  }

  it('is told in time while Redis hangs, and says that memory answers', async () => {
    const { proxy, redis } = await setUp()
    const pair = failover<object>(redis, {
      name: 'notes',
      primary: {},
      fallback: {},
      held: () => ({ entries: 3, bytes: 90 }),
    })
    proxy.blackHole()
    using time = fairTime()
    await redis.health()
    expect(time.elapsedMs()).toBeLessThan(1_500)
    await until(() => redis.state === 'down', 1_000)
    expect(await redis.health()).toMatchObject({
      status: 'unhealthy',
      fallback: { active: true, pairs: [{ name: 'notes', state: 'fallback', entries: 3, bytes: 90 }] },
    })
    pair.close()
  })

  it('tells of an alert once, until it clears', async () => {
    const { server, redis } = await setUp({ healthCheckInterval: 100 })
    const told: string[] = []
    redis.on('alert', (alert: Alert) => told.push(alert.name))
    redis.on('alertCleared', (name) => told.push(`${name} cleared`))
    const reports: HealthReport[] = []
    redis.on('health', (report) => reports.push(report))
    await server.kill()
    await until(() => told.includes('down'), 2_000)
    const before = reports.length
    await until(() => reports.length > before + 2, 3_000)
    expect(told).toEqual(['down'])
    await server.restart()
    await until(() => told.includes('down cleared'), 3_000)
    expect(told).toEqual(['down', 'down cleared'])
  })

  it('answers over HTTP while Redis is black-holed, and stays alive', async () => {
    const { proxy, redis } = await setUp()
    const handler = createHealthHandler(redis)
    // With so short a deadline, a busy machine may need a second check.
    await until(async () => (await handler(get('/health'))).status === 200)
    proxy.blackHole()
    for (const path of ['/health', '/health/redis', '/health/live']) {
      using time = fairTime()
      await handler(get(path))
      expect(time.elapsedMs()).toBeLessThan(100)
    }
    await redis.command(['GET', 'k']).catch(() => {})
    expect((await handler(get('/health'))).status).toBe(503)
    expect((await handler(get('/health/live'))).status).toBe(200)
    expect((await handler(get('/health/other'))).status).toBe(404)
    expect((await handler(get('/health', 'POST'))).status).toBe(405)
  })
})

describe('alerts', () => {
  const report = (more: object): HealthReport =>
    ({
      state: 'up',
      latency: {},
      breaker: {},
      fallback: { active: false, pairs: [] },
      server: { memory: {}, persistence: {} },
      ...more,
    }) as unknown as HealthReport
  const names = (more: object, held: Alert['name'][] = []) =>
    alertsOf(report(more), {}, new Set(held), false).map(({ name }) => name)
  const memory = (share: number) => ({
    server: { memory: { usedBytes: share * 100, limitBytes: 100 }, persistence: {} },
  })

  it('begin at a threshold, and end only well below it', () => {
    expect(names(memory(0.79))).toEqual([])
    expect(names(memory(0.81))).toEqual(['memory'])
    expect(names(memory(0.75), ['memory'])).toEqual(['memory'])
    expect(names(memory(0.7), ['memory'])).toEqual([])
  })

  it('know of no memory limit, slowness, lag, eviction and missing persistence', () => {
    const keeping = (durability: string) => ({
      active: false,
      pairs: [{ name: `a ${durability} pair`, durability, state: 'primary' }],
    })
    expect(names({ server: { memory: { usedBytes: 5, limitBytes: 0 }, persistence: {} } })).toEqual([])
    expect(names({ latency: { pingMs: 150 } })).toEqual(['slow'])
    expect(names({ server: { memory: {}, persistence: {}, replicationLagSeconds: 11 } })).toEqual([
      'replication-lag',
    ])
    const evicting = { memory: {}, persistence: { aof: false }, evictionPolicy: 'allkeys-lru' }
    expect(names({ server: evicting })).toEqual([])
    expect(names({ server: evicting, fallback: keeping('disposable') })).toEqual([])
    expect(names({ server: evicting, fallback: keeping('transient') })).toEqual(['eviction-policy'])
    const durable = report({ server: evicting, fallback: keeping('durable') })
    expect(alertsOf(durable, {}, new Set(), false)).toEqual([
      { name: 'eviction-policy', message: expect.stringContaining('(a durable pair)') },
      { name: 'aof-off', message: expect.stringContaining('(a durable pair)') },
    ])
    expect(alertsOf(report({}), {}, new Set(), true).map(({ name }) => name)).toEqual(['clock-jump'])
  })
})

describe('the latency histogram', () => {
  it('knows quantiles of the last minute within a fifth, in fixed memory', () => {
    const histogram = new LatencyHistogram()
    const start = 1_000_000
    expect(histogram.quantile(0.5, start)).toBeUndefined()
    for (let count = 1; count <= 1_000; count++) histogram.record(count / 10, start)
    expect(histogram.quantile(0.5, start)).toBeGreaterThan(50 * 0.8)
    expect(histogram.quantile(0.5, start)).toBeLessThan(50 * 1.2)
    expect(histogram.quantile(0.99, start)).toBeGreaterThan(99 * 0.8)
    histogram.record(1, start + 31_000)
    expect(histogram.count(start + 31_000)).toBe(1_001)
    histogram.record(1, start + 100_000)
    expect(histogram.count(start + 100_000)).toBe(1)
  })

  it('forgets what is older than a minute, also while nothing is recorded', () => {
    const histogram = new LatencyHistogram()
    histogram.record(5, 1_000_000)
    expect(histogram.count(1_000_000)).toBe(1)
    expect(histogram.quantile(0.5, 1_061_000)).toBeUndefined()
    expect(histogram.count(1_061_000)).toBe(0)
  })
})
