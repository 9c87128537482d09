import { type Connection, connect, ManualClock, ReplyError } from '@evenkeel/core'
import {
  clientLibraries,
  flavours,
  type RawClient,
  type RedisCluster,
  type RedisServer,
  startCluster,
  startRedis,
} from '@evenkeel/test-servers'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { concurrency, fixedWindow, slidingWindow, tokenBucket } from '../src/index.js'
import { OfflineCharges } from '../src/outage/offline-charges.js'
import {
  type Decision,
  type LimitCost,
  type LimitStore,
  MemoryLimitStore,
  RedisLimitStore,
} from '../src/store.js'
import { testLimitStore } from '../src/testing/index.js'

testLimitStore('memory', { create: (clock) => new MemoryLimitStore({ clock }) })

// Times are seconds, not milliseconds, because Redis expires keys by its own clock, not by the test's.
// A deployment may change limits while they are in use: 128 and 129 differ in the length of their slots.
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
    what: fc.constantFrom(
      'charge',
      'charge',
      'peek',
      'book',
      'reserve',
      'settle',
      'learn',
      'renew',
      'merge',
      'reset',
    ),
    subject: fc.constantFrom('a', 'b'),
    id: fc.constantFrom('r1', 'r2', 'r3'),
    part: fc.constantFrom(1_000, 1_000, 500),
  } as const),
  { minLength: 1, maxLength: 40, size: 'max' },
)
type Step = typeof histories extends fc.Arbitrary<(infer S)[]> ? S : never

/** Tells the store of charges that were made `ageMs` ago. */
type ChargedAlone = (limitCosts: readonly LimitCost[], ageMs: number) => void

/** Runs one operation, and returns all that a store reports about it. */
async function play(store: LimitStore, step: Step, chargedAlone: ChargedAlone): Promise<unknown> {
  const { costs, named, limits, what, subject, id, part: perMille } = step
  const limitCosts = deployed[limits].flatMap((limit, index) =>
    named[index] ? [{ subject, name: `l${index}`, limit, cost: costs[index] ?? 0 }] : [],
  )
  const slot = { subject, name: 'l6', limit: deployed[limits][6] ?? concurrency(1), id, cost: 1 }
  if (limitCosts.length === 0) return undefined
  const openMs = 500_000
  const rates = limitCosts.filter(({ limit }) => limit.kind !== 'concurrency')
  const decided = ([decision]: readonly Decision[]) => ({ ...decision, abandoned: 0, leased: undefined })
  switch (what) {
    case 'charge':
    case 'peek':
      return decided(await store.decide([{ limitCosts, options: { mode: what, perMille } }]))
    case 'reserve':
      return decided(await store.decide([{ limitCosts, options: { id, openMs, perMille } }]))
    case 'book':
      return decided(
        await store.decide([{ limitCosts, options: { mode: 'book', maxDelayMs: 700_000, id, openMs } }]),
      )
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
    case 'merge':
      // Charges of a bucket have no age: which of two limits refilled it since, only one of the stores knows.
      for (const rate of rates)
        chargedAlone([rate], rate.limit.kind === 'token-bucket' ? 0 : costs[0] * 10_000)
      return decided(await store.decide([{ limitCosts, options: { mode: 'peek' } }]))
    case 'renew':
      return store.renew([slot], perMille === 500)
    case 'reset':
      return store.reset(limitCosts)
  }
}

