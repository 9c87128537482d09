import { type Connection, connect, ManualClock } from '@evenkeel/core'
import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { concurrency, fixedWindow, type Limit, slidingWindow, tokenBucket } from '../src/index.js'
import {
  type Decision,
  type LimitCost,
  type LimitStore,
  MemoryLimitStore,
  RedisLimitStore,
} from '../src/store.js'

/**
 * Some sets have several limits, so that one limit may book a call far later than another one requires. The windows are
 * long, because Redis expires keys by its own clock, not by the test's.
 */
const sets: readonly Readonly<Record<string, Limit>>[] = [
  { window: slidingWindow(3, '1000s') },
  { fixed: fixedWindow(3, '1000s', { align: 'first-use' }) },
  { clock: fixedWindow(2, '700s') },
  { bucket: tokenBucket({ capacity: 4, refill: 2, every: '500s' }) },
  { window: slidingWindow(2, '1500s'), bucket: tokenBucket({ capacity: 5, refill: 5, every: '400s' }) },
  {
    fixed: fixedWindow(2, '900s'),
    bucket: tokenBucket({ capacity: 3, refill: 1, every: '300s' }),
    window: slidingWindow(4, '600s'),
  },
]

/** The test's clock stays this far from the end of a window, since its key expires by the clock of Redis. */
const marginMs = 60_000

interface Step {
  readonly passMs: number
  readonly what: 'check' | 'wait'
  readonly cost: number
  /** Index of the waiting call that gives up after this step; none if there are fewer. */
  readonly givesUp: number
}

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    passMs: fc.nat(400_000),
    what: fc.constantFrom('check', 'wait', 'wait', 'wait'),
    cost: fc.integer({ min: 1, max: 2 }),
    givesUp: fc.nat(6),
  }),
  { minLength: 5, maxLength: 40 },
)

const giveUp = (
  store: LimitStore,
  { limitCosts, decision }: { limitCosts: readonly LimitCost[]; decision: Decision },
) =>
  store.giveBack(
    limitCosts.map((limitCost, index) => ({
      ...limitCost,
      change: -limitCost.cost,
      chargedAtMs: decision.results[index]?.chargedAtMs ?? 0,
    })),
  )

/**
 * Runs the steps. Each waiting call gives up, so in the end a store that never saw them must give the same answers.
 * A direct check is made only while no call waits, because waiting calls come before it.
 */
async function run(
  limits: Readonly<Record<string, Limit>>,
  plan: readonly Step[],
  make: (clock: ManualClock) => LimitStore,
) {
  const clock = new ManualClock()
  const [store, twin] = [make(clock), new MemoryLimitStore({ clock })]
  const costsOf = (cost: number) =>
    Object.entries(limits).map(([name, limit]) => ({ subject: 'u', name, limit, cost }))
  let waiting: { limitCosts: readonly LimitCost[]; decision: Decision; untilMs: number }[] = []
  /** Passes ends of windows that are near, as `marginMs` says; a waiting call keeps the clock away from them itself. */
  const passEnds = async () => {
    while (waiting.length === 0) {
      const [peek] = await store.decide([{ limitCosts: costsOf(1), options: { mode: 'peek' } }])
      const now = clock.now()
      const ends = (peek?.results ?? [])
        .map(({ resetAtMs }) => resetAtMs)
        .filter((at) => at > now && at < now + marginMs)
      if (ends.length === 0) break
      clock.advance(Math.max(...ends) - now)
    }
  }
  for (const { passMs, what, cost, givesUp } of plan) {
    // The clock never reaches the time of a waiting call, which gives up before.
    const nextMs = Math.min(...waiting.map(({ untilMs }) => untilMs), Number.POSITIVE_INFINITY)
    clock.advance(Math.min(passMs, Math.max(0, nextMs - clock.now() - marginMs)))
    await passEnds()
    const limitCosts = costsOf(cost)
    if (what === 'check' && waiting.length === 0) {
      const [one] = await store.decide([{ limitCosts }])
      const [other] = await twin.decide([{ limitCosts }])
      expect(one?.outcome).toBe(other?.outcome)
    } else {
      const [decision] = await store.decide([
        { limitCosts, options: { mode: 'book', maxDelayMs: 60_000_000, id: 'w' } },
      ])
      // A call that is admitted at once is charged in both stores.
      if (decision?.outcome === 'allowed') await twin.decide([{ limitCosts }])
      else if (decision?.outcome === 'booked')
        waiting.push({ limitCosts, decision, untilMs: clock.now() + decision.delayMs })
    }
    const leaving = waiting[givesUp]
    if (leaving !== undefined) {
      await giveUp(store, leaving)
      waiting = waiting.filter((one) => one !== leaving)
    }
  }
  for (const one of waiting) await giveUp(store, one)
  waiting = []
  await passEnds()
  const ask = async (own: LimitStore) => {
    const peeks = [1, 2].map((cost) => ({ limitCosts: costsOf(cost), options: { mode: 'peek' as const } }))
    const decisions = await own.decide(peeks)
    return decisions.map(({ outcome, results }) => ({
      outcome,
      results: results.map(({ remaining, retryAfterMs, resetAtMs }) => ({
        remaining,
        retryAfterMs,
        resetAtMs,
      })),
    }))
  }
  expect(await ask(store)).toEqual(await ask(twin))
}

describe('calls that wait and give up', () => {
  let server: RedisServer
  let redis: Connection
  beforeAll(async () => {
    server = await startRedis()
    redis = await connect({ url: server.url })
  })
  afterAll(async () => {
    await redis.close()
    await server.close()
  })

  it.each(sets)('leave nothing behind in memory: %j', async (limits) => {
    await fc.assert(
      fc.asyncProperty(steps, (plan) => run(limits, plan, (clock) => new MemoryLimitStore({ clock }))),
      { numRuns: 300 },
    )
  })

  it.each(sets)('leave nothing behind in Redis: %j', async (limits) => {
    let count = 0
    await fc.assert(
      fc.asyncProperty(steps, (plan) =>
        run(limits, plan, (clock) => {
          const name = `${Object.keys(limits).join('-')}-${Object.values(limits)[0]?.limit}-${count++}`
          return new RedisLimitStore(redis, { name, now: () => clock.now() })
        }),
      ),
      { numRuns: 40 },
    )
  })

  it('leave the line for a slot', async () => {
    const clock = new ManualClock()
    for (const store of [
      new MemoryLimitStore({ clock }),
      new RedisLimitStore(redis, { name: 'line', now: () => clock.now() }),
    ]) {
      const limitCosts = [{ subject: 'u', name: 'parallel', limit: concurrency(1), cost: 1 }]
      await store.decide([{ limitCosts, options: { id: 'holder', openMs: 60_000 } }])
      for (let index = 0; index < 20; index++) {
        const [queued] = await store.decide([
          { limitCosts, options: { mode: 'book', id: `w${index}`, openMs: 60_000 } },
        ])
        expect(queued?.outcome).toBe('queued')
        await store.settle({
          id: `w${index}`,
          changes: limitCosts.map((one) => ({ ...one, change: -1, chargedAtMs: 0 })),
        })
      }
      await store.settle({
        id: 'holder',
        changes: limitCosts.map((one) => ({ ...one, change: -1, chargedAtMs: 0 })),
      })
      const [next] = await store.decide([{ limitCosts, options: { id: 'next', openMs: 60_000 } }])
      expect(next?.outcome).toBe('allowed')
    }
  })
})
