import { ManualClock } from '@evenkeel/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Tier } from '../src/balancing/candidates.js'
import { makeStrategy } from '../src/balancing/strategies/index.js'
import { scheduleOf } from '../src/balancing/strategies/weighted-round-robin.js'
import { bestOfFew } from '../src/balancing/strategy.js'
import { type StrategyName, strategyNames } from '../src/index.js'
import { checkNode } from '../src/nodes/node.js'
import { NodeState } from '../src/nodes/node-state.js'
import { node, useCoordinators } from './pools.js'

const { create } = useCoordinators()

function seeded(seed = 7): () => number {
  let state = seed
  return () => {
    state = (state * 48_271) % 2_147_483_647
    return state / 2_147_483_647
  }
}

function states(count: number, more: (index: number) => object = () => ({})): NodeState[] {
  return Array.from(
    { length: count },
    (_, index) =>
      new NodeState({ node: checkNode(node(`n${index}`, { capacity: 10, ...more(index) })), revision: 1 }, 0),
  )
}

/** How often each node is chosen in this number of draws. */
function tally(name: StrategyName, tier: Tier, draws: number, wanted = (_: number) => ({})): number[] {
  const strategy = makeStrategy[name]()
  const random = seeded()
  const counts = tier.states.map(() => 0)
  for (let draw = 0; draw < draws; draw++) {
    const state = strategy.choose(tier, wanted(draw), 0, random)
    const at = state === undefined ? -1 : tier.states.indexOf(state)
    if (state !== undefined) strategy.given?.(state, wanted(draw))
    counts[at] = (counts[at] ?? 0) + 1
  }
  return counts
}

describe.each(strategyNames)('%s', (name) => {
  it('chooses one of the nodes, whatever is wanted, and nothing only of nothing', () => {
    expect(makeStrategy[name]().choose(new Tier([]), {}, 0, Math.random)).toBeUndefined()
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 300 }),
        fc.option(fc.string({ minLength: 1 }), { nil: undefined }),
        fc.option(fc.array(fc.nat(20), { maxLength: 5 }), { nil: undefined }),
        fc.nat(10),
        (count, sessionKey, prefix, inFlight) => {
          const all = states(count)
          for (const [index, state] of all.entries()) state.inFlight = (index * inFlight) % 11
          const chosen = makeStrategy[name]().choose(new Tier(all), { sessionKey, prefix }, 0, Math.random)
          expect(all).toContain(chosen)
        },
      ),
      { numRuns: 50 },
    )
  })

  it('gives every one of ten equal, idle nodes its part', () => {
    const counts = tally(name, new Tier(states(10)), 10_000, (draw) => ({ sessionKey: `user ${draw}` }))
    expect(Math.min(...counts)).toBeGreaterThan(700)
    expect(Math.max(...counts)).toBeLessThan(1_300)
  })
})

describe('weights', () => {
  it('of round robin are exact over a turn, and spread as evenly as can be', () => {
    const all = states(3, (index) => ({ weight: [5, 1, 1][index], capacity: 1 }))
    const names = scheduleOf(all).map((state) => state.node.id)
    expect(names.join(' ')).toBe('n0 n0 n1 n0 n2 n0 n0')
    expect(scheduleOf(states(2, () => ({ weight: 100_000 })))).toHaveLength(2)
  })

  it('of consistent hashing are the shares of the keys, by rank and on the ring', () => {
    for (const count of [10, 200]) {
      const all = states(count, (index) => ({ weight: index === 0 ? 3 : 1 }))
      const counts = tally('consistent-hash', new Tier(all), 40_000, (draw) => ({
        sessionKey: `key ${draw}`,
      }))
      const mean = 40_000 / (count + 2)
      expect((counts[0] ?? 0) / mean).toBeGreaterThan(2.4)
      expect((counts[0] ?? 0) / mean).toBeLessThan(3.6)
    }
  })
})

