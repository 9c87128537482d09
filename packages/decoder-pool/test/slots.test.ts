import { ManualClock } from '@evenkeel/core'
import { fairTime, type RedisServer, startProxy, startRedis, until } from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { NodeLease } from '../src/index.js'
import { OutageQuota } from '../src/slots/outage-quota.js'
import { shareOf } from '../src/slots/share.js'
import { node, useCoordinators } from './pools.js'

const { create, join } = useCoordinators()
let server: RedisServer
let pools = 0

beforeAll(async () => {
  server = await startRedis()
})
afterAll(() => server.close())

const giveBack = (leases: readonly NodeLease[]) => {
  for (const lease of leases) lease.release({ ok: true })
}
const outcomes = async (asked: readonly Promise<NodeLease>[]) => {
  const settled = await Promise.allSettled(asked)
  return settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
}

describe('slots that coordinators count together', () => {
  const pair = async (capacity: number, options = {}) => {
    const name = `slots-${pools++}`
    // These tests are about slots, and no deadline: a busy machine takes several times as long for a command.
    const patience = { commandTimeout: 10_000 }
    const [one, other] = [
      await join(server.url, { name, ...options }, patience),
      await join(server.url, { name, ...options }, patience),
    ]
    await one.pool.register(node('a', { capacity }))
    await until(() => other.pool.status().nodes.length === 1)
    return [one.pool, other.pool] as const
  }

  it('are never more than the capacity, whoever asks', async () => {
    const [one, other] = await pair(5)
    const asked = Array.from({ length: 40 }, (_, index) => (index % 2 === 0 ? one : other).acquire())
    const held = await outcomes(asked)
    expect(held).toHaveLength(5)
    await expect(one.acquire()).rejects.toMatchObject({ reason: 'no-capacity' })
    giveBack(held)
    // A second release has no effect.
    giveBack(held)
    await until(async () => (await outcomes(Array.from({ length: 40 }, () => other.acquire()))).length === 5)
  })

  it('that one has given back are had by another who has not heard of it, without waiting', async () => {
    const [one, other] = await pair(3)
    const held = await outcomes(Array.from({ length: 3 }, () => one.acquire()))
    await expect(other.acquire()).rejects.toMatchObject({ reason: 'no-capacity' })
    expect(other.status().nodes[0]?.inUse).toBe(3)
    giveBack(held)
    // The first call succeeds, although by the last report of the other coordinator there is no free slot.
    await until(async () => (await outcomes([one.acquire()])).length === 1)
    expect((await outcomes([other.acquire(), other.acquire()])).length).toBe(2)
  })

  it('that one gives back are at once had by another who waits', async () => {
    const [one, other] = await pair(1)
    const held = await one.acquire()
    const waiting = other.acquire({ timeout: 5_000 })
    await until(() => other.status().waiting === 1)
    using time = fairTime()
    held.release({ ok: true })
    await waiting
    // The slot came by a message, not with the next tick.
    expect(time.elapsedMs()).toBeLessThan(500)
    expect(one.status().nodes[0]?.inFlight).toBe(0)
  })

  it('go around fairly: nobody who gives back and asks again starves the others', async () => {
    const [one, other] = await pair(1)
    const served = { one: 0, other: 0 }
    const end = performance.now() + 1_500
    const worker = async (name: 'one' | 'other') => {
      const pool = name === 'one' ? one : other
      while (performance.now() < end) {
        const lease = await pool.acquire({ timeout: 5_000 })
        served[name]++
        await new Promise((resolve) => setTimeout(resolve, 2))
        lease.release({ ok: true })
      }
    }
    await Promise.all([worker('one'), worker('one'), worker('other'), worker('other')])
    const share = served.one / (served.one + served.other)
    expect(share, JSON.stringify(served)).toBeGreaterThan(0.3)
    expect(share, JSON.stringify(served)).toBeLessThan(0.7)
  })

  it('of those who wait here go first come, first served', async () => {
    const [one] = await pair(1)
    const held = await one.acquire()
    const order: number[] = []
    const line = Array.from({ length: 50 }, async (_, index) => {
      const lease = await one.acquire({ timeout: 10_000 })
      order.push(index)
      lease.release({ ok: true })
    })
    held.release({ ok: true })
    await Promise.all(line)
    expect(order).toEqual([...order].sort((a, b) => a - b))
  })

  it('of one who gave up waiting go to the next', async () => {
    const [one, other] = await pair(1)
    const held = await one.acquire()
    const stopped = new AbortController()
    const gone = other.acquire({ timeout: 10_000, signal: stopped.signal })
    const next = other.acquire({ timeout: 10_000 })
    await until(() => other.status().waiting === 2)
    stopped.abort(new Error('gone'))
    await expect(gone).rejects.toThrow('gone')
    held.release({ ok: true })
    giveBack([await next])
  })

  it('are known to all, as a load to choose by', async () => {
    const [one, other] = await pair(10)
    const held = await Promise.all(Array.from({ length: 6 }, () => one.acquire()))
    await until(() => other.status().nodes[0]?.inUse === 6)
    expect(other.status().nodes[0]?.inFlight).toBe(0)
    giveBack(held)
    await until(() => other.status().nodes[0]?.inUse === 0)
  })

  it('are divided without a word where that is wished, and the parts make the whole', async () => {
    const [one, other] = await pair(5, { slots: 'local' })
    const ask = async () => {
      const asked = Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? one : other).acquire())
      const held = await outcomes(asked)
      giveBack(held)
      return held.length
    }
    // Until each coordinator knows the other one.
    await until(async () => (await ask()) === 5)
  })
})

