import { fairTime, passTime, type RedisServer, startRedis, until } from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DecoderPool, DecoderPoolOptions } from '../src/index.js'
import { RedisHealthStore } from '../src/store.js'
import { type StandIn, startNode } from './nodes.js'
import { idsOf, useCoordinators } from './pools.js'

const { create, join } = useCoordinators()
let server: RedisServer
let pools = 0
const fleets: StandIn[] = []

beforeAll(async () => {
  server = await startRedis()
})
afterAll(async () => {
  for (const node of fleets.splice(0)) await node[Symbol.asyncDispose]()
  await server.close()
})

const statusOf = (pool: DecoderPool, id: string) => pool.status().nodes.find((one) => one.node.id === id)

/** Coordinators of one pool, and HTTP nodes that all of them know. */
async function fleet(nodeCount: number, coordinators: readonly DecoderPoolOptions[]) {
  const name = `probing-${pools++}`
  const joined: DecoderPool[] = []
  for (const options of coordinators) joined.push((await join(server.url, { name, ...options })).pool)
  const nodes = await Promise.all(Array.from({ length: nodeCount }, startNode))
  fleets.push(...nodes)
  const [first] = joined
  for (const [index, { endpoint }] of nodes.entries()) {
    await first?.register({ id: `n${index}`, endpoint, capacity: 100, region: 'eu' })
  }
  for (const pool of joined) await until(() => idsOf(pool).length === nodeCount, 2_000)
  return { pools: joined, nodes }
}

describe('coordinators that share a Redis', () => {
  it('probe each of 20 nodes by two of three, not by all', async () => {
    const interval = 250
    const { pools: three, nodes } = await fleet(20, Array(3).fill({ probe: { interval, adapters: false } }))
    await until(() => three.every((pool) => pool.status().nodes.every((one) => one.verdict)), 3_000)
    await passTime(interval * 1.2)
    for (const node of nodes) node.probes = 0
    const from = performance.now()
    await passTime(interval * 5)
    const intervals = (performance.now() - from) / interval
    const probes = nodes.reduce((sum, node) => sum + node.probes, 0) / nodes.length / intervals
    expect(probes).toBeGreaterThan(1.5)
    expect(probes).toBeLessThan(2.4)
    const verdictsBy = new Set(three.flatMap((pool) => pool.status().nodes.map((one) => one.verdict?.by)))
    expect(verdictsBy.size).toBe(3)
  })

  it('take a dead node out of all choices within one probe period, also those that do not probe it', async () => {
    const interval = 600
    const probe = { interval, timeout: 200 }
    const { pools: all, nodes } = await fleet(4, [{ probe }, { probe }, { probe }, { probe: false }])
    await until(() => all.every((pool) => pool.status().nodes.every((one) => one.verdict)), 6_000)
    using sinceDeath = fairTime()
    await nodes[0]?.[Symbol.asyncDispose]()
    await until(() => all.every((pool) => statusOf(pool, 'n0')?.state === 'unhealthy'), 5_000)
    // A round, a quarter of one for the second probe, and a message.
    expect(sinceDeath.elapsedMs()).toBeLessThan(interval * 1.1 + interval / 4 + 500)
    for (const pool of all) {
      expect(statusOf(pool, 'n0')?.verdict).toMatchObject({ healthy: false })
      for (let count = 0; count < 30; count++) expect(pool.pick()?.id).not.toBe('n0')
    }
  })

  it('bring a node back for all', async () => {
    const probe = { interval: 50 }
    const { pools: all, nodes } = await fleet(3, [{ probe }, { probe }, { probe }, { probe: false }])
    const [sick] = nodes
    if (sick !== undefined) sick.healthy = false
    await until(() => all.every((pool) => statusOf(pool, 'n0')?.healthy === false), 3_000)
    if (sick !== undefined) sick.healthy = true
    await until(() => all.every((pool) => statusOf(pool, 'n0')?.state === 'warming'), 3_000)
  })

  it('believe their own requests more than others’ probes', async () => {
    const probe = { interval: 50 }
    const { pools: all, nodes } = await fleet(3, [{ probe }, { probe }, { probe: false }])
    const [, , pool] = all
    const [sick] = nodes
    if (sick === undefined || pool === undefined) return expect.unreachable()
    sick.healthy = false
    await until(() => statusOf(pool, 'n0')?.healthy === false, 3_000)
    const by = statusOf(pool, 'n0')?.verdict?.by
    // The node is used because all nodes that fit seem to be out of service.
    await pool.register({ id: 'n0', endpoint: sick.endpoint, capacity: 100, tags: ['only'] })
    ;(await pool.acquire({ tags: ['only'] })).release({ ok: true })
    expect(statusOf(pool, 'n0')).toMatchObject({ healthy: true, verdict: { healthy: true } })
    expect(statusOf(pool, 'n0')?.verdict?.by).not.toBe(by)
  })

  it('go on with another prober’s word when one can not reach the node', async () => {
    const probe = { interval: 50 }
    const { pools: all } = await fleet(1, [{ probe }, { probe }, { probe: false }])
    await until(() => all.every((pool) => statusOf(pool, 'n0')?.verdict), 6_000)
    const [one, , listener] = all
    const name = `probing-${pools - 1}`
    // One of the two probers says that it can't reach the node; no other coordinator follows it.
    const { redis } = await join(server.url, { name: 'elsewhere' })
    const store = new RedisHealthStore(redis, name)
    const by = listener && statusOf(listener, 'n0')?.verdict?.by
    for (let count = 0; count < 5; count++) {
      const verdicts = [{ node: 'n0', healthy: false, forMs: 1_000 }]
      await store.share({ by: by ?? '', aliveMs: 60_000, keepMs: 60_000, verdicts })
      await redis.publish(`decoder-pool:${name}:health`, 'someone')
      await passTime(20)
      expect(one && statusOf(one, 'n0')?.healthy).toBe(true)
      expect(listener && statusOf(listener, 'n0')?.healthy).toBe(true)
    }
  })

  it('take over the nodes of a coordinator that leaves', async () => {
    const probe = { interval: 60_000 }
    const { pools: all, nodes } = await fleet(6, [
      { probe: { interval: 50 } },
      { probe: { interval: 50 } },
      { probe },
    ])
    const [one, two, gone] = all
    await until(() => [one, two].every((pool) => pool?.status().nodes.every((of) => of.verdict)), 6_000)
    await gone?.close()
    await passTime(100)
    for (const node of nodes) node.healthy = false
    for (const pool of [one, two]) {
      const count = () => pool?.status().nodes.filter((of) => !of.healthy).length
      await until(() => count() === 6, 3_000)
    }
  })
})