describe('consistent hashing', () => {
  it.each([20, 300])('moves only the keys of a node that goes (%i nodes)', (count) => {
    const all = states(count)
    const strategy = makeStrategy['consistent-hash']()
    const homes = (tier: Tier) =>
      Array.from({ length: 2_000 }, (_, key) =>
        strategy.choose(tier, { sessionKey: `k${key}` }, 0, Math.random),
      )
    const before = homes(new Tier(all))
    const after = homes(new Tier(all.slice(1)))
    for (const [key, home] of before.entries()) if (home !== all[0]) expect(after[key]).toBe(home)
  })

  it('sends what a busy home can not take to the next of the key’s own order', () => {
    const all = states(10)
    const tier = new Tier(all)
    const strategy = makeStrategy['consistent-hash']()
    const choose = () => strategy.choose(tier, { sessionKey: 'k' }, 0, Math.random)
    const home = choose()
    if (home !== undefined) home.inFlight = 9
    const second = choose()
    expect(second).not.toBe(home)
    expect(choose()).toBe(second)
    if (home !== undefined) home.inFlight = 0
    expect(choose()).toBe(home)
  })
})

describe('latency', () => {
  it('avoids the slow, and a node that fails at once draws nobody', () => {
    const all = states(3)
    const [slow, broken] = all
    for (let time = 1; time <= 20; time++) {
      for (const state of all) state.succeeded(time, state === slow ? 2_000 : 50)
      broken?.failed(time)
    }
    const strategy = makeStrategy.latency()
    const random = seeded()
    const counts = new Map<NodeState | undefined, number>()
    for (let draw = 0; draw < 3_000; draw++) {
      const state = strategy.choose(new Tier(all), {}, 21, random)
      counts.set(state, (counts.get(state) ?? 0) + 1)
    }
    expect(counts.get(all[2])).toBeGreaterThan(1_900)
    expect(counts.get(slow) ?? 0).toBeLessThan(1_000)
  })

  it('is what most answers took: one long prompt says little, many slow answers say all', () => {
    const [state] = states(1)
    for (let time = 1; time <= 20; time++) state?.succeeded(time, 50)
    state?.succeeded(21, 5_000)
    expect(state?.latencyAt(21)).toBeLessThan(70)
    for (let time = 22; time <= 120; time++) state?.succeeded(time, 500)
    expect(state?.latencyAt(120)).toBeGreaterThan(450)
    for (let time = 121; time <= 220; time++) state?.succeeded(time, 50)
    expect(state?.latencyAt(220)).toBeLessThan(55)
  })

  it('of a node that failed is soon what its answers said, so that it is asked again and found out', () => {
    const [state, other] = states(2)
    for (let time = 1; time <= 20; time++) {
      state?.succeeded(time, 500)
      other?.succeeded(time, 500)
    }
    state?.failed(20)
    expect(state?.latencyAt(20)).toBeGreaterThan(700)
    expect(state?.latencyAt(60_020)).toBeLessThan(1.06 * (other?.latencyAt(60_020) ?? 0))
  })

  it('of a node that is long unused fades, so that it is tried again', () => {
    const [state] = states(1)
    state?.succeeded(1, 10_000)
    expect(state?.latencyAt(60_000)).toBeGreaterThan(8_000)
    expect(state?.latencyAt(3_600_000)).toBe(1)
  })

  it('takes a node that was never heard of for one like the others', () => {
    const all = states(10)
    for (const state of all.slice(1)) state.succeeded(1, 2_000)
    const strategy = makeStrategy.latency()
    const random = seeded()
    const counts = all.map(() => 0)
    for (let draw = 0; draw < 5_000; draw++) {
      const chosen = strategy.choose(new Tier(all), {}, 2, random)
      if (chosen !== undefined) counts[all.indexOf(chosen)] = (counts[all.indexOf(chosen)] ?? 0) + 1
    }
    expect(counts[0]).toBeGreaterThan(300)
    // All else is equal, so the draw decides, and a fraction of a millisecond.
    expect(counts[0]).toBeLessThan(2_500)
  })
})

