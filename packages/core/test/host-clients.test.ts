import { everyClientLibrary, type RedisServer, startProxy, startRedis, until } from '@evenkeel/test-servers'
import { Redis } from 'ioredis'
import { createClient as createClient4 } from 'redis'
import { createClient as createClient5, createClientPool as createPool5 } from 'redis5'
import { createClient as createClient6, createClientPool as createPool6 } from 'redis6'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Connection, connect, createKeyValueStore, lock } from '../src/index.js'
import { timed } from './support/calls.js'

let server: RedisServer
const ends: (() => unknown)[] = []

beforeAll(async () => {
  server = await startRedis()
})
afterAll(() => server.close())
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

/** Registers how to end what a test has opened; the ends run in reverse order. */
function later<T>(value: T, end: (value: T) => unknown): T {
  ends.push(() => end(value))
  return value
}

const borrow = async (client: object, options: object = {}): Promise<Connection> =>
  later(await connect({ client, commandTimeout: 5_000, ...options }), (redis) => redis.close())

const endIoredis = (client: Redis) => client.disconnect()

describe('a client that is still connecting', () => {
  it('is waited for: ioredis, which connects by itself', async () => {
    const client = later(new Redis(server.url), endIoredis)
    expect(client.status).not.toBe('ready')
    const redis = await borrow(client, { required: true })
    expect(redis.state).toBe('up')
    const held = await lock(redis, 'job')
    expect(held.source).toBe('redis')
    await held.release()
  })

  it('is waited for: ioredis with lazyConnect, which connects at the first command', async () => {
    const client = later(new Redis(server.url, { lazyConnect: true }), endIoredis)
    const redis = await borrow(client, { required: true })
    expect(await redis.command(['PING'])).toBe('PONG')
  })

  it.each([
    ['4', createClient4],
    ['5', createClient5],
    ['6', createClient6],
  ])('is waited for: node-redis %s, whose connect() is under way', async (_, create) => {
    const client = (create as typeof createClient4)({ url: server.url })
    client.on('error', () => {})
    const connecting = client.connect()
    const redis = await borrow(client, { required: true })
    expect(redis.state).toBe('up')
    await connecting
    await redis.close()
    await client.disconnect()
  })

  it('tells the owner of a client that nobody connects what is missing, and uses it when it is', async () => {
    const client = createClient4({ url: server.url })
    client.on('error', () => {})
    const refused = await connect({ client, connectionTimeout: 50, required: true }).catch((error) => error)
    expect(refused).toMatchObject({ code: 'CONNECTION_DOWN' })
    expect(refused.message).toContain('has to call connect()')
    const redis = await borrow(client, { connectionTimeout: 50 })
    expect(redis.state).toBe('down')
    await client.connect()
    await until(() => redis.state === 'up', 5_000)
    await redis.close()
    await client.disconnect()
  })

  it('is not waited for when its own attempt has failed', async () => {
    const gone = await startRedis()
    await gone.close()
    const client = later(new Redis(gone.url, { retryStrategy: () => 60_000 }), endIoredis)
    client.on('error', () => {})
    const redis = await borrow(client, { connectionTimeout: 600_000 })
    expect(redis.state).toBe('down')
    expect(redis.downReason).toContain('ECONNREFUSED')
  })

  it('is not waited for when its owner has closed it', async () => {
    const client = new Redis(server.url)
    await client.quit()
    await until(() => client.status === 'end', 5_000)
    const redis = await borrow(client, { connectionTimeout: 600_000 })
    expect(redis.downReason).toBe('The given client was closed')
  })
})

describe.each(everyClientLibrary)('a client of $name that its owner closes while it is used', (library) => {
  it('is down at once, and up when its owner connects it again', async () => {
    const client = await library.createClient(server.url)
    const redis = await borrow(client)
    expect(redis.state).toBe('up')
    await library.closeClient(client)
    await until(() => redis.state === 'down', 5_000)
    expect(await timed(redis.command(['GET', 'k']))).toMatchObject({ code: 'CONNECTION_DOWN' })
    // A closed client of valkey-glide can't be connected again.
    if (library.kind === 'valkey-glide') return redis.close()
    await (client as unknown as { connect(): Promise<unknown> }).connect()
    await until(() => redis.state === 'up', 5_000)
    expect(await redis.command(['PING'])).toBe('PONG')
    await redis.close()
    await library.closeClient(client)
  })
})

describe.each([
  ['5', createPool5],
  ['6', createPool6 as unknown as typeof createPool5],
] as const)('a pool of node-redis %s', (_, createPool) => {
  const open = async (url: string) => {
    const pool = createPool({ url }, { minimum: 2, maximum: 4 })
    pool.on('error', () => {})
    await pool.connect()
    return later(pool, () => pool.destroy())
  }

  it('is used like a client, for messages too', async () => {
    const redis = await borrow(await open(server.url), { required: true })
    const counts = await Promise.all(Array.from({ length: 100 }, () => redis.command(['INCR', 'pooled'])))
    expect(counts.map(Number).sort((one, other) => one - other)).toEqual(
      Array.from({ length: 100 }, (_, index) => index + 1),
    )
    await redis.command(['DEL', 'pooled'])
    const heard: string[] = []
    await redis.subscribe('news', (message) => heard.push(message))
    await redis.publish('news', 'hello')
    await until(() => heard.length === 1, 5_000)
  })

  it('is waited for while it connects', async () => {
    const pool = createPool({ url: server.url })
    pool.on('error', () => {})
    const connecting = pool.connect()
    later(pool, () => pool.destroy())
    expect((await borrow(pool, { required: true })).state).toBe('up')
    await connecting
  })

  it('is down while its server is away, and up when it is back', async () => {
    const proxy = later(await startProxy({ host: server.host, port: server.port }), (it) => it.close())
    const redis = await borrow(await open(proxy.url))
    await proxy.refuse()
    await until(() => redis.state === 'down', 5_000)
    await proxy.restore()
    await until(() => redis.state === 'up', 10_000)
    expect(await redis.command(['PING'])).toBe('PONG')
  })
})