let stores = 0
const fresh = (redis: Connection, clock: ManualClock, offlineCharges?: OfflineCharges) =>
  new RedisLimitStore(redis, { name: `test-${stores++}`, now: () => clock.now(), offlineCharges })

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

  testLimitStore('Redis', { create: (clock) => fresh(redis, clock) })

  /** Plays the steps on both, and expects the same answers. */
  async function compare(steps: readonly Step[]): Promise<void> {
    const clock = new ManualClock()
    const inMemory = new MemoryLimitStore({ clock })
    const offlineCharges = new OfflineCharges(100)
    const inRedis = fresh(redis, clock, offlineCharges)
    for (const step of steps) {
      clock.advance(step.waitSeconds * 1_000)
      const expected = await play(inMemory, step, (limitCosts, ageMs) => {
        inMemory.mirror(limitCosts, clock.now() - ageMs)
      })
      const given = await play(inRedis, step, (limitCosts, ageMs) => {
        for (const limitCost of limitCosts) {
          if (limitCost.cost > 0)
            offlineCharges.add(limitCost, { atMs: clock.now() - ageMs, cost: limitCost.cost })
        }
      })
      expect(given).toEqual(expected)
    }
  }

  it('gives the same answers as memory to the same random calls', async () => {
    await fc.assert(fc.asyncProperty(histories, compare), {
      numRuns: 100 * Number(process.env.EVENKEEL_RUNS ?? 1),
    })
  })

  it('counts a charge of an outage in no window when its own is over, whatever was asked meanwhile', async () => {
    const step = {
      waitSeconds: 0,
      costs: [0, 0, 0, 0, 0, 0, 0] as Step['costs'],
      named: [false, false, false, false, false, true, false],
      limits: 'before',
      what: 'charge',
      subject: 'a',
      id: 'r1',
      part: 1_000,
    } as const satisfies Step
    await compare([
      { ...step, what: 'merge', costs: [2, 0, 0, 0, 0, 1, 0] },
      { ...step, waitSeconds: 980 },
      { ...step, what: 'merge', costs: [1, 0, 0, 0, 0, 1, 0] },
      { ...step, what: 'settle', costs: [0, 0, 0, 0, 0, 3, 0] },
      { ...step, what: 'merge', costs: [1, 0, 0, 0, 0, 1, 0] },
    ])
  })

  it('decides requests of one call as if they had come one by one', async () => {
    await fc.assert(
      fc.asyncProperty(histories, async (steps) => {
        const clock = new ManualClock()
        const [together, apart] = [fresh(redis, clock), fresh(redis, clock)]
        const requests = steps.flatMap(({ costs, named, limits, what, subject, id, part: perMille }) => {
          const limitCosts = deployed[limits].flatMap((limit, index) =>
            // Only the limits of `before`: one call can't contain a limit of a subject with two definitions.
            named[index] && limits === 'before'
              ? [{ subject, name: `l${index}`, limit, cost: costs[index] ?? 0 }]
              : [],
          )
          const mode = what === 'peek' || what === 'book' ? what : 'charge'
          return limitCosts.length === 0
            ? []
            : [{ limitCosts, options: { mode, perMille, maxDelayMs: 700_000, id, openMs: 500_000 } as const }]
        })
        const expected = []
        for (const request of requests) expected.push(...(await apart.decide([request])))
        expect(await together.decide(requests)).toEqual(expected)
      }),
      { numRuns: 50 },
    )
  })

  it('leaves what remains as it was when a lease is given back', async () => {
    const limits = [
      slidingWindow(1_000, '100s'),
      slidingWindow(100, '100s'),
      tokenBucket({ capacity: 1_000, refill: 1_000, every: '100s' }),
      fixedWindow(1_000, '1000s'),
    ]
    const moves = fc.array(fc.record({ waitMs: fc.nat(3_000), cost: fc.nat(20), units: fc.nat(40) }), {
      maxLength: 25,
    })
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...limits), moves, async (limit, steps) => {
        const clock = new ManualClock()
        const [leasing, plain] = [fresh(redis, clock), fresh(redis, clock)]
        const forMs = 2_000
        for (const { waitMs, cost, units } of steps) {
          clock.advance(waitMs)
          const limitCost = { subject: 'u', name: 'l', limit, cost }
          const leaseRequests = [{ units: units + 1, divisor: 2, forMs }]
          const [decision] = await leasing.decide([{ limitCosts: [limitCost], options: { leaseRequests } }])
          const [expected] = await plain.decide([{ limitCosts: [limitCost] }])
          expect(decision?.outcome).toBe(expected?.outcome)
          const leased = decision?.leased?.[0] ?? 0
          expect(leased).toBeLessThanOrEqual(Math.min(units + 1, (expected?.results[0]?.remaining ?? 0) / 2))
          const chargedAtMs = (decision?.results[0]?.chargedAtMs ?? 0) + forMs
          if (leased > 0) await leasing.giveBack([{ ...limitCost, change: -leased, chargedAtMs }])
          // A lease of a bucket also withholds what would refill until its end.
          if (limit.kind === 'token-bucket') continue
          const [after] = await leasing.decide([{ limitCosts: [{ ...limitCost, cost: 0 }] }])
          expect(after?.results[0]?.remaining).toBe(expected?.results[0]?.remaining)
        }
      }),
      { numRuns: 60 },
    )
  })

  it('remembers that a charge of an outage was merged for as long as the charge counts', async () => {
    const clock = new ManualClock()
    const offlineCharges = new OfflineCharges(100)
    const store = fresh(redis, clock, offlineCharges)
    const hour = 3_600_000
    const limits = [
      slidingWindow(1_000, hour),
      fixedWindow(1_000, hour),
      tokenBucket({ capacity: 1_000, refill: 1_000, every: hour }),
    ]
    for (const [index, limit] of limits.entries()) {
      const limitCost = { subject: 'merged', name: `m${index}`, limit, cost: 1 }
      offlineCharges.add(limitCost, { atMs: clock.now(), cost: 1 })
      await store.decide([{ limitCosts: [limitCost], options: { mode: 'peek' } }])
    }
    const markers = (await redis.command(['KEYS', '*merged*:m:*'])) as string[]
    expect(markers).toHaveLength(limits.length)
    for (const marker of markers) {
      expect(Number(await redis.command(['PTTL', marker]))).toBeGreaterThan(0.9 * hour)
    }
  })

  it('gives every key a time, no longer than its window', async () => {
    const store = new RedisLimitStore(redis, { name: 'short' })
    const limits = [
      slidingWindow(5, '20s'),
      tokenBucket({ capacity: 5, refill: 5, every: '20s' }),
      fixedWindow(5, '20s', { align: 'first-use' }),
      concurrency(5, { lease: '20s' }),
    ]
    const limitCosts = limits.map((limit, index) => ({ subject: 'u', name: `l${index}`, limit, cost: 5 }))
    await store.decide([{ limitCosts, options: { id: 'r', openMs: 20_000 } }])
    const ttls = []
    for (const key of (await redis.command(['KEYS', '*short*'])) as string[])
      ttls.push(await redis.command(['PTTL', key]))
    expect(ttls.length).toBe(5)
    for (const ttl of ttls) {
      expect(Number(ttl)).toBeGreaterThan(0)
      expect(Number(ttl)).toBeLessThanOrEqual(20_001)
    }
  })
})