describe('draining', () => {
  it('ends when the requests of all coordinators have, and gives no new ones meanwhile', async () => {
    const name = `drain-${pools++}`
    const [{ pool: one }, { pool: other }] = [
      await join(server.url, { name }),
      await join(server.url, { name }),
    ]
    await one.register(node('a'))
    await until(() => other.status().nodes.length === 1)
    const lease = await other.acquire()
    let drained: unknown
    const draining = one.drain('a', { deadline: '30s' }).then((result) => {
      drained = result
    })
    await until(() => other.status().nodes[0]?.node.draining === true)
    await expect(other.acquire()).rejects.toMatchObject({ reason: 'no-match' })
    await until(() => one.status().nodes[0]?.inUse === 1)
    expect(drained).toBeUndefined()
    lease.release({ ok: true })
    await draining
    expect(drained).toEqual({ left: 0 })
  })

  it('ends with its deadline, and says what is left; or when nobody wants it any more', async () => {
    const pool = await create()
    await pool.register(node('a'))
    await pool.acquire()
    expect(await pool.drain('a', { deadline: 20 })).toEqual({ left: 1 })
    const stop = new AbortController()
    const draining = pool.drain('a', { deadline: '1m', signal: stop.signal })
    stop.abort(new Error('enough'))
    await expect(draining).rejects.toThrow('enough')
    expect(await pool.drain('unknown', { deadline: '1m' })).toBeUndefined()
  })
})

describe('a drain', () => {
  it('goes on while Redis is away, asked for twice it is the same, and the others hear of it afterwards', async () => {
    await using proxy = await startProxy({ host: '127.0.0.1', port: server.port })
    const name = `drain-away-${pools++}`
    const one = await join(proxy.url, { name }, { commandTimeout: 150 })
    const { pool: other } = await join(server.url, { name })
    await one.pool.register(node('a'))
    await until(() => other.status().nodes.length === 1)
    const lease = await one.pool.acquire()
    await proxy.refuse()
    await until(() => one.redis.state === 'down')
    const drains = [0, 1].map(() => one.pool.drain('a', { deadline: '30s' }))
    await until(() => one.pool.status().nodes[0]?.node.draining === true)
    await expect(one.pool.acquire()).rejects.toMatchObject({ reason: 'no-match' })
    lease.release({ ok: true })
    expect(await Promise.all(drains)).toEqual([{ left: 0 }, { left: 0 }])
    await proxy.restore()
    await until(() => other.status().nodes[0]?.node.draining === true)
  })

  it('ends with the pool', async () => {
    const { pool } = await join(server.url, { name: `drain-closed-${pools++}` })
    await pool.register(node('a'))
    await pool.acquire()
    const draining = pool.drain('a', { deadline: '1m' })
    await until(() => pool.status().nodes[0]?.node.draining === true)
    await pool.close()
    expect(await draining).toEqual({ left: 1 })
  })
})

