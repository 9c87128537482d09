import {
  clientLibraries,
  flavours,
  passTime,
  type RedisCluster,
  type RedisServer,
  startCluster,
  startProxy,
  startRedis,
  until,
} from '@evenkeel/test-servers'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type Connection,
  connect,
  createKeyValueStore,
  type Duration,
  type KeyValuePort,
  ManualClock,
  MemoryKeyValueStore,
  RedisKeyValueStore,
} from '../src/index.js'
import { digestOf } from '../src/key-value/port.js'
import { testKeyValueStore } from '../src/testing/index.js'

const clock = new ManualClock()
testKeyValueStore('memory', {
  create: () => new MemoryKeyValueStore({ clock }),
  pass: (ms) => clock.advance(ms),
})

/** Runs one random operation. Versions differ between stores, so the result does not contain them. */
async function act(store: KeyValuePort, action: string, key: string, text: string, by: number) {
  const ttlMs = 60_000
  if (action === 'delete') return store.delete(key)
  if (action === 'touch') return store.touch(key, ttlMs)
  if (action === 'increment') return (await store.increment(`n${key}`, by, ttlMs)).value
  const { version } = (await store.get(key)) ?? { version: 0 }
  const expected = {
    right: { version },
    wrong: { version: version + 1, orAbsent: by > 0 },
    digest: { version: version + 1, orDigest: digestOf(text) },
  }[action]
  return (await store.set(key, text, { ttlMs, onlyIfAbsent: action === 'nx', expected })).written
}

describe.each(flavours())('on $name', (flavour) => {
  let server: RedisServer
  let redis: Connection

  beforeAll(async () => {
    server = await startRedis({ flavour })
    redis = await connect({ url: server.url, commandTimeout: '30s', connectionTimeout: '30s' })
  })
  afterAll(async () => {
    await redis.close()
    await server.close()
  })

  const create = async () => {
    await server.command('FLUSHALL')
    return new RedisKeyValueStore(redis)
  }
  testKeyValueStore('Redis', { create, pass: passTime })

  it('answers as memory does to the same random operations', async () => {
    const step = fc.record({
      key: fc.constantFrom('a', 'b', 'c'),
      text: fc.string(),
      by: fc.integer({ min: -5, max: 5 }),
      action: fc.constantFrom('set', 'nx', 'right', 'wrong', 'digest', 'delete', 'increment', 'touch'),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const stores = [new MemoryKeyValueStore(), await create()]
        for (const { key, text, by, action } of steps) {
          const [inMemory, inRedis] = await Promise.all(
            stores.map(async (store) => {
              const result = await act(store, action, key, text, by)
              const found = await store.getMany(['a', 'b', 'c', 'na', 'nb', 'nc'])
              return [result, found.map((one) => one?.value)]
            }),
          )
          expect(inRedis).toEqual(inMemory)
        }
      }),
      { numRuns: 40 },
    )
  })

  it('keeps typed values, counts what it does, and clears by prefix', async () => {
    const store = createKeyValueStore<{ n: number }>({ redis, prefix: 'typed' })
    await store.setMany([
      ['a:1', { n: 1 }],
      ['a:2', { n: 2 }],
      ['b:1', { n: 3 }],
    ])
    expect(await store.lookUp('a:1')).toEqual({ value: { n: 1 }, source: 'redis' })
    expect(await store.getMany(['a:2', 'none'])).toEqual([{ n: 2 }, undefined])
    expect(await store.set('a:1', { n: 9 }, { nx: true })).toBe(false)
    const found = new Map()
    for await (const [key, value] of store.entries('a:')) found.set(key, value)
    expect(found).toEqual(
      new Map([
        ['a:1', { n: 1 }],
        ['a:2', { n: 2 }],
      ]),
    )
    expect(await store.clear('a:')).toBe(2)
    expect(await store.has('a:1')).toBe(false)
    expect(await store.has('b:1')).toBe(true)
    expect(store.stats()).toMatchObject({ hits: 2, misses: 1, writes: 3, fromMemory: 0 })
    await store.close()
  })
})

