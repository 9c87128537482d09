import { ManualClock } from '@evenkeel/core'
import { type RedisServer, startRedis, until } from '@evenkeel/test-servers'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Outliers } from '../src/health/outliers.js'
import type { DecoderPool, DecoderPoolOptions, NodeLease } from '../src/index.js'
import { checkNode } from '../src/nodes/node.js'
import { NodeState } from '../src/nodes/node-state.js'
import { node, useCoordinators } from './pools.js'

const { create, join } = useCoordinators()

async function poolOf(count: number, options: DecoderPoolOptions = {}) {
  const clock = new ManualClock()
  const pool = await create({ clock, ...options })
  for (let index = 0; index < count; index++) {
    await pool.register(node(`n${index}`, { capacity: 1_000, tags: [`n${index}`] }))
  }
  return { pool, clock }
}
const statusOf = (pool: DecoderPool, id: string) =>
  pool.status().nodes.find((one) => one.node.id === id) ?? expect.unreachable()
const stateOf = (pool: DecoderPool, id: string) => statusOf(pool, id).state
const ejectedIn = (pool: DecoderPool) => pool.status().nodes.filter((one) => one.ejected).length

/** Makes requests until the node gets one, and returns that one; the others go well. */
async function reach(pool: DecoderPool, id: string): Promise<NodeLease | undefined> {
  for (let count = 0; count < 200; count++) {
    const lease = await pool.acquire()
    if (lease.node.id === id) return lease
    lease.release({ ok: true })
  }
  return undefined
}
async function fail(pool: DecoderPool, id: string): Promise<void> {
  const lease = await pool.acquire({ tags: [id] })
  expect(lease.node.id).toBe(id)
  lease.release({ ok: false })
}