describe('adapters that a node tells of', () => {
  it('are known to all, and stay when it does not answer', async () => {
    const probe = { interval: 40 }
    const { pools: all, nodes } = await fleet(2, [{ probe }, { probe }, { probe: false }])
    const [node] = nodes
    if (node === undefined) return expect.unreachable()
    const adapters = () => all.map((pool) => statusOf(pool, 'n0')?.node.adapters.join())
    node.adapters = { adapters: ['en-de', 'en-fr'] }
    await passTime(100)
    node.adapterProbes = 0
    // The node had no such path at first, so it is asked again only after some rounds.
    await until(() => adapters().every((list) => list === 'en-de,en-fr'), 6_000)
    const version = all[0]?.status().version
    const asked = node.adapterProbes
    for (const failure of [503, { oops: true }]) {
      node.adapters = failure
      await until(() => node.adapterProbes > asked + 4, 3_000)
      expect(adapters()).toEqual(['en-de,en-fr', 'en-de,en-fr', 'en-de,en-fr'])
    }
    // The node reports the same list again and again, but it was registered only once.
    expect(all[0]?.status().version).toBe(version)
    node.adapters = ['en-it']
    await until(() => adapters().every((list) => list === 'en-it'), 3_000)
  })

  it('are not asked for where a node has no such path, or nobody wants to', async () => {
    const pool = await create({ probe: { interval: 20, adapters: false } })
    const other = await create({ probe: { interval: 20 } })
    const [mute, silent] = await Promise.all([startNode(), startNode()])
    fleets.push(mute, silent)
    await pool.register({ endpoint: mute.endpoint })
    await other.register({ endpoint: silent.endpoint })
    await until(() => mute.probes > 10 && silent.probes > 10, 3_000)
    expect(mute.adapterProbes).toBe(0)
    expect(silent.adapterProbes).toBeLessThanOrEqual(1 + silent.probes / 15)
  })
})

describe('a node that hangs', () => {
  it('is unhealthy by its silence, and keeps its place while it works', async () => {
    const [hangs, busy, well] = await Promise.all([startNode(), startNode(), startNode()])
    fleets.push(hangs, busy, well)
    const pool = await create({ probe: { interval: 40, timeout: 30, unhealthyAfter: 2, adapters: false } })
    for (const [id, { endpoint }] of Object.entries({ hangs, busy, well })) {
      await pool.register({ id, endpoint, capacity: 10, tags: [id] })
    }
    await until(() => pool.status().nodes.every((one) => one.verdict?.healthy), 3_000)
    await pool.acquire({ tags: ['busy'] })
    ;(await pool.acquire({ tags: ['busy'] })).release({ ok: true })
    hangs.hangs = true
    busy.hangs = true
    const from = busy.probes
    await until(() => statusOf(pool, 'hangs')?.state === 'unhealthy', 3_000)
    expect(statusOf(pool, 'busy')?.healthy).toBe(true)
    await until(() => statusOf(pool, 'busy')?.state === 'unhealthy', 3_000)
    expect(busy.probes - from).toBeGreaterThanOrEqual(6)
  })
})