describe.each(clientLibraries)('with a client of $name', (library) => {
  let server: RedisServer
  let client: RawClient
  let redis: Connection

  beforeAll(async () => {
    server = await startRedis()
    client = await library.createClient(server.url)
    redis = await connect({ client, commandTimeout: '30s', connectionTimeout: '30s' })
  })
  afterAll(async () => {
    await redis.close()
    await library.closeClient(client)
    await server.close()
  })

  testLimitStore(`Redis, ${library.name}`, { create: (clock) => fresh(redis, clock) })
})

describe('on a Cluster', () => {
  let cluster: RedisCluster

  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterAll(() => cluster.close())

  describe.each(clientLibraries)('with $name', (library) => {
    let redis: Connection

    beforeAll(async () => {
      redis = await connect({
        cluster: { nodes: cluster.rootNodes },
        library: (await library.load()) as object,
        commandTimeout: '30s',
        connectionTimeout: '30s',
      })
    })
    afterAll(() => redis.close())

    it('refunds the first subject if Redis refuses the call about the second one', async () => {
      const clock = new ManualClock()
      const refusing = new Proxy(redis, {
        get: (target, name) => {
          if (name !== 'run') return Reflect.get(target, name)?.bind?.(target) ?? Reflect.get(target, name)
          const run: Connection['run'] = (script, keys, args, options) =>
            String(keys[0]).includes('second')
              ? Promise.reject(new ReplyError('EVALSHA', 'NOPERM'))
              : target.run(script, keys, args, options)
          return run
        },
      })
      const limit = slidingWindow(10, '100s')
      const first = { subject: 'first', name: 'l', limit, cost: 3 }
      const store = fresh(refusing, clock)
      const limitCosts = [first, { ...first, subject: 'second' }]
      await expect(store.decide([{ limitCosts }])).rejects.toMatchObject({ code: 'REDIS_REPLY' })
      const [left] = await store.decide([{ limitCosts: [{ ...first, cost: 0 }] }])
      expect(left?.results[0]?.remaining).toBe(10)
    })

    testLimitStore(`Redis Cluster (promise 9), ${library.name}`, { create: (clock) => fresh(redis, clock) })
  })
})