describe('the best of a few', () => {
  it('finds the emptiest of six nodes always, and of more with the share that is looked at', () => {
    for (const [count, least] of [
      [6, 1],
      [16, 0.3],
      [100, 0.05],
    ] as const) {
      const all = states(count)
      for (const [index, state] of all.entries()) state.inFlight = index === 0 ? 0 : 5
      const random = seeded()
      let found = 0
      for (let draw = 0; draw < 4_000; draw++)
        if (bestOfFew(all, (state) => state.loadAt(0), random) === all[0]) found++
      expect(found / 4_000).toBeGreaterThanOrEqual(least)
      expect(found / 4_000).toBeLessThanOrEqual(Math.min(1, 7 / count))
    }
  })

  it('never draws a node twice, in a pool of any size', () => {
    for (let count = 1; count <= 40; count++) {
      const all = states(count)
      const random = seeded(count)
      for (let draw = 0; draw < 50; draw++) {
        const looked: NodeState[] = []
        bestOfFew(all, (state) => looked.push(state), random)
        expect(new Set(looked).size).toBe(Math.min(6, count))
      }
    }
  })
})

describe('prefix', () => {
  it('goes where the longest beginning of the prompt is, unless that node is much busier', () => {
    const all = states(8)
    const tier = new Tier(all)
    const strategy = makeStrategy.prefix()
    const choose = (prefix: number[]) => strategy.choose(tier, { prefix }, 0, seeded())
    const home = choose([1, 2, 3])
    if (home !== undefined) strategy.given?.(home, { prefix: [1, 2, 3] })
    expect(choose([1, 2, 3, 4])).toBe(home)
    expect(choose([1, 2])).toBe(home)
    if (home !== undefined) home.inFlight = 10
    expect(choose([1, 2, 3, 4])).not.toBe(home)
  })

  it('gives a prompt that nobody knows the same home on every coordinator', () => {
    const homes = [states(8), states(8)].map((all) =>
      makeStrategy.prefix().choose(new Tier(all), { prefix: ['first', 'second'] }, 0, seeded()),
    )
    expect(homes[0]?.node.id).toBe(homes[1]?.node.id)
  })

  it('spreads what has only the system’s prompt in common, and keeps each conversation on its node', () => {
    const all = states(8)
    const tier = new Tier(all)
    const coordinators = [makeStrategy.prefix(), makeStrategy.prefix()]
    const random = seeded()
    const served = all.map(() => 0)
    for (let talk = 0; talk < 400; talk++) {
      const first = ['system', `talk ${talk}`, `talk ${talk}, more`]
      const nodes = [first, [...first, `second turn of ${talk}`]].map((prefix, turn) => {
        // The second turn comes to another coordinator, which has never seen the conversation.
        const strategy = coordinators[turn]
        const state = strategy?.choose(tier, { prefix }, 0, random)
        if (state !== undefined) strategy?.given?.(state, { prefix })?.()
        return state
      })
      const [one, other] = nodes
      if (one !== undefined) served[all.indexOf(one)] = (served[all.indexOf(one)] ?? 0) + 1
      // Before that, the coordinators do not know yet which blocks are common.
      if (talk >= 100) expect(other).toBe(one)
    }
    expect(Math.min(...served)).toBeGreaterThan(15)
    expect(Math.max(...served)).toBeLessThan(110)
  })

  it('counts what a node has to compute, until its request is over', () => {
    const all = states(2)
    const tier = new Tier(all)
    const strategy = makeStrategy.prefix()
    const [one] = all
    if (one === undefined) return
    const long = Array.from({ length: 200 }, (_, index) => `long ${index}`)
    one.inFlight++
    const over = strategy.given?.(one, { prefix: long })
    const homes = () =>
      Array.from({ length: 200 }, (_, at) =>
        strategy.choose(tier, { prefix: [`a ${at}`, `b ${at}`] }, 0, seeded()),
      )
    expect(homes().filter((state) => state === one)).toEqual([])
    one.inFlight--
    over?.()
    expect(homes().filter((state) => state === one).length).toBeGreaterThan(50)
  })
})