describe('on a Cluster', () => {
  let cluster: RedisCluster

  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterAll(() => cluster.close())

  it.each(clientLibraries)('finds and clears keys on every node, with $name', async ({ load }) => {
    const library = (await load()) as object
    await using redis = await connect({
      cluster: { nodes: cluster.rootNodes },
      library,
      commandTimeout: '30s',
      connectionTimeout: '30s',
    })
    const store = createKeyValueStore<number>({ redis, prefix: 'spread' })
    await store.setMany(Array.from({ length: 60 }, (_, index) => [`k${index}`, index] as const))
    const values = []
    for await (const [, value] of store.entries()) values.push(value)
    expect(values.sort((one, other) => one - other)).toEqual(Array.from({ length: 60 }, (_, index) => index))
    expect(await store.clear()).toBe(60)
    await store.close()
  })
})

describe('what is in the way', () => {
  let server: RedisServer
  let redis: Connection

  beforeAll(async () => {
    server = await startRedis()
    redis = await connect({ url: server.url, commandTimeout: '30s', connectionTimeout: '30s' })
  })
  afterAll(async () => {
    await redis.close()
    await server.close()
  })

  it('is no value of the store: a key of another type is read as none, and written over', async () => {
    await using store = createKeyValueStore<number>({ redis, prefix: 'typed' })
    for (const [key, act] of [
      ['get', () => store.get('get')],
      ['set', () => store.set('set', 1)],
      ['nx', () => store.set('nx', 1, { nx: true })],
      ['increment', () => store.increment('increment')],
    ] as const) {
      await server.command('RPUSH', `evenkeel:kv:typed:${key}`, 'garbage')
      expect(await act()).toBe({ get: undefined, set: true, nx: true, increment: 1 }[key])
    }
    expect(await store.getMany(['set', 'get', 'increment'])).toEqual([1, undefined, 1])
    await server.command('SADD', 'evenkeel:kv:typed:gone', 'garbage')
    expect(await store.delete('gone')).toBe(true)
  })

  it('is a clear error where it can not be counted or decoded, and its text is not told', async () => {
    await using store = createKeyValueStore<unknown>({ redis, prefix: 'typed' })
    await server.command('HSET', 'evenkeel:kv:typed:damaged', 'v', 'c4nary', 'n', 'no number')
    const refused = { code: 'REDIS_REPLY', message: expect.not.stringContaining('c4nary') }
    await expect(store.increment('damaged')).rejects.toMatchObject(refused)
    await expect(store.get('damaged')).rejects.toMatchObject(refused)
    await expect(store.get('damaged')).rejects.toThrow("The codec can't read a value of 'evenkeel:kv:typed:'")
    expect(await store.set('damaged', 1)).toBe(true)
    expect(await store.get('damaged')).toBe(1)
    expect(store.state).toBe('primary')
  })
})

describe('more than may be in flight', () => {
  it.each([20, 1, 10_000])('is sent bit by bit, with maxInFlight %d', async (maxInFlight) => {
    await using server = await startRedis()
    await using redis = await connect({ url: server.url, maxInFlight, commandTimeout: '10s' })
    await using store = createKeyValueStore<number>({ redis, prefix: 'many' })
    const count = maxInFlight === 10_000 ? 10_500 : 500
    const keys = Array.from({ length: count }, (_, index) => `k${index}`)
    await store.setMany(keys.map((key, index) => [key, index]))
    expect(await store.getMany(keys)).toEqual(keys.map((_, index) => index))
    const found = []
    for await (const [key] of store.entries()) found.push(key)
    expect(found.sort()).toEqual([...keys].sort())
    expect(await store.clear()).toBe(count)
    expect(store.state).toBe('primary')
    expect(store.stats()).toMatchObject({ fromMemory: 0, writes: count })
  })

  it('is refused where others take all the room, and nothing is answered from memory', async () => {
    await using server = await startRedis()
    await using redis = await connect({ url: server.url, maxInFlight: 1, commandTimeout: '10s' })
    await using store = createKeyValueStore<number>({ redis, prefix: 'many' })
    await store.set('k', 1)
    server.freeze()
    const other = redis.command(['PING'])
    for (const call of [store.get('k'), store.set('k', 2), store.setMany([['k', 3]]), store.getMany(['k'])])
      await expect(call).rejects.toMatchObject({ code: 'OVERLOADED' })
    server.resume()
    await other
    expect(store.state).toBe('primary')
    expect(await store.lookUp('k')).toEqual({ value: 1, source: 'redis' })
  })
})