describe('a node that fails', () => {
  it('is out of the choices after three failed calls', async () => {
    const { pool } = await poolOf(5)
    for (let count = 0; count < 3; count++) await fail(pool, 'n0')
    expect(stateOf(pool, 'n0')).toBe('ejected')
    expect(await reach(pool, 'n0')).toBeUndefined()
    expect(statusOf(pool, 'n0').ejection).toMatchObject({ reason: 'failures' })
  })

  it('is out for longer each time, up to the most, and a good time lowers that', async () => {
    const { pool, clock } = await poolOf(4, { ejectAfter: 1 })
    const timeOut = () => statusOf(pool, 'n0').ejection?.forMs ?? 0
    const seconds = async () => {
      await fail(pool, 'n0')
      const lengthMs = timeOut()
      clock.advance(lengthMs + 1)
      return lengthMs / 1_000
    }
    const lengths: number[] = []
    for (let round = 0; round < 12; round++) lengths.push(await seconds())
    for (const [round, length] of lengths.entries()) {
      expect(length).toBeGreaterThanOrEqual(Math.min(300, 30 * (round + 1)) * 0.9)
      expect(length).toBeLessThanOrEqual(Math.min(300, 30 * (round + 1)) * 1.1)
    }
    // Lengths differ, so that coordinators that saw the same failures do not use the node again at the same time.
    expect(new Set(lengths.slice(9).map((length) => length.toFixed(3))).size).toBeGreaterThan(1)
    ;(await reach(pool, 'n0'))?.release({ ok: true })
    clock.advance(10 * 30_000)
    expect(await seconds()).toBeLessThanOrEqual(3 * 33)
    ;(await reach(pool, 'n0'))?.release({ ok: true })
    clock.advance(20 * 30_000)
    expect(await seconds()).toBeLessThanOrEqual(33)
  })

  it('is tried by one request at a time when its time is over', async () => {
    const { pool, clock } = await poolOf(3, { ejectAfter: 1 })
    await fail(pool, 'n0')
    clock.advance(33_001)
    expect(stateOf(pool, 'n0')).toBe('trial')
    const trial = await reach(pool, 'n0')
    expect(trial).toBeDefined()
    expect(await reach(pool, 'n0')).toBeUndefined()
    // The trial was neither good nor bad, so the next request is the trial.
    trial?.release({ ok: true, error: new Error('the caller left') })
    const second = await reach(pool, 'n0')
    expect(await reach(pool, 'n0')).toBeUndefined()
    second?.release({ ok: false })
    expect(stateOf(pool, 'n0')).toBe('ejected')
    expect(statusOf(pool, 'n0').ejection?.forMs).toBeGreaterThan(53_000)
    clock.advance(66_001)
    ;(await reach(pool, 'n0'))?.release({ ok: true })
    expect(stateOf(pool, 'n0')).toBe('warming')
    expect(statusOf(pool, 'n0')).toMatchObject({ ejected: false, ejection: undefined })
    clock.advance(30_001)
    expect(stateOf(pool, 'n0')).toBe('serving')
  })

  it('is not tried out of turn by the end of what it had before', async () => {
    const { pool, clock } = await poolOf(3, { ejectAfter: 1 })
    const [before, alsoBefore] = [await pool.acquire({ tags: ['n0'] }), await pool.acquire({ tags: ['n0'] })]
    ;(await pool.acquire({ tags: ['n0'] })).release({ ok: false })
    const ejection = statusOf(pool, 'n0').ejection
    before.release({ ok: false })
    alsoBefore.release({ ok: true })
    expect(statusOf(pool, 'n0').ejection).toEqual(ejection)
    clock.advance(33_001)
    expect(stateOf(pool, 'n0')).toBe('trial')
  })

  it('is back when it served because all others were out too', async () => {
    const { pool } = await poolOf(4, { ejectAfter: 1 })
    await fail(pool, 'n0')
    // For a request that only this node fits, all nodes that fit are out, so they are used.
    const lease = await pool.acquire({ tags: ['n0'] })
    expect(stateOf(pool, 'n0')).toBe('ejected')
    lease.release({ ok: true })
    expect(statusOf(pool, 'n0').ejected).toBe(false)
  })

  it.each([1, 2, 3, 5, 20, 21])('takes half of the pool with it at most: %i nodes', async (count) => {
    const { pool } = await poolOf(count, { ejectAfter: 1 })
    for (let request = 0; request < 30 * count; request++) (await pool.acquire()).release({ ok: false })
    expect(ejectedIn(pool)).toBe(Math.floor(count / 2))
    expect(pool.pick()).toBeDefined()
  })

  it('never makes more than half be out, whatever happens in whatever order', async () => {
    const step = fc.record({
      action: fc.constantFrom('take', 'take', 'release', 'release', 'pass'),
      ok: fc.boolean(),
      index: fc.nat(5),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 6 }),
        fc.array(step, { maxLength: 80 }),
        async (count, steps) => {
          const { pool, clock } = await poolOf(count, { ejectAfter: 1, probe: false })
          const leases: NodeLease[] = []
          for (const { action, ok, index } of steps) {
            if (action === 'take') leases.push(await pool.acquire())
            else if (action === 'release') leases.splice(index, 1)[0]?.release({ ok })
            else clock.advance(20_000)
            expect(ejectedIn(pool) * 2).toBeLessThanOrEqual(count)
            expect(pool.pick()).toBeDefined()
          }
          await pool.close()
        },
      ),
      { numRuns: 100 },
    )
  })

  it.each(['least-loaded', 'latency', 'prequal'] as const)(
    'draws no more than the others by failing at once: %s',
    async (strategy) => {
      const { pool, clock } = await poolOf(10, {
        ejectAfter: 1_000_000,
        strategy,
        outliers: { successRate: false },
      })
      const ends: { at: number; lease: NodeLease }[] = []
      let given = 0
      for (let ms = 0; ms < 6_000; ms++) {
        clock.advance(1)
        while (ends[0] !== undefined && ends[0].at <= ms) ends.shift()?.lease.release({ ok: true })
        if (ms % 2 === 0) continue
        const lease = await pool.acquire()
        if (lease.node.id === 'n0') {
          if (ms > 1_000) given++
          lease.release({ ok: false })
        } else ends.push({ at: ms + 100, lease })
      }
      // Its share would be a tenth of 2,500.
      expect(given).toBeLessThan(400)
    },
  )

  it('never looks quicker by a failure, nor slow for ever', () => {
    // The slowdown is kept as a logarithm, so the last digits may differ.
    const rounding = 1e-9
    fc.assert(
      fc.property(
        fc.array(fc.record({ ok: fc.boolean(), ms: fc.nat(5_000), after: fc.nat(200_000) })),
        (outcomes) => {
          const state = new NodeState({ node: checkNode({ endpoint: 'http://a:1' }), revision: 1 }, 0)
          let now = 1
          for (const { ok, ms, after } of outcomes) {
            now += after
            const before = state.latencyAt(now)
            if (ok) state.succeeded(now, ms)
            else {
              state.failed(now)
              expect(state.latencyAt(now)).toBeGreaterThanOrEqual(before * (1 - rounding))
            }
          }
          for (let count = 0; count < 2_000; count++) state.failed(now)
          expect(state.latencyAt(now)).toBeLessThanOrEqual(60_000 * (1 + rounding))
        },
      ),
    )
  })
})