describe('options of a host that change replies or keys', () => {
  const useOfAStore = async (redis: Connection) => {
    const store = createKeyValueStore({ redis, prefix: 'of-a-host' })
    await store.set('a', 1)
    await store.set('b', 2)
    const names: string[] = []
    for await (const [name] of store.entries()) names.push(name)
    return { names: names.sort(), cleared: await store.clear(), left: await store.get('a') }
  }

  it('keyPrefix of ioredis: everything is found below it, by SCAN too', async () => {
    const client = later(new Redis(server.url, { keyPrefix: 'app:' }), endIoredis)
    const redis = await borrow(client)
    expect(redis.namespace).toBe('app:evenkeel:')
    expect(await useOfAStore(redis)).toEqual({ names: ['a', 'b'], cleared: 2, left: undefined })
    const key = `${redis.namespace}plain`
    await redis.command(['SET', key, 'v'])
    expect(await server.command('GET', 'app:evenkeel:plain')).toBe('v')
    expect(await client.get('evenkeel:plain')).toBe('v')
    await redis.command(['DEL', key])
    expect((await redis.health()).operations).toEqual({ set: true, get: true, delete: true })
  })

  it('keyPrefix beside automatic pipelines, whose host keeps its own prefix', async () => {
    const client = later(new Redis(server.url, { keyPrefix: 'app:', enableAutoPipelining: true }), endIoredis)
    const redis = await borrow(client)
    const key = `${redis.namespace}mixed`
    await Promise.all([client.set('mixed', 'host'), redis.command(['SET', key, 'ours'])])
    expect(await server.command('GET', 'app:mixed')).toBe('host')
    expect(await server.command('GET', 'app:evenkeel:mixed')).toBe('ours')
  })

  it('keyPrefix of node-redis 6', async () => {
    const client = createClient6({ url: server.url, keyPrefix: 'six:' })
    client.on('error', () => {})
    await client.connect()
    later(client, () => client.destroy())
    const redis = await borrow(client)
    expect(redis.namespace).toBe('six:evenkeel:')
    expect(await useOfAStore(redis)).toEqual({ names: ['a', 'b'], cleared: 2, left: undefined })
  })

  it('a keyPrefix that no namespace can begin with is refused by its name', async () => {
    const client = later(new Redis(server.url, { keyPrefix: '{tenant}:' }), endIoredis)
    await expect(connect({ client })).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      field: 'client.keyPrefix',
    })
  })

  it('stringNumbers of ioredis: health is told right', async () => {
    const client = later(new Redis(server.url, { stringNumbers: true }), endIoredis)
    const redis = await borrow(client)
    expect((await redis.health()).operations).toEqual({ set: true, get: true, delete: true })
  })

  it('legacyMode of node-redis 4', async () => {
    const client = createClient4({ url: server.url, legacyMode: true })
    client.on('error', () => {})
    await client.connect()
    const redis = await borrow(client, { required: true })
    expect(await useOfAStore(redis)).toEqual({ names: ['a', 'b'], cleared: 2, left: undefined })
    const heard: string[] = []
    await redis.subscribe('news', (message) => heard.push(message))
    await redis.publish('news', 'hello')
    await until(() => heard.length === 1, 5_000)
    await redis.close()
    await client.disconnect()
  })

  it('legacy() of node-redis 5, which is only a view, is refused with what to do', async () => {
    const client = createClient5({ url: server.url })
    client.on('error', () => {})
    await client.connect()
    later(client, () => client.destroy())
    const error = await connect({ client: client.legacy() }).catch((caught) => caught)
    expect(error.code).toBe('UNKNOWN_CLIENT')
    expect(error.message).toContain('give the client itself')
  })

  it.each([
    ['5', createClient5],
    ['6', createClient6],
  ] as const)('RESP3 and a mapping to Buffers of node-redis %s', async (_, create) => {
    const client = (create as unknown as typeof createClient5)({ url: server.url, RESP: 3 })
    client.on('error', () => {})
    await client.connect()
    later(client, () => client.destroy())
    const redis = await borrow(client.withTypeMapping({ 36: Buffer }))
    expect(await useOfAStore(redis)).toEqual({ names: ['a', 'b'], cleared: 2, left: undefined })
    const heard: unknown[] = []
    await redis.subscribe('news', (message) => heard.push(message))
    await redis.publish('news', 'hello')
    await until(() => heard.length === 1, 5_000)
    expect(heard).toEqual(['hello'])
  })
})

it.each(everyClientLibrary)(
  'many connections share one client of $name without a warning',
  async (library) => {
    const warnings: Error[] = []
    const note = (warning: Error) => warnings.push(warning)
    process.on('warning', note)
    const client = await library.createClient(server.url)
    const all = await Promise.all(Array.from({ length: 20 }, () => connect({ client })))
    const signal = new AbortController().signal
    await Promise.all(Array.from({ length: 20 }, () => all[0]?.command(['GET', 'k'], { signal })))
    await Promise.all(all.map((redis) => redis.close()))
    await new Promise((resolve) => setImmediate(resolve))
    process.off('warning', note)
    expect(warnings.filter(({ name }) => name === 'MaxListenersExceededWarning')).toEqual([])
    await library.closeClient(client)
  },
)
