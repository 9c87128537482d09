import { type Connection, connect, ManualClock } from '@evenkeel/core'
import {
  flavours,
  type RedisCluster,
  type RedisServer,
  startCluster,
  startRedis,
} from '@evenkeel/test-servers'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MemoryLimitStore, RedisLimitStore, slidingWindow, tokenBucket } from '../src/index.js'
import { testLimitStore } from '../src/testing/index.js'

testLimitStore('memory', { create: (clock) => new MemoryLimitStore({ clock }) })

let stores = 0
const fresh = (redis: Connection, clock: ManualClock) =>
  new RedisLimitStore(redis, { name: `test-${stores++}`, now: () => clock.now() })

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

  testLimitStore('Redis', { create: (clock) => fresh(redis, clock) })

  it('gives the same answers as memory to the same random calls', async () => {
    // Seconds, not milliseconds: the clock is the test's, but Redis expires keys by its own.
    // A deployment may change limits while it runs: 128 and 129 differ in the length of their slots.
    const before = [
      slidingWindow(5, '100s'),
      slidingWindow(129, '1000s'),
      tokenBucket({ capacity: 7, refill: 3, every: '100s' }),
      tokenBucket({ capacity: 1_000, refill: 999, every: '1000s' }),
    ]
    const after = [
      slidingWindow(6, '100s'),
      slidingWindow(128, '1000s'),
      tokenBucket({ capacity: 5, refill: 4, every: '100s' }),
      tokenBucket({ capacity: 900, refill: 1_000, every: '1000s' }),
    ]
    const step = fc.record({
      waitSeconds: fc.integer({ min: -20, max: 150 }),
      costs: fc.tuple(fc.nat(5), fc.nat(60), fc.nat(5), fc.nat(400)),
      limits: fc.constantFrom(before, after),
      peek: fc.boolean(),
      subject: fc.constantFrom('a', 'b'),
    })
    const steps = fc.array(step, { minLength: 1, maxLength: 40, size: 'max' })
    await fc.assert(
      fc.asyncProperty(steps, async (taken) => {
        const clock = new ManualClock()
        const inMemory = new MemoryLimitStore({ clock })
        const inRedis = fresh(redis, clock)
        for (const { waitSeconds, costs, limits, peek, subject } of taken) {
          clock.advance(waitSeconds * 1_000)
          const demands = limits.map((limit, index) => ({
            name: `l${index}`,
            limit,
            cost: costs[index] ?? 0,
          }))
          const expected = await inMemory.decide(subject, demands, peek)
          expect(await inRedis.decide(subject, demands, peek)).toEqual(expected)
        }
      }),
      { numRuns: 100 },
    )
  })

  it('leaves nothing in Redis after the windows have ended', async () => {
    const store = new RedisLimitStore(redis, { name: 'short' })
    const limits = [slidingWindow(5, 50), tokenBucket({ capacity: 5, refill: 5, every: 50 })]
    const demands = limits.map((limit, index) => ({ name: `l${index}`, limit, cost: 5 }))
    await store.decide('u', demands, false)
    const ttls = []
    for (const key of (await redis.command(['KEYS', '*short*'])) as string[])
      ttls.push(await redis.command(['PTTL', key]))
    expect(ttls.length).toBe(3)
    for (const ttl of ttls) expect(Number(ttl)).toBeLessThanOrEqual(51)
  })
})

describe('on a Cluster', () => {
  let cluster: RedisCluster
  let redis: Connection

  beforeAll(async () => {
    cluster = await startCluster()
    redis = await connect({ cluster: { nodes: cluster.rootNodes } })
  })
  afterAll(async () => {
    await redis.close()
    await cluster.close()
  })

  testLimitStore('Redis Cluster (promise 9)', { create: (clock) => fresh(redis, clock) })
})