describe('a node that stands out', () => {
  /** Makes `calls` calls of each node in each window; of those of node `odd`, `failShare` fail. */
  async function traffic(
    { pool, clock }: Awaited<ReturnType<typeof poolOf>>,
    { calls = 30, failShare = 0, slowMs = 100, windows = 1, odd = 'n0' },
  ) {
    for (let window = 0; window < windows; window++) {
      for (const {
        node: { id },
      } of pool.status().nodes) {
        for (let call = 0; call < calls; call++) {
          if (statusOf(pool, id).ejected) break
          const lease = await pool.acquire({ tags: [id] })
          const ok = id !== odd || call % 10 >= failShare * 10
          lease.release({ ok, latencyMs: id === odd ? slowMs : 100 })
        }
      }
      clock.advance(10_001)
    }
    const last = await pool.acquire({ tags: ['n1'] })
    last.release({ ok: true, latencyMs: 100 })
  }
  const options = { ejectAfter: 1_000 }

  it('by failures that never come in a row is ejected for its rate', async () => {
    const made = await poolOf(5, options)
    await traffic(made, { failShare: 0.5 })
    expect(statusOf(made.pool, 'n0').ejection?.reason).toBe('success-rate')
    expect(ejectedIn(made.pool)).toBe(1)
  })

  it.each([
    ['in a pool of four', 4, { failShare: 0.5, calls: 30 }],
    ['with few calls', 5, { failShare: 0.5, calls: 9 }],
    ['by little', 5, { failShare: 0.1, calls: 30 }],
  ])('is left alone %s', async (_, count, own) => {
    const made = await poolOf(count, options)
    await traffic(made, own)
    expect(ejectedIn(made.pool)).toBe(0)
  })

  it('by three windows of slowness is ejected, and not by two', async () => {
    const made = await poolOf(5, options)
    await traffic(made, { slowMs: 500, windows: 2 })
    expect(ejectedIn(made.pool)).toBe(0)
    await traffic(made, { slowMs: 500, windows: 1 })
    expect(statusOf(made.pool, 'n0').ejection?.reason).toBe('latency')
  })

  it.each([
    [{ successRate: false }, { failShare: 0.5 }],
    [{ latency: false }, { slowMs: 500, windows: 5 }],
  ])('is left alone where that is switched off: %j', async (outliers, own) => {
    const made = await poolOf(5, { ...options, outliers })
    await traffic(made, own)
    expect(ejectedIn(made.pool)).toBe(0)
  })

  it('is ejected for that alone only up to a tenth of the pool', () => {
    const outliers = new Outliers({ windowMs: 10, successRate: true, latency: true })
    for (let index = 0; index < 40; index++) {
      for (let call = 0; call < 20; call++) outliers.note(`n${index}`, index > 1, 1, 0)
    }
    // Two of forty nodes stand out. The limit of the pool is applied by the ejector, not here.
    expect(outliers.note('n9', true, 1, 11).map(({ id }) => id)).toEqual(['n0', 'n1'])
  })

  it('keeps its place while many stand out: one of ten goes', async () => {
    const made = await poolOf(10, options)
    for (const odd of ['n0', 'n1']) await traffic(made, { failShare: 0.9, odd, calls: 20 })
    expect(ejectedIn(made.pool)).toBe(1)
  })
})