describe('over an outage', () => {
  /** Two stores, as in two processes; the connection of each to Redis can be cut. */
  async function setUp(options: { writeBack?: boolean; ttl?: Duration } = {}) {
    const server = await startRedis()
    const ends: (() => Promise<unknown>)[] = [() => server.close()]
    const side = async () => {
      const proxy = await startProxy({ host: server.host, port: server.port })
      const redis = await connect({ url: proxy.url, commandTimeout: '2s' })
      const store = createKeyValueStore<string>({ redis, prefix: 'out', ...options })
      ends.unshift(
        () => store.close(),
        () => redis.close(),
        () => proxy.close(),
      )
      return {
        store,
        cut: async () => {
          await proxy.refuse()
          await until(() => redis.state === 'down', 10_000)
        },
        restore: async () => {
          await proxy.restore()
          await until(() => store.state === 'primary', 20_000)
        },
      }
    }
    const [a, b] = [await side(), await side()]
    return {
      server,
      a,
      b,
      [Symbol.asyncDispose]: async () => {
        for (const end of ends) await end()
      },
    }
  }

  it('Redis wins without writeBack, and what was written meanwhile is forgotten', async () => {
    await using sides = await setUp()
    const { a } = sides
    await a.store.set('kept', 'before')
    await a.store.set('deleted', 'here')
    await a.cut()
    expect(await a.store.lookUp('kept')).toEqual({ value: 'before', source: 'memory' })
    await a.store.set('kept', 'during')
    await a.store.set('written', 'new')
    expect(await a.store.delete('deleted')).toBe(true)
    await a.restore()
    expect(await a.store.getMany(['kept', 'written', 'deleted'])).toEqual(['before', undefined, 'here'])
  })

  it('writes back what was set, counted, touched and deleted here, with the time that it had', async () => {
    await using sides = await setUp({ writeBack: true })
    const { a, b, server } = sides
    await a.store.setMany([
      ['kept', 'before'],
      ['deleted', 'here'],
      ['replaced', 'old'],
      ['touched', 'v'],
      ['short', 'long'],
    ])
    await a.store.increment('count', 5)
    await a.cut()
    await a.store.set('kept', 'during', { ttl: '10m' })
    await a.store.set('kept', 'during, again', { ttl: '10m' })
    await a.store.set('written', 'new', { ttl: '10m' })
    await a.store.delete('deleted')
    await a.store.delete('replaced')
    await a.store.set('replaced', 'new')
    await a.store.touch('touched', '20m')
    await a.store.set('short', 'gone', { ttl: 50 })
    expect(await a.store.increment('count', 2)).toBe(7)
    await passTime(100)
    await a.restore()
    const keys = ['kept', 'written', 'deleted', 'replaced', 'touched', 'short']
    expect(await b.store.getMany(keys)).toEqual(['during, again', 'new', undefined, 'new', 'v', undefined])
    expect(await b.store.increment('count', 1)).toBe(8)
    const ttl = async (key: string) => Number(await server.command('PTTL', `evenkeel:kv:out:${key}`))
    for (const [key, minutes] of Object.entries({ kept: 10, written: 10, touched: 20 })) {
      expect(await ttl(key)).toBeLessThanOrEqual(minutes * 60_000)
      expect(await ttl(key)).toBeGreaterThan((minutes - 2) * 60_000)
    }
  })

  it('writes back nothing that was only read: what was deleted elsewhere, or has ended, stays away', async () => {
    await using sides = await setUp({ writeBack: true })
    const { a, b, server } = sides
    await a.store.setMany([
      ['session', 'mine'],
      ['seen many', 'mine'],
      ['seen has', 'mine'],
      ['seen in outage', 'mine'],
    ])
    await a.store.set('code', '1234', { ttl: 300 })
    await b.store.get('session')
    await b.store.getMany(['seen many', 'code'])
    await b.store.has('seen has')
    await b.store.get('seen in outage')
    await b.cut()
    for (const key of ['session', 'seen many', 'seen has', 'seen in outage']) await a.store.delete(key)
    expect(await b.store.lookUp('seen in outage')).toEqual({ value: 'mine', source: 'memory' })
    await passTime(350)
    await b.restore()
    expect(await server.command('KEYS', '*')).toEqual([])
  })

  it('writes over nothing that another process has changed or deleted meanwhile, nor deletes it', async () => {
    await using sides = await setUp({ writeBack: true })
    const { a, b } = sides
    const keys = ['set', 'deleted', 'gone', 'anew', 'unknown', 'touched']
    for (const key of keys.slice(0, 4)) await b.store.set(key, 'both know it')
    await b.store.set('touched', 'both know it')
    await b.cut()
    for (const key of ['set', 'deleted', 'touched']) await a.store.set(key, 'newer')
    await a.store.delete('gone')
    // Deleted and written again: the version must not be mistaken for the known one.
    await a.store.delete('anew')
    await a.store.set('anew', 'newer')
    await a.store.set('unknown', 'newer')
    for (const key of ['set', 'gone', 'anew', 'unknown']) await b.store.set(key, 'older')
    await b.store.delete('deleted')
    await b.store.touch('touched', '1s')
    await b.restore()
    expect(await a.store.getMany(keys)).toEqual(['newer', 'newer', undefined, 'newer', 'newer', 'newer'])
    expect(await b.store.getMany(keys)).toEqual(['newer', 'newer', undefined, 'newer', 'newer', 'newer'])
  })

  it('deletes nothing on return that it answered to know nothing of', async () => {
    await using sides = await setUp({ writeBack: true })
    const { a, b } = sides
    await a.store.set('theirs', 'v')
    await b.cut()
    expect(await b.store.delete('theirs')).toBe(false)
    await b.restore()
    expect(await a.store.get('theirs')).toBe('v')
  })

  it('knows its own write again whose answer was lost, and writes back what followed it', async () => {
    await using server = await startRedis()
    await using proxy = await startProxy({ host: server.host, port: server.port })
    await using redis = await connect({ url: proxy.url, commandTimeout: '2s' })
    await using store = createKeyValueStore<string>({ redis, prefix: 'out', writeBack: true })
    await store.set('k', 'known')
    await store.set('l', 'known')
    for (const key of ['k', 'l']) {
      const dropped = proxy.dropReplies(1, ([name]) => name?.startsWith('EVAL') === true)
      expect(await store.set(key, 'lost')).toBe(true)
      await dropped.done
      await proxy.refuse()
      await until(() => redis.state === 'down', 10_000)
      expect(await server.command('HGET', `evenkeel:kv:out:${key}`, 'v')).toBe('"lost"')
      if (key === 'k') await store.set(key, 'later')
      else await store.delete(key)
      await proxy.restore()
      await until(() => store.state === 'primary', 20_000)
    }
    expect(await store.getMany(['k', 'l'])).toEqual(['later', undefined])
  })

  it('loses nothing that is written while memory is handed over', async () => {
    await using sides = await setUp({ writeBack: true })
    const { a, server } = sides
    await a.cut()
    const keys = Array.from({ length: 300 }, (_, index) => `k${index}`)
    await a.store.setMany(keys.map((key) => [key, 'first']))
    const restored = a.restore()
    // Writes faster than changes can be written back.
    let round = 0
    const last = new Map<string, string>()
    while (a.store.state !== 'primary') {
      round++
      for (const key of keys.slice(0, 50)) {
        await a.store.set(key, `round ${round}`)
        last.set(key, `round ${round}`)
      }
      await new Promise((resolve) => setImmediate(resolve))
    }
    await restored
    const found = await a.store.getMany(keys)
    expect(found.slice(0, 50)).toEqual(keys.slice(0, 50).map((key) => last.get(key)))
    expect(found.slice(50)).toEqual(keys.slice(50).map(() => 'first'))
    expect(await server.command('DBSIZE')).toBe(300)
  })

  it('serves each value for the time that it had left in Redis, and no longer', async () => {
    await using sides = await setUp({ ttl: '1h' })
    const { a, b } = sides
    await a.store.set('code', 'v', { ttl: 600 })
    await a.store.setMany([['many', 'v']], { ttl: 600 })
    await a.store.set('touched by b', 'v')
    await a.store.set('touched by a', 'v')
    await a.store.set('stays', 'v')
    await a.store.set('gone', 'v')
    await b.store.getMany(['code', 'many', 'touched by b', 'touched by a', 'stays', 'gone'])
    await b.store.touch('touched by b', 600)
    await a.store.touch('touched by a', 600)
    await b.store.get('touched by a')
    await a.store.delete('gone')
    await b.store.get('gone')
    await b.cut()
    expect(await b.store.lookUp('stays')).toEqual({ value: 'v', source: 'memory' })
    await passTime(650)
    const keys = ['code', 'many', 'touched by b', 'touched by a', 'gone', 'stays']
    expect(await b.store.getMany(keys)).toEqual([...Array(5).fill(undefined), 'v'])
    const left = []
    for await (const [key] of b.store.entries()) left.push(key)
    expect(left).toEqual(['stays'])
  })

  it('never gives a part for the whole: a list during which Redis goes away is an error', async () => {
    await using sides = await setUp()
    const { a } = sides
    await a.store.setMany(Array.from({ length: 600 }, (_, index) => [`k${index}`, 'v']))
    const list = a.store.entries()[Symbol.asyncIterator]()
    await list.next()
    await a.cut()
    await expect(
      (async () => {
        while ((await list.next()).done !== true);
      })(),
    ).rejects.toMatchObject({ code: 'CONNECTION_DOWN', message: 'Redis went away during entries()' })
  })
})