describe('a coordinator that is closed', () => {
  it.each([
    [0, 2],
    [1, 1],
  ])('leaves counted the %i requests that still run', async (running, left) => {
    const name = `closed-${pools++}`
    const { pool: one } = await join(server.url, { name })
    const { pool: other } = await join(server.url, { name })
    await one.register(node('a', { capacity: 2 }))
    await until(() => other.status().nodes.length === 1)
    const leases = [await one.acquire(), await one.acquire()]
    giveBack(leases.slice(running))
    await one.close()
    expect((await outcomes(Array.from({ length: 3 }, () => other.acquire()))).length).toBe(left)
  })
})

describe('slots while Redis is away', () => {
  it('hold as they were, what was free is divided, and all are counted together again after it', async () => {
    await using proxy = await startProxy({ host: '127.0.0.1', port: server.port })
    const name = `outage-${pools++}`
    const connecting = { commandTimeout: 150 }
    const [one, other] = [
      await join(proxy.url, { name }, connecting),
      await join(proxy.url, { name }, connecting),
    ]
    await one.pool.register(node('a', { capacity: 10 }))
    await until(() => other.pool.status().nodes.length === 1)
    const held = await Promise.all(Array.from({ length: 6 }, () => one.pool.acquire()))
    await until(() => other.pool.status().nodes[0]?.inUse === 6)
    // Both know that the other one is alive.
    await until(() => one.pool.status().coordinators === 2 && other.pool.status().coordinators === 2)

    await proxy.refuse()
    await until(() => one.redis.state === 'down' && other.redis.state === 'down')
    const more = async (pool: typeof one.pool) =>
      (await outcomes(Array.from({ length: 10 }, () => pool.acquire()))).length
    // 6 slots are held and 4 are free, which is two for each.
    expect([await more(one.pool), await more(other.pool)]).toEqual([2, 2])
    giveBack(held)
    expect(await more(one.pool)).toBe(6)

    await proxy.restore()
    await until(() => one.redis.state === 'up' && other.redis.state === 'up')
    await until(() => one.pool.status().nodes[0]?.inUse === 10 && other.pool.status().nodes[0]?.inUse === 10)
    expect(await more(other.pool)).toBe(0)
  })

  const live = ['x', 'y', 'z'].map((id) => ({ id, region: undefined }))

  it('keep to even shares once the requests of before have ended, and those make the capacity', () => {
    const clock = new ManualClock()
    const limits = live.map(({ id }) => new OutageQuota(id, clock, 60_000, false))
    const held = [new Map([['a', 9]]), new Map([['a', 1]]), new Map()]
    for (const [index, limit] of limits.entries()) {
      limit.begin({
        live,
        held: held[index] ?? new Map(),
        totals: new Map([['a', 10]]),
        at: clock.monotonic(),
      })
    }
    const all = () => limits.map((limit) => limit.of('a', 11))
    expect(all().reduce((sum, one) => sum + one, 0)).toBe(11)
    expect(all()[0]).toBeGreaterThanOrEqual(9)
    clock.advance(60_000)
    expect([...all()].sort()).toEqual([3, 4, 4])
    for (const limit of limits) limit.end()
    expect(all()).toEqual([11, 11, 11])
  })

  it('leave free what was free, where no node may ever have more than its capacity', () => {
    const clock = new ManualClock()
    const limit = new OutageQuota('x', clock, 60_000, true)
    limit.begin({ live, held: new Map([['a', 2]]), totals: new Map([['a', 3]]), at: clock.monotonic() })
    expect([limit.of('a', 10), limit.of('b', 10)]).toEqual([2, 0])
    clock.advance(60_000)
    expect(limit.of('b', 9)).toBe(3)
  })

  it.each([0, 1, 2, 3, 7, 100])('share out a capacity of %i whole', (capacity) => {
    for (const name of ['a', 'b', 'c', 'd']) {
      const shares = live.map(({ id }) => shareOf({ node: name, capacity }, id, live))
      expect(shares.reduce((sum, one) => sum + one, 0)).toBe(capacity)
      expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1)
    }
  })
})