describe('coordinators that share a Redis', () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.close())

  it('try a node that was ejected by one request at a time, all of them together', async () => {
    const options = { ejectAfter: 1, outliers: { ejectFor: 300 }, probe: false } as const
    const pools = await Promise.all([1, 2, 3].map(() => join(server.url, options)))
    const [first] = pools
    for (const name of ['bad', 'b', 'c', 'd'])
      await first?.pool.register(node(name, { capacity: 1_000, tags: [name] }))
    for (const { pool } of pools) {
      await until(() => pool.status().nodes.length === 4, 1_000)
      await fail(pool, 'bad')
    }
    let trials = 0
    let most = 0
    const tried = new Set<DecoderPool>()
    const look = async (pool: DecoderPool) => {
      const lease = await pool.acquire()
      if (lease.node.id !== 'bad' || !statusOf(pool, 'bad').ejected) return lease.release({ ok: true })
      tried.add(pool)
      most = Math.max(most, ++trials)
      await new Promise((resolve) => setTimeout(resolve, 40))
      trials--
      lease.release({ ok: true })
    }
    const isBack = ({ pool }: { pool: DecoderPool }) => !statusOf(pool, 'bad').ejected
    await until(
      async () => {
        await Promise.all(pools.flatMap(({ pool }) => [look(pool), look(pool), look(pool)]))
        return pools.every(isBack)
      },
      8_000,
      { everyMs: 1 },
    )
    expect([tried.size, most]).toEqual([3, 1])
  })

  it('need one failure of a node that another has ejected, before or after its word; who is served well keeps it', async () => {
    const options = { probe: false, name: 'word' } as const
    const pools = await Promise.all([1, 2, 3, 4].map(async () => (await join(server.url, options)).pool))
    const [finder, before, after, served] = pools as [DecoderPool, DecoderPool, DecoderPool, DecoderPool]
    for (const name of ['bad', 'b', 'c', 'd']) {
      await finder.register(node(name, { capacity: 1_000, tags: [name] }))
    }
    await until(() => pools.every((pool) => pool.status().nodes.length === 4), 1_000)
    await fail(before, 'bad')
    for (let count = 0; count < 3; count++) await fail(finder, 'bad')
    await until(() => stateOf(before, 'bad') === 'ejected')
    expect(statusOf(before, 'bad').ejection?.reason).toBe('failures')
    // The message does not eject the node at a coordinator that it has not failed.
    expect(stateOf(after, 'bad')).toBe('serving')
    await fail(after, 'bad')
    await until(() => stateOf(after, 'bad') === 'ejected')
    expect(after.inspect('bad')?.requests).toBe(1)
    // Messages arrive in order: a coordinator that knows these nodes has got all earlier messages about 'bad'.
    for (const [index, pool] of [finder, before, after].entries()) await pool.register(node(`later-${index}`))
    await until(() => served.status().nodes.length === 7)
    ;(await served.acquire({ tags: ['bad'] })).release({ ok: true })
    await fail(served, 'bad')
    expect(stateOf(served, 'bad')).toBe('serving')
  })

  it('pass over a word that is none', async () => {
    const options = { probe: false, name: 'noise' } as const
    const { pool, redis } = await join(server.url, options)
    await pool.register(node('bad', { tags: ['bad'] }))
    await pool.register(node('b'))
    const words = ['{', 'null', '{"node":"bad"}', '{"by":"x","node":"bad","reason":"spite","forMs":9e9}']
    for (const word of words) await redis.publish('decoder-pool:noise:health', `ejected ${word}`)
    const unending = '{"by":"x","node":"gone","reason":"failures","forMs":9e99}'
    await redis.publish('decoder-pool:noise:health', `ejected ${unending}`)
    // Messages arrive in order: when this one has arrived, the others have too.
    await redis.publish(
      'decoder-pool:noise:health',
      'ejected {"by":"x","node":"b","reason":"failures","forMs":9000}',
    )
    await fail(pool, 'bad')
    await until(async () => {
      const lease = await pool.acquire({ tags: [] })
      lease.release({ ok: lease.node.id !== 'b' })
      return stateOf(pool, 'b') === 'ejected'
    })
    expect(stateOf(pool, 'bad')).toBe('serving')
  })

  it('pass a permit on that its holder has no request for', async () => {
    const options = { ejectAfter: 1, outliers: { ejectFor: 150 }, probe: false, name: 'idle' } as const
    const { pool: idle } = await join(server.url, options)
    const { pool: busy } = await join(server.url, options)
    for (const name of ['bad', 'b', 'c']) await idle.register(node(name, { capacity: 1_000, tags: [name] }))
    await until(() => busy.status().nodes.length === 3, 1_000)
    for (const pool of [idle, busy]) await fail(pool, 'bad')
    // The idle coordinator requests the permit when its ejection is over, and may be the first to do so.
    await until(async () => {
      ;(await reach(busy, 'bad'))?.release({ ok: true })
      return !statusOf(busy, 'bad').ejected
    }, 3_000)
    expect(stateOf(idle, 'bad')).toMatch(/trial|ejected/)
  })

  it('hold a permit no longer than they need: who is closed gives it back', async () => {
    const options = { ejectAfter: 1, outliers: { ejectFor: 100 }, probe: false, name: 'permit' } as const
    const { pool: one } = await join(server.url, options)
    const { pool: other } = await join(server.url, options)
    for (const name of ['bad', 'b', 'c']) await one.register(node(name, { capacity: 1_000, tags: [name] }))
    await until(() => other.status().nodes.length === 3, 1_000)
    await fail(one, 'bad')
    let trial: NodeLease | undefined
    await until(async () => {
      trial ??= await reach(one, 'bad')
      return trial !== undefined
    }, 3_000)
    await fail(other, 'bad')
    const waited = performance.now() + 250
    await until(() => performance.now() > waited, 1_000)
    expect(await reach(other, 'bad')).toBeUndefined()
    expect(stateOf(other, 'bad')).toMatch(/ejected|trial/)
    // The trial of `one` still counts as the node's load. The other nodes get more load, so that it is chosen.
    for (let count = 0; count < 50; count++) await other.acquire({ tags: [count % 2 === 0 ? 'b' : 'c'] })
    await one.close()
    await until(
      async () =>
        (await reach(other, 'bad'))?.release({ ok: true }) === undefined && !statusOf(other, 'bad').ejected,
      3_000,
    )
  })
})
