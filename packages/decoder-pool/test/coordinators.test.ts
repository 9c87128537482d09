import { type RedisServer, startRedis, until } from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DecoderPool, DecoderPoolOptions, PoolChange } from '../src/index.js'
import { checkNode } from '../src/nodes/node.js'
import { RedisRegistryStore } from '../src/store.js'
import { startNode } from './nodes.js'
import { idsOf, node, useCoordinators } from './pools.js'

const { join } = useCoordinators()
let server: RedisServer
let pools = 0

beforeAll(async () => {
  server = await startRedis()
})
afterAll(() => server.close())

const coordinator = (options: DecoderPoolOptions = {}) => join(server.url, options)

describe('coordinators that share a Redis', () => {
  it('never lose each other’s nodes when they change the pool at once', async () => {
    const name = `race-${pools++}`
    const all = await Promise.all(Array.from({ length: 3 }, () => coordinator({ name })))
    await Promise.all(
      all.flatMap(({ pool }, who) =>
        Array.from({ length: 20 }, (_, index) => pool.register(node(`c${who}-${index}`))),
      ),
    )
    for (const { pool } of all) await until(() => pool.status().nodes.length === 60, 2_000)
  })

  it('heal what a lost message left out', async () => {
    const name = `quiet-${pools++}`
    const { pool: one } = await coordinator({ name })
    const { redis } = await coordinator({ name })
    // A change without a message.
    await new RedisRegistryStore(redis, name).put(checkNode(node('silent')), 60_000)
    await until(() => idsOf(one).includes('silent'), 1_000)
  })

  it('follow a pool that changes without a pause, by messages alone', async () => {
    const name = `storm-${pools++}`
    const { pool: one } = await coordinator({ name })
    const { pool: other } = await coordinator({ name, pollInterval: '1h' })
    const seen: PoolChange[] = []
    other.on('change', (change) => seen.push(change))
    const end = performance.now() + 500
    for (let capacity = 1; performance.now() < end; capacity++) {
      await Promise.all(['a', 'b', 'c'].map((id) => one.register(node(id, { capacity }))))
    }
    expect(seen.length).toBeGreaterThan(10)
    const capacities = (pool: DecoderPool) => pool.status().nodes.map((of) => of.node.capacity)
    await until(() => capacities(other).join() === capacities(one).join(), 1_000)
    expect(other.status().version).toBe(one.status().version)
  })

  it('promise 8: choose without a round trip, and count together what is asked for at once', async () => {
    const { pool, redis } = await coordinator({ name: `trips-${pools++}`, pollInterval: '1h' })
    await pool.register(node('a', { capacity: 100 }))
    const scripts = async () => {
      const stats = String(await redis.command(['INFO', 'commandstats']))
      return [...stats.matchAll(/cmdstat_evalsha(?:_ro)?:calls=(\d+)/g)].reduce(
        (sum, [, count]) => sum + Number(count),
        0,
      )
    }
    const before = await scripts()
    for (let count = 0; count < 1_000; count++) pool.pick()
    const leases = await Promise.all(Array.from({ length: 100 }, () => pool.acquire()))
    for (const lease of leases) lease.release({ ok: true })
    // A heartbeat may come between, and the released slots may have been reported by now.
    expect((await scripts()) - before).toBeLessThanOrEqual(4)
  })
})

describe('leases', () => {
  const lease = 500

  it('are renewed by whoever registered the node, and end with him', async () => {
    const name = `renewed-${pools++}`
    const { pool: one } = await coordinator({ name, lease })
    const { pool: other } = await coordinator({ name, lease, pollInterval: 20 })
    await one.register(node('a'))
    let wasSuspect = false
    const suspect = () => other.status().nodes[0]?.suspect
    const end = performance.now() + 3 * lease
    await until(() => {
      wasSuspect ||= suspect() === true
      return performance.now() > end
    }, 5_000)
    expect(wasSuspect).toBe(false)
    await one.close()
    await until(() => suspect() === true, 2_000)
    expect(idsOf(other)).toEqual(['a'])
    expect(other.pick()?.id).toBe('a')
  })

  it('of a node that answers are renewed, whoever should have done it', async () => {
    await using alive = await startNode()
    const name = `answers-${pools++}`
    const { pool: one } = await coordinator({ name, lease })
    await one.register({ id: 'alive', endpoint: alive.endpoint })
    await one.close()
    const { pool: other } = await coordinator({
      name,
      lease,
      removeAfter: 300,
      pollInterval: 20,
      probe: { interval: 20 },
    })
    await until(() => other.status().nodes[0]?.suspect === true, 2_000)
    await until(() => other.status().nodes[0]?.suspect === false, 2_000)
  })

  it('and silence together remove a node', async () => {
    await using alive = await startNode()
    const { pool } = await coordinator({
      name: `lease-${pools++}`,
      lease: 150,
      removeAfter: 200,
      probe: { interval: 30, timeout: 100, unhealthyAfter: 1 },
    })
    await pool.register({ id: 'alive', endpoint: alive.endpoint })
    await pool.register({ id: 'dead', endpoint: 'http://127.0.0.1:9' })
    await until(() => idsOf(pool).join() === 'alive', 5_000)
  })
})

describe('coordinators that change parts of one node at once', () => {
  it('lose neither part, and bring back no node that was removed', async () => {
    const name = `parts-${pools++}`
    const { pool: one } = await coordinator({ name })
    const { pool: other } = await coordinator({ name })
    for (const id of ['a', 'b']) await one.register(node(id))
    await until(() => idsOf(other).length === 2, 1_000)
    await Promise.all([
      one.report('a', { adapters: ['en-de'] }),
      other.drain('a'),
      one.deregister('b'),
      other.report('b', { adapters: ['en-de'] }),
    ])
    for (const pool of [one, other]) {
      await until(() => idsOf(pool).join() === 'a', 1_000)
      await until(() => {
        const known = pool.status().nodes[0]?.node
        return known?.draining === true && known.adapters.join() === 'en-de'
      }, 1_000)
    }
    // A registration that names neither changes neither.
    await one.register(node('a'))
    expect(one.status().nodes[0]?.node).toMatchObject({ draining: true, adapters: ['en-de'] })
  })
})
