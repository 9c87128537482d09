import { ManualClock } from '@evenkeel/core'
import { until } from '@evenkeel/test-servers'
import { describe, expect, it } from 'vitest'
import type { NodeLease } from '../src/index.js'
import { startNode } from './nodes.js'
import { node, useCoordinators } from './pools.js'

const noted = (order: string[], name: string) => (lease: NodeLease) => {
  order.push(name)
  return lease
}

const { create } = useCoordinators()

describe('choosing', () => {
  it('gives the less loaded of two, and never more than a node’s capacity', async () => {
    const pool = await create()
    for (const name of ['a', 'b', 'c']) await pool.register(node(name))
    const leases = []
    for (let count = 0; count < 6; count++) leases.push(await pool.acquire())
    expect(pool.status().nodes.map(({ inFlight }) => inFlight)).toEqual([2, 2, 2])
    await expect(pool.acquire()).rejects.toMatchObject({ code: 'NO_NODE', reason: 'no-capacity' })
    leases[0]?.release({ ok: true })
    leases[0]?.release({ ok: true })
    expect(
      pool
        .status()
        .nodes.map(({ inFlight }) => inFlight)
        .sort(),
    ).toEqual([1, 2, 2])
    expect(pool.pick()?.id).toBe(leases[0]?.node.id)
  })

  it('spreads load evenly', async () => {
    let seed = 7
    const random = () => {
      seed = (seed * 48_271) % 2_147_483_647
      return seed / 2_147_483_647
    }
    const pool = await create({ random })
    for (let index = 0; index < 10; index++) await pool.register(node(`n${index}`, { capacity: 100 }))
    for (let count = 0; count < 500; count++) await pool.acquire()
    const loads = pool.status().nodes.map(({ inFlight }) => inFlight)
    expect(Math.max(...loads) - Math.min(...loads)).toBeLessThanOrEqual(6)
  })

  it('prefers its region and a loaded adapter, and spills over', async () => {
    const pool = await create({ region: 'eu' })
    await pool.register(node('eu', { region: 'eu', capacity: 1 }))
    await pool.register(node('us', { region: 'us', adapters: ['en-de'] }))
    expect(pool.pick()?.id).toBe('eu')
    expect(pool.pick({ adapter: 'en-de', region: 'us' })?.id).toBe('us')
    expect((await pool.acquire()).node.id).toBe('eu')
    expect((await pool.acquire()).node.id).toBe('us')
  })

  it('wants all tags and the model, and says when nothing fits', async () => {
    const pool = await create()
    await pool.register(node('a', { tags: ['production', 'v2'], model: 'm' }))
    expect(pool.pick({ tags: ['v2'], model: 'm' })?.id).toBe('a')
    expect(pool.pick({ tags: ['v3'] })).toBeUndefined()
    await expect(pool.acquire({ model: 'other', timeout: 5 })).rejects.toMatchObject({ reason: 'no-match' })
  })

  it('serves those who wait in order, and lets them give up', async () => {
    const pool = await create({ maxWaiting: 2 })
    await pool.register(node('a', { capacity: 1 }))
    const first = await pool.acquire()
    const order: string[] = []
    const second = pool.acquire({ timeout: 1_000 }).then(noted(order, 'second'))
    const abort = new AbortController()
    const leaving = pool.acquire({ timeout: 1_000, signal: abort.signal })
    await expect(pool.acquire({ timeout: 1_000 })).rejects.toMatchObject({ reason: 'too-many-waiting' })
    abort.abort(new Error('gone'))
    await expect(leaving).rejects.toThrow('gone')
    const third = pool.acquire({ timeout: 1_000 }).then(noted(order, 'third'))
    first.release({ ok: true })
    ;(await second).release({ ok: true })
    ;(await third).release({ ok: true })
    expect(order).toEqual(['second', 'third'])
    expect(pool.status().nodes[0]?.inFlight).toBe(0)
  })

  it('promise 5: lets no more than maxWaiting wait, and serves each requirement in a long line by itself', async () => {
    const pool = await create({ maxWaiting: 1_000 })
    await pool.register(node('a', { capacity: 1, tags: ['x'] }))
    await pool.register(node('b', { capacity: 1, tags: ['y'] }))
    const held = await pool.acquire({ tags: ['x'] })
    const line = Array.from({ length: 1_000 }, () => pool.acquire({ tags: ['x'], timeout: 10_000 }))
    await expect(pool.acquire({ tags: ['x'], timeout: 1 })).rejects.toMatchObject({
      reason: 'too-many-waiting',
    })
    // A caller that can be served does not wait behind those that can't.
    const other = await pool.acquire({ tags: ['y'] })
    other.release({ ok: true })
    expect(pool.status().waiting).toBe(1_000)
    held.release({ ok: true })
    for (const waiting of line) (await waiting).release({ ok: true })
    expect(pool.status()).toMatchObject({ waiting: 0, nodes: [{ inFlight: 0 }, { inFlight: 0 }] })
  })

  it('serves a caller who waits when an ejected node is back', async () => {
    const pool = await create({ ejectAfter: 1, outliers: { ejectFor: 100 } })
    await pool.register(node('busy', { capacity: 1, tags: ['busy'] }))
    await pool.register(node('bad', { capacity: 1, tags: ['bad'] }))
    ;(await pool.acquire({ tags: ['bad'] })).release({ ok: false })
    await pool.acquire({ tags: ['busy'] })
    const lease = await pool.acquire({ timeout: 3_000 })
    expect(lease.node.id).toBe('bad')
  })

  it('takes a caller’s word that he has gone, and gives nothing after the end', async () => {
    const pool = await create()
    await pool.register(node('a', { capacity: 1 }))
    await expect(pool.acquire({ signal: AbortSignal.abort(new Error('gone')) })).rejects.toThrow('gone')
    await pool.acquire()
    const waiting = pool.acquire({ timeout: 10_000 })
    await pool.close()
    await expect(waiting).rejects.toMatchObject({ reason: 'closed' })
    await expect(pool.acquire()).rejects.toMatchObject({ reason: 'closed' })
  })

  it('still counts the requests of a node that went and came back', async () => {
    const pool = await create()
    await pool.register(node('a'))
    const before = await pool.acquire()
    await pool.deregister('a')
    expect(pool.status().nodes).toEqual([])
    await pool.register(node('a'))
    expect(pool.status().nodes).toMatchObject([{ inFlight: 1 }])
    await pool.acquire()
    await expect(pool.acquire()).rejects.toMatchObject({ reason: 'no-capacity' })
    before.release({ ok: true })
    await pool.acquire()
  })

  it('takes a failing node out for a while, longer each time', async () => {
    const clock = new ManualClock()
    const pool = await create({ clock, ejectAfter: 3 })
    for (const name of ['bad', 'good', 'good2']) await pool.register(node(name, { capacity: 100 }))
    const fail = async () => {
      for (let count = 0; count < 50; count++) {
        clock.advance(10)
        const lease = await pool.acquire()
        lease.release({ ok: lease.node.id !== 'bad' })
      }
    }
    const badRequests = () => pool.status().nodes.find((one) => one.node.id === 'bad')?.requests
    await fail()
    expect(badRequests()).toBe(3)
    clock.advance(33_001)
    await fail()
    expect(badRequests()).toBe(4)
    clock.advance(33_001)
    await fail()
    expect(badRequests()).toBe(4)
    clock.advance(33_001)
    await fail()
    expect(badRequests()).toBe(5)
  })

  it('uses all nodes when more than half seem out', async () => {
    const pool = await create({ ejectAfter: 1 })
    for (const name of ['a', 'b', 'c']) await pool.register(node(name))
    for (let count = 0; count < 20; count++) (await pool.acquire()).release({ ok: false })
    expect(pool.pick()).toBeDefined()
  })

  it('gives a draining node nothing new, though it registers again', async () => {
    const pool = await create()
    await pool.register(node('a'))
    const lease = await pool.acquire()
    expect(await pool.drain('a')).toEqual({ left: 1 })
    expect(pool.pick()).toBeUndefined()
    lease.release({ ok: true })
    expect(await pool.drain('unknown')).toBeUndefined()
    await pool.register(node('a'))
    expect(pool.pick()).toBeUndefined()
    await pool.register(node('a', { draining: false }))
    expect(pool.pick()?.id).toBe('a')
  })
})