describe('prequal', () => {
  it('takes the quickest of the cold, and the emptiest where all are hot', () => {
    const all = states(2)
    const [quick, idle] = all
    quick?.succeeded(1, 5)
    idle?.succeeded(1, 500)
    if (quick !== undefined) quick.inFlight = 1
    const strategy = makeStrategy.prequal()
    const random = seeded()
    const chosen = Array.from({ length: 200 }, () => strategy.choose(new Tier(all), {}, 2, random))
    expect(chosen.slice(32).filter((state) => state === quick).length).toBeGreaterThan(100)
  })
})

describe('a pool', () => {
  it('prefers nodes that have the adapter loaded, up to a margin', async () => {
    const pool = await create({ adapterMargin: 0.3 })
    await pool.register(node('hot', { adapters: ['en-de'], capacity: 10 }))
    await pool.register(node('cold', { capacity: 10 }))
    const given = []
    for (let count = 0; count < 6; count++) given.push((await pool.acquire({ adapter: 'en-de' })).node.id)
    expect(given).toEqual(['hot', 'hot', 'hot', 'hot', 'cold', 'hot'])
  })

  it('says what the nearest node lacks', async () => {
    const pool = await create()
    await pool.register(node('a', { tags: ['v1'], model: 'm' }))
    await pool.register(node('b', { tags: ['v1', 'gpu'], model: 'n' }))
    await expect(pool.acquire({ tags: ['v2', 'gpu'], model: 'n' })).rejects.toMatchObject({
      reason: 'no-match',
      message:
        "1 of 2 have the model 'n', 0 of 2 have the tag 'v2', 1 of 2 have the tag 'gpu'; nearest: b, which lacks the tag 'v2'",
    })
    await pool.drain('b')
    await expect(pool.acquire({ model: 'n' })).rejects.toThrow(
      '1 of 2 nodes fit, and all of these are draining',
    )
  })

  it('gives a node that joins it less than its share at first', async () => {
    const clock = new ManualClock()
    const pool = await create({ clock, slowStart: '10s', random: seeded() })
    for (const name of ['a', 'b', 'c']) await pool.register(node(name, { capacity: 1_000 }))
    clock.advance(11_000)
    await pool.register(node('new', { capacity: 1_000 }))
    clock.advance(1_000)
    const counts = async () => {
      const leases = await Promise.all(Array.from({ length: 400 }, () => pool.acquire()))
      const own = leases.filter((lease) => lease.node.id === 'new').length
      for (const lease of leases) lease.release({ ok: true })
      return own
    }
    expect(await counts()).toBeLessThan(40)
    clock.advance(9_000)
    expect(await counts()).toBeGreaterThan(80)
  })

  it.each([
    [{ strategy: 'best' as 'random' }, 'strategy'],
    [{ adapterMargin: -1 }, 'adapterMargin'],
    [{ slowStart: 'soon' as '1s' }, 'slowStart'],
  ])('refuses %j', async (options, field) => {
    await expect(create(options)).rejects.toMatchObject({ field })
  })

  it.each([
    [{ tags: 'x' as unknown as string[] }, 'tags'],
    [{ model: '' }, 'model'],
    [{ sessionKey: '\ud800' }, 'sessionKey'],
    [{ prefix: 'abc' as unknown as string[] }, 'prefix'],
    [{ timeout: -1 }, 'timeout'],
  ])('refuses a requirement of %j before it takes a place', async (wanted, field) => {
    const pool = await create()
    await pool.register(node('a'))
    await expect(pool.acquire(wanted)).rejects.toMatchObject({ field })
    expect(pool.status().nodes[0]).toMatchObject({ inFlight: 0, requests: 0 })
  })
})
