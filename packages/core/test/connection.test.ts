import {
  clientLibraries,
  fairTime,
  type RedisServer,
  startProxy,
  startRedis,
  until,
} from '@evenkeel/test-servers'
import RedisMock from 'ioredis-mock'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connect, defineScript } from '../src/index.js'
import { timed } from './support/calls.js'

let server: RedisServer

beforeAll(async () => {
  // A replica need not wait for others to join its first sync.
  server = await startRedis({ args: { 'repl-diskless-sync-delay': '0' } })
})
afterAll(() => server.close())

describe('a connection', () => {
  it('rejects instead of starting on memory when Redis is required', async () => {
    const gone = await startRedis()
    await gone.close()
    const error = await connect({ url: gone.url, required: true }).catch((caught) => caught)
    expect(error.code).toBe('CONNECTION_DOWN')
  })

  it('lets a caller give up', async () => {
    await using redis = await connect({ url: server.url })
    const already = await timed(redis.command(['GET', 'k'], { signal: AbortSignal.abort() }))
    expect(already.code).toBe('COMMAND_ABORTED')
    await server.command('CLIENT', 'PAUSE', '200')
    const abort = new AbortController()
    const call = timed(redis.command(['GET', 'k'], { signal: abort.signal }))
    abort.abort()
    expect(await call).toMatchObject({ code: 'COMMAND_ABORTED' })
    await server.command('CLIENT', 'UNPAUSE')
    await until(() => redis.inFlight === 0, 1_000)
  })

  it('promise 5: sends no more than maxInFlight at once, and says so', async () => {
    await using redis = await connect({ url: server.url, maxInFlight: 10 })
    const outcomes = await Promise.all(Array.from({ length: 15 }, () => timed(redis.command(['GET', 'k']))))
    expect(outcomes.filter(({ code }) => code === 'OVERLOADED')).toHaveLength(5)
    expect(outcomes.filter(({ code }) => code === undefined)).toHaveLength(10)
  })

  it('holds commands back, within their deadline, where the offline queue is on', async () => {
    const proxy = await startProxy({ host: server.host, port: server.port })
    await using redis = await connect({ url: proxy.url, enableOfflineQueue: true, commandTimeout: 2_000 })
    await proxy.refuse()
    await until(() => redis.state === 'down', 1_000)
    const waiting = redis.command(['SET', 'queued', 'yes'])
    const late = timed(redis.command(['SET', 'late', 'no'], { timeoutMs: 30 }))
    expect(await late).toMatchObject({ code: 'CONNECTION_DOWN' })
    await proxy.restore()
    expect(await waiting).toBe('OK')
    expect(await redis.command(['GET', 'late'])).toBe(null)
    await redis.close()
    await proxy.close()
  })

  it('tells a caller of the offline queue that it left, or asked for what no timer holds', async () => {
    const proxy = await startProxy({ host: server.host, port: server.port })
    await using redis = await connect({ url: proxy.url, enableOfflineQueue: true, commandTimeout: 60_000 })
    await proxy.refuse()
    await until(() => redis.state === 'down', 1_000)
    const abort = new AbortController()
    const left = timed(redis.command(['GET', 'k'], { signal: abort.signal }))
    abort.abort()
    expect(await left).toMatchObject({ code: 'COMMAND_ABORTED' })
    expect(await timed(redis.command(['GET', 'k'], { signal: abort.signal }))).toMatchObject({
      code: 'COMMAND_ABORTED',
    })
    for (const timeoutMs of [2 ** 31, Number.NaN]) {
      const wrong = await timed(redis.command(['GET', 'k'], { timeoutMs }))
      expect(wrong).toMatchObject({ code: 'INVALID_INPUT' })
    }
    await redis.close()
    await proxy.close()
  })

  it('checks its health without waiting in the offline queue', async () => {
    const proxy = await startProxy({ host: server.host, port: server.port })
    await using redis = await connect({ url: proxy.url, enableOfflineQueue: true, commandTimeout: 60_000 })
    await proxy.refuse()
    await until(() => redis.state === 'down', 1_000)
    using time = fairTime()
    expect((await redis.health()).status).toBe('unhealthy')
    // In the queue, its questions would wait for a second.
    expect(time.elapsedMs()).toBeLessThan(900)
    await redis.close()
    await proxy.close()
  })

  it.each(clientLibraries)('spreads commands over a pool of $name', async ({ load }) => {
    const library = (await load()) as object
    await using redis = await connect({ url: server.url, poolSize: 3, library })
    const ids = await Promise.all(Array.from({ length: 9 }, () => redis.command(['CLIENT', 'ID'])))
    expect(new Set(ids).size).toBe(3)
  })

  it.each(clientLibraries)(
    'reads from a replica with $name, and from the primary without it',
    async ({ load }) => {
      const replica = await startRedis({ args: { replicaof: `${server.host} ${server.port}` } })
      await until(async () => (await replica.info('master_link_status')) === 'up', 10_000)
      const library = (await load()) as object
      const redis = await connect({ url: server.url, replicas: [replica.url], readFrom: 'replica', library })
      await redis.command(['SET', 'shared', 'v'])
      const readRole = async () =>
        String(((await redis.command(['ROLE'], { readOnly: true })) as unknown[])[0])
      await until(async () => (await readRole()) === 'slave', 5_000)
      await until(async () => (await redis.command(['GET', 'shared'], { readOnly: true })) === 'v', 2_000)
      await replica.kill()
      await until(async () => (await readRole()) === 'master', 2_000)
      expect(await redis.command(['GET', 'shared'], { readOnly: true })).toBe('v')
      await redis.close()
      await replica.close()
    },
  )

  it.each(clientLibraries)(
    'answers reads from the primary while a replica hangs, with $name',
    async ({ load }) => {
      const replica = await startRedis({ args: { replicaof: `${server.host} ${server.port}` } })
      await until(async () => (await replica.info('master_link_status')) === 'up', 10_000)
      const library = (await load()) as object
      const options = { readFrom: 'replica', commandTimeout: 8_000, library } as const
      const redis = await connect({ url: server.url, replicas: [replica.url], ...options })
      await redis.command(['SET', 'shared', 'v'])
      const readRole = async () =>
        String(((await redis.command(['ROLE'], { readOnly: true })) as unknown[])[0])
      await until(async () => (await readRole()) === 'slave', 5_000)
      let outages = 0
      redis.on('down', () => outages++)
      replica.freeze()
      const read = () => redis.command(['GET', 'shared'], { readOnly: true })
      expect(new Set(await Promise.all(Array.from({ length: 20 }, read)))).toEqual(new Set(['v']))
      expect(await read()).toBe('v')
      replica.resume()
      await until(async () => (await readRole()) === 'slave', 20_000)
      expect(outages).toBe(0)
      await redis.close()
      await replica.close()
    },
  )

  it('ends everything it began when it is closed', async () => {
    const redis = await connect({ url: server.url })
    await redis.subscribe('news', () => {})
    await redis.close()
    await redis.close()
    expect(redis.state).toBe('closed')
    expect((await timed(redis.command(['PING']))).code).toBe('CONNECTION_CLOSED')
  })

  it('reports a listener that throws, and goes on', async () => {
    const warnings: Error[] = []
    const note = (warning: Error) => warnings.push(warning)
    process.on('warning', note)
    const fragile = await startRedis()
    const redis = await connect({ url: fragile.url })
    redis.on('down', () => {
      throw new Error('a bug of the host')
    })
    await fragile.kill()
    await until(() => warnings.some(({ message }) => message === 'a bug of the host'), 2_000)
    await fragile.restart()
    await until(() => redis.state === 'up', 2_000)
    process.off('warning', note)
    await redis.close()
    await fragile.close()
  })
})