describe('probing', () => {
  it('takes out a node that fails its health check, and brings it back', async () => {
    await using sick = await startNode()
    await using well = await startNode()
    await using well2 = await startNode()
    const pool = await create({ probe: { interval: 20, timeout: 200 } })
    for (const [id, { endpoint }] of Object.entries({ sick, well, well2 }))
      await pool.register({ id, endpoint, capacity: 5 })
    const isHealthy = () => pool.status().nodes.find((one) => one.node.id === 'sick')?.healthy
    sick.healthy = false
    await until(() => isHealthy() === false, 20_000)
    for (let count = 0; count < 20; count++) expect(pool.pick()?.id).not.toBe('sick')
    sick.healthy = true
    await until(() => isHealthy() === true, 20_000)
  })

  it('promise 7: holds no process open', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((one) => one === 'Timeout').length
    const before = timers()
    const pool = await create({ probe: { interval: 10_000 }, ejectAfter: 1 })
    await pool.register(node('a', { capacity: 1 }))
    ;(await pool.acquire()).release({ ok: false })
    await pool.acquire()
    expect(timers()).toBeLessThanOrEqual(before)
    // A waiting caller keeps the process alive.
    const waiting = pool.acquire({ timeout: 10_000 })
    await until(() => pool.status().waiting === 1)
    expect(timers()).toBeGreaterThan(before)
    await pool.close()
    await expect(waiting).rejects.toMatchObject({ code: 'CLOSED', reason: 'closed' })
    expect(timers()).toBeLessThanOrEqual(before)
    await pool.close()
    await expect(pool.register(node('late'))).rejects.toMatchObject({ code: 'CLOSED' })
  })

  it('promise 7: stops when the pool is closed', async () => {
    await using probed = await startNode()
    const pool = await create({ probe: { interval: 10 } })
    await pool.register({ endpoint: probed.endpoint })
    await until(() => probed.probes > 1, 2_000)
    await pool.close()
    const { probes } = probed
    await new Promise((resolve) => setTimeout(resolve, 60))
    expect(probed.probes).toBeLessThanOrEqual(probes + 1)
  })
})

describe('bad input', () => {
  it.each([
    {},
    { endpoint: 'not a url' },
    { endpoint: 'ftp://host' },
    { endpoint: 'http://user:c4nary@host' },
    { endpoint: 'http://h', capacity: 0 },
    { endpoint: 'http://h', capacity: 1.5 },
    { endpoint: 'http://h', tags: 'production' },
    { endpoint: 'http://h', tags: [''] },
    { endpoint: 'http://h', metadata: { x: 'y'.repeat(10_000) } },
    { endpoint: 'http://h', id: '' },
    { endpoint: 'http://h', draining: 'no' },
  ])('refuses %j', async (input) => {
    const pool = await create()
    const error = await pool.register(input as { endpoint: string }).catch((caught) => caught)
    expect(error).toMatchObject({ code: 'INVALID_INPUT' })
    expect(error.message).not.toContain('c4nary')
    expect(pool.status().nodes).toEqual([])
  })
})