it.each([
  [{ prefix: '' }, /^prefix: expected/],
  [{ prefix: 'a b' }, /^prefix: expected/],
  [{ prefix: 'p', ttl: 0 }, /^ttl: expected/],
  [{ prefix: 'p', writeBack: 'no' }, /^writeBack: expected true or false/],
  [{ prefix: 'p', onOutage: 'shrug' }, /^onOutage: expected one of/],
  [{ prefix: 'p', TTL: '1s' }, /^TTL: expected no member of this name \(did you mean 'ttl'\?\)/],
  [{ prefix: 'p', maxEntries: 0 }, /^maxEntries: expected/],
])('refuses %j', (options, message) => {
  expect(() => createKeyValueStore(options as { prefix: string })).toThrow(message)
})

it('promise 8: says what it keeps, and refuses calls once it is closed', async () => {
  const store = createKeyValueStore<number>({ prefix: 'p' })
  await expect(store.set('k', 1, { tll: '1s' } as object)).rejects.toMatchObject({
    code: 'INVALID_INPUT',
  })
  await expect(store.set('k', 1, { ttl: 0 })).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  await store.set('k', 1)
  expect(store.state).toBe('fallback')
  expect(store.stats()).toMatchObject({ writes: 1, memoryEntries: 1 })
  await store.close()
  await store.close()
  await expect(store.get('k')).rejects.toMatchObject({ code: 'CLOSED' })
})