describe('publish and subscribe', () => {
  it('tells of a gap, and hears again, after an outage', async () => {
    const proxy = await startProxy({ host: server.host, port: server.port })
    const redis = await connect({ url: proxy.url })
    const heard: string[] = []
    let gaps = 0
    await redis.subscribe('news', (message) => heard.push(message), { onGap: () => gaps++ })
    const atStart = gaps
    proxy.cut()
    await until(() => gaps > atStart, 3_000)
    await redis.publish('news', 'after')
    await until(() => heard.includes('after'), 2_000)
    await redis.close()
    await proxy.close()
  })

  it('stays within the process while there is no Redis', async () => {
    const gone = await startRedis()
    await gone.close()
    await using redis = await connect({ url: gone.url })
    const heard: string[] = []
    const subscription = await redis.subscribe('news', (message) => heard.push(message))
    await redis.publish('news', 'local')
    await until(() => heard.length === 1, 500)
    await subscription.close()
    await redis.publish('news', 'nobody listens')
    expect(heard).toEqual(['local'])
  })

  it('keeps channels of two namespaces apart', async () => {
    await using one = await connect({ url: server.url, namespace: 'one' })
    await using two = await connect({ url: server.url, namespace: 'two' })
    const heard: string[] = []
    await one.subscribe('news', (message) => heard.push(`one ${message}`))
    await two.subscribe('news', (message) => heard.push(`two ${message}`))
    await one.publish('news', 'a')
    await two.publish('news', 'b')
    await until(() => heard.length === 2, 1_000)
    expect(heard.sort()).toEqual(['one a', 'two b'])
  })
})

it('works by methods on a client without call(), such as ioredis-mock', async () => {
  const redis = await connect({ client: new RedisMock() })
  expect(redis.state).toBe('up')
  expect(await redis.command(['SET', 'k', 'v'])).toBe('OK')
  expect(await redis.command(['GET', 'k'])).toBe('v')
  const echo = defineScript({ name: 'echo', lua: 'return ARGV[1]' })
  expect(await redis.run(echo, ['k'], ['hello'])).toBe('hello')
  await redis.close()
})

describe('closing', () => {
  it('lets what was sent be answered first', async () => {
    const server = await startRedis()
    try {
      for (const library of ['redis', 'ioredis'] as const) {
        const redis = await connect({ url: server.url, library })
        const sent = Promise.all(Array.from({ length: 20 }, () => redis.command(['INCR', library])))
        await redis.close()
        expect(await sent).toHaveLength(20)
        expect(await server.command('GET', library)).toBe('20')
      }
    } finally {
      await server.close()
    }
  })
})
