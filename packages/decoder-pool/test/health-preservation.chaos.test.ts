import { passTime, type RedisServer, until } from '@evenkeel/test-servers'
import { afterEach, describe, expect, it } from 'vitest'
import type { DecoderPool } from '../src/index.js'
import { type StandIn, startNode } from './nodes.js'
import { durable, idsOf, useCoordinators, useServers } from './pools.js'

const start = useServers()
const fleets: StandIn[] = []
afterEach(async () => {
  for (const node of fleets.splice(0)) await node[Symbol.asyncDispose]()
})
const { join } = useCoordinators()

const lease = 300
const probe = { interval: 40, timeout: 30, unhealthyAfter: 1, adapters: false }
const watchful = { lease, removeAfter: 400, pollInterval: 20, probe }

async function registerFleet(pool: DecoderPool, count: number): Promise<readonly StandIn[]> {
  const nodes = await Promise.all(Array.from({ length: count }, startNode))
  fleets.push(...nodes)
  for (const [index, { endpoint }] of nodes.entries()) await pool.register({ id: `n${index}`, endpoint })
  return nodes
}
const reasonOf = (pool: DecoderPool) => pool.status().preservation?.reason

const timers: NodeJS.Timeout[] = []
afterEach(() => {
  for (const timer of timers.splice(0)) clearInterval(timer)
})

/** Collects all reasons of self-preservation from now on. */
function watchReasons(pool: DecoderPool): ReadonlySet<string> {
  const seen = new Set<string>()
  const look = () => {
    const reason = reasonOf(pool)
    if (reason !== undefined) seen.add(reason)
  }
  timers.push(setInterval(look, 5))
  return seen
}

