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
import {
  concurrency,
  type Decision,
  fixedWindow,
  type LimitStore,
  MemoryLimitStore,
  RedisLimitStore,
  slidingWindow,
  tokenBucket,
} from '../src/index.js'
import { testLimitStore } from '../src/testing/index.js'

testLimitStore('memory', { create: (clock) => new MemoryLimitStore({ clock }) })

// Seconds, not milliseconds: the clock is the test's, but Redis expires keys by its own.
// A deployment may change limits while it runs: 128 and 129 differ in the length of their slots.
const deployed = {
  before: [
    slidingWindow(5, '100s'),
    slidingWindow(129, '1000s'),
    tokenBucket({ capacity: 7, refill: 3, every: '100s' }),
    tokenBucket({ capacity: 1_000, refill: 999, every: '1000s' }),
    fixedWindow(9, '100s'),
    fixedWindow(90, '1000s', { align: 'first-use' }),
    concurrency(3, { lease: '100s' }),
  ],
  after: [
    slidingWindow(6, '100s'),
    slidingWindow(128, '1000s'),
    tokenBucket({ capacity: 5, refill: 4, every: '100s' }),
    tokenBucket({ capacity: 900, refill: 1_000, every: '1000s' }),
    fixedWindow(8, '100s'),
    fixedWindow(91, '1000s', { align: 'first-use' }),
    concurrency(2, { lease: '100s' }),
  ],
}

const histories = fc.array(
  fc.record({
    waitSeconds: fc.nat(150),
    costs: fc.tuple(fc.nat(5), fc.nat(60), fc.nat(5), fc.nat(400), fc.nat(5), fc.nat(60), fc.nat(1)),
    /** Which of the limits the call names. */
    named: fc.array(fc.boolean(), { minLength: 7, maxLength: 7 }),
    limits: fc.constantFrom('before', 'after'),
    what: fc.constantFrom('charge', 'charge', 'peek', 'book', 'reserve', 'settle', 'learn', 'renew', 'reset'),
    subject: fc.constantFrom('a', 'b'),
    id: fc.constantFrom('r1', 'r2', 'r3'),
    part: fc.constantFrom(1_000, 1_000, 500),
  } as const),
  { minLength: 1, maxLength: 40, size: 'max' },
)
type Step = typeof histories extends fc.Arbitrary<(infer S)[]> ? S : never

/** One operation, and all that a store says of it. */
async function play(store: LimitStore, step: Step): Promise<unknown> {
  const { costs, named, limits, what, subject, id, part: perMille } = step
  const demands = deployed[limits].flatMap((limit, index) =>
    named[index] ? [{ subject, name: `l${index}`, limit, cost: costs[index] ?? 0 }] : [],
  )
  const slot = { subject, name: 'l6', limit: deployed[limits][6] ?? concurrency(1), id, cost: 1 }
  if (demands.length === 0) return undefined
  const openMs = 500_000
  const rates = demands.filter(({ limit }) => limit.kind !== 'concurrency')
  const decided = ({ abandoned: _, leased: __, ...decision }: Decision) => decision
  switch (what) {
    case 'charge':
    case 'peek':
      return decided(await store.decide(demands, { mode: what, perMille }))
    case 'reserve':
      return decided(await store.decide(demands, { id, openMs, perMille }))
    case 'book':
      return decided(await store.decide(demands, { mode: 'book', maxDelayMs: 700_000, id, openMs }))
    case 'settle':
      return store.settle({
        id,
        changes: [
          ...rates.map((one, index) => ({
            ...one,
            change: index % 2 === 0 ? one.cost : -one.cost,
            chargedAtMs: 1_700_000_000_000,
          })),
          { ...slot, change: -1, chargedAtMs: 0 },
        ],
      })
    case 'learn':
      return store.learn(rates.map((one) => ({ ...one, remaining: one.cost, resetMs: 30_000 })))
    case 'renew':
      return store.renew([slot], perMille === 500)
    case 'reset':
      return store.reset(demands)
  }
}

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
    await fc.assert(
      fc.asyncProperty(histories, async (steps) => {
        const clock = new ManualClock()
        const inMemory = new MemoryLimitStore({ clock })
        const inRedis = fresh(redis, clock)
        for (const step of steps) {
          clock.advance(step.waitSeconds * 1_000)
          const expected = await play(inMemory, step)
          expect(await play(inRedis, step)).toEqual(expected)
        }
      }),
      { numRuns: 100 },
    )
  })

  it('answers calls of one turn as if they had come one after the other', async () => {
    await fc.assert(
      fc.asyncProperty(histories, async (steps) => {
        const clock = new ManualClock()
        const [together, apart] = [fresh(redis, clock), fresh(redis, clock)]
        const expected = []
        for (const step of steps) expected.push(await play(apart, step))
        expect(await Promise.all(steps.map((step) => play(together, step)))).toEqual(expected)
      }),
      { numRuns: 50 },
    )
  })

  it('leaves nothing in Redis after the windows have ended', async () => {
    const store = new RedisLimitStore(redis, { name: 'short' })
    const limits = [
      slidingWindow(5, 50),
      tokenBucket({ capacity: 5, refill: 5, every: 50 }),
      fixedWindow(5, 50, { align: 'first-use' }),
      concurrency(5, { lease: 100 }),
    ]
    const demands = limits.map((limit, index) => ({ subject: 'u', name: `l${index}`, limit, cost: 5 }))
    await store.decide(demands, { id: 'r', openMs: 100 })
    const ttls = []
    for (const key of (await redis.command(['KEYS', '*short*'])) as string[])
      ttls.push(await redis.command(['PTTL', key]))
    expect(ttls.length).toBe(6)
    for (const ttl of ttls) {
      expect(Number(ttl)).toBeGreaterThan(0)
      expect(Number(ttl)).toBeLessThanOrEqual(101)
    }
  })

  it('makes others pay nothing for a subject whose key is broken', async () => {
    const store = new RedisLimitStore(redis, { name: 'broken' })
    const limit = slidingWindow(5, '1m')
    const ask = (subject: string) => store.decide([{ subject, name: 'l', limit, cost: 1 }])
    await ask('bad')
    for (const key of (await redis.command(['KEYS', '*broken*bad*'])) as string[])
      await redis.command(['SET', key, 'text'])
    const [good, bad, other] = await Promise.allSettled([ask('good'), ask('bad'), ask('other')])
    expect(good).toMatchObject({ value: { outcome: 'allowed', verdicts: [{ remaining: 4 }] } })
    expect(bad.status).toBe('rejected')
    expect(other).toMatchObject({ value: { outcome: 'allowed' } })
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
