import {
  clientLibraries,
  flavours,
  passTime,
  type RedisCluster,
  type RedisServer,
  startCluster,
  startRedis,
  until,
} from '@evenkeel/test-servers'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type Connection,
  connect,
  createKeyValueStore,
  ManualClock,
  MemoryKeyValueStore,
  RedisKeyValueStore,
} from '../src/index.js'
import { testKeyValueStore } from '../src/testing/index.js'

const clock = new ManualClock()
testKeyValueStore('memory', {
  create: () => new MemoryKeyValueStore({ clock }),
  pass: (ms) => clock.advance(ms),
})

describe.each(flavours())('on $name', (flavour) => {
  let server: RedisServer
  let redis: Connection

  beforeAll(async () => {
    server = await startRedis({ flavour })
    redis = await connect({ url: server.url })
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
      version: fc.integer({ min: 1, max: 9 }),
      action: fc.constantFrom('set', 'nx', 'version', 'delete', 'increment', 'touch'),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const stores = [new MemoryKeyValueStore(), await create()]
        for (const { key, text, by, version, action } of steps) {
          const [inMemory, inRedis] = await Promise.all(
            stores.map(async (store) => {
              const ttl = { ttlMs: 60_000 }
              const result =
                action === 'delete'
                  ? await store.delete(key)
                  : action === 'touch'
                    ? await store.touch(key, 60_000)
                    : action === 'increment'
                      ? await store.increment(`n${key}`, by, 60_000)
                      : await store.set(key, text, {
                          ...ttl,
                          ...(action === 'nx' && { onlyIfAbsent: true }),
                          ...(action === 'version' && { version }),
                        })
              return [result, await store.getMany(['a', 'b', 'c', 'na', 'nb', 'nc'])]
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
    store.close()
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
    await using redis = await connect({ cluster: { nodes: cluster.rootNodes }, library })
    const store = createKeyValueStore<number>({ redis, prefix: 'spread' })
    await store.setMany(Array.from({ length: 60 }, (_, index) => [`k${index}`, index] as const))
    const values = []
    for await (const [, value] of store.entries()) values.push(value)
    expect(values.sort((one, other) => one - other)).toEqual(Array.from({ length: 60 }, (_, index) => index))
    expect(await store.clear()).toBe(60)
    store.close()
  })
})

describe('over an outage', () => {
  it.each([
    [false, { kept: 'before', written: undefined, deleted: 'here' }],
    [true, { kept: 'during', written: 'new', deleted: undefined }],
  ])('with writeBack %s', async (writeBack, expected) => {
    const server = await startRedis({ args: { appendonly: 'yes', appendfsync: 'always' } })
    const redis = await connect({ url: server.url, commandTimeout: 200 })
    const store = createKeyValueStore<string>({ redis, prefix: 'out', writeBack })
    await store.set('kept', 'before')
    await store.set('deleted', 'here')
    await store.set('elsewhere', 'mine')
    await server.kill()
    await until(() => redis.state === 'down', 1_000)
    expect(await store.lookUp('kept')).toEqual({ value: 'before', source: 'memory' })
    await store.set('kept', 'during')
    await store.set('written', 'new')
    await store.set('elsewhere', 'mine again')
    await store.delete('deleted')
    await server.restart()
    // Somebody else was quicker.
    await server.command('HSET', 'evenkeel:kv:out:elsewhere', 'v', '"theirs"', 'n', '9')
    await until(() => store.state === 'primary', 3_000)
    for (const [key, value] of Object.entries(expected)) expect(await store.get(key)).toBe(value)
    expect(await store.get('elsewhere')).toBe('theirs')
    store.close()
    await redis.close()
    await server.close()
  })

  it.each([{ prefix: '' }, { prefix: 'a b' }, { prefix: 'p', ttl: 0 }])('refuses %j', (options) => {
    expect(() => createKeyValueStore(options)).toThrow(/expected/)
  })
})