describe('self-preservation of coordinators', () => {
  it('keeps living nodes whose leases all end at once, and ends when they are renewed', async () => {
    const server = await start()
    const { pool: registrar } = await join(server.url, { lease })
    const { pool } = await join(server.url, watchful)
    const { pool: other } = await join(server.url, watchful)
    await registerFleet(registrar, 6)
    await until(() => idsOf(pool).length === 6 && idsOf(other).length === 6, 1_000)
    const reasons = watchReasons(pool)
    await registrar.close()
    await until(() => pool.status().nodes.every((one) => !one.suspect) && reasons.size > 0, 5_000)
    await until(() => reasonOf(pool) === undefined, 20_000)
    expect([...reasons]).toContain('many-leases-ended')
    expect(idsOf(pool)).toHaveLength(6)
  })

  it('decides by probes: the dead go, seen so by two, and it ends with them', async () => {
    const server = await start()
    const { pool: registrar } = await join(server.url, { lease })
    const { pool } = await join(server.url, watchful)
    const { pool: other } = await join(server.url, watchful)
    const nodes = await registerFleet(registrar, 5)
    for (const one of [pool, other]) await until(() => idsOf(one).length === 5, 1_000)
    await registrar.close()
    const [dead] = nodes
    if (dead !== undefined) dead.healthy = false
    await until(() => reasonOf(pool) === 'many-leases-ended', 3_000)
    await until(() => pool.status().preservation?.suspects.join() === 'n0', 3_000)
    for (const one of [pool, other]) await until(() => idsOf(one).join() === 'n1,n2,n3,n4', 5_000)
    for (const one of [pool, other]) await until(() => reasonOf(one) === undefined, 10_000)
  })

  it('drops nobody when Redis’ clock jumps, though all leases ended an hour ago by it', async () => {
    const server = await start()
    let jump = 0
    const registryTime = () => Date.now() + jump
    const { pool: registrar } = await join(server.url, { lease: '2s', registryTime })
    const { pool } = await join(server.url, { ...watchful, lease: '2s', registryTime })
    const nodes = await registerFleet(registrar, 4)
    await until(() => idsOf(pool).length === 4, 1_000)
    // Health checks fail for longer than a suspect may be silent, but another process renews the nodes' leases.
    const renewAll = () => Promise.all(idsOf(registrar).map((id) => registrar.renew(id)))
    for (const node of nodes) node.healthy = false
    await until(() => pool.status().nodes.every((one) => one.state === 'unhealthy'), 1_000)
    for (let count = 0; count < 6; count++) {
      await renewAll()
      await passTime(100)
    }
    expect(pool.status().nodes.filter((one) => one.suspect)).toEqual([])
    const reasons = watchReasons(pool)
    jump = 3_600_000
    await until(() => pool.status().nodes.every((one) => one.suspect), 2_000)
    expect(reasonOf(pool)).toBe('registry-clock-jumped')
    await passTime(150)
    await renewAll()
    await until(() => pool.status().nodes.every((one) => !one.suspect), 3_000)
    expect(idsOf(pool)).toHaveLength(4)
    await until(() => reasonOf(pool) === undefined, 8_000)
    expect([...reasons]).toEqual(['registry-clock-jumped'])
    expect(idsOf(pool)).toHaveLength(4)
  })

  it('is on during an outage and after it, and ends', async () => {
    const server = await start(durable)
    const { pool } = await join(server.url, watchful)
    await registerFleet(pool, 3)
    await until(() => pool.status().nodes.every((one) => one.verdict), 1_000)
    await server.kill()
    await until(() => reasonOf(pool) === 'registry-away', 3_000)
    await passTime(lease * 2)
    await server.restart()
    await until(() => reasonOf(pool) === 'registry-back', 5_000)
    await until(() => reasonOf(pool) === undefined, 20_000)
    expect(idsOf(pool)).toHaveLength(3)
  })

  it.each([
    ['is flushed', (server: RedisServer) => server.command('FLUSHALL')],
    [
      'went back in its versions',
      (server: RedisServer) => server.command('HSET', 'evenkeel:decoder-pool:{default}:meta', 'version', '1'),
    ],
  ])('is on when Redis %s, and ends', async (_, harm) => {
    const server = await start()
    const { pool } = await join(server.url, watchful)
    const { pool: other } = await join(server.url, watchful)
    await registerFleet(pool, 3)
    await until(() => idsOf(other).length === 3, 1_000)
    const reasons = [pool, other].map(watchReasons)
    await harm(server)
    await until(() => reasons.some((seen) => seen.has('registry-lost-data')), 5_000)
    for (const one of [pool, other]) await until(() => reasonOf(one) === undefined, 5_000)
    for (const one of [pool, other]) expect(idsOf(one)).toHaveLength(3)
  })
})

describe('probing in an outage', () => {
  it('is done by everyone for himself, and more seldom', async () => {
    const server = await start()
    const interval = 120
    const own = { probe: { ...probe, interval }, name: 'outage' }
    const pools: DecoderPool[] = []
    for (let index = 0; index < 3; index++) pools.push((await join(server.url, own)).pool)
    const [first] = pools
    if (first === undefined) return expect.unreachable()
    const nodes = await registerFleet(first, 4)
    for (const pool of pools) {
      await until(
        () => pool.status().nodes.length === 4 && pool.status().nodes.every((one) => one.verdict),
        3_000,
      )
    }
    await server.kill()
    await until(() => pools.every((pool) => pool.status().state === 'fallback'), 3_000)
    await passTime(interval * 4)
    for (const node of nodes) node.probes = 0
    const from = performance.now()
    await passTime(interval * 9)
    const intervals = (performance.now() - from) / interval
    const probes = nodes.reduce((sum, node) => sum + node.probes, 0) / nodes.length / intervals
    // Three coordinators each probe in every third interval, not in each one.
    expect(probes).toBeLessThan(1.7)
    expect(probes).toBeGreaterThan(0.5)
    const [sick] = nodes
    if (sick !== undefined) sick.healthy = false
    for (const pool of pools) {
      await until(() => pool.status().nodes.some((one) => one.state === 'unhealthy'), 3_000)
    }
  })
})
