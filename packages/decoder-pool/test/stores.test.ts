import { ManualClock } from '@evenkeel/core'
import { createKeyspace } from '@evenkeel/core/kit'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { checkExperiment } from '../src/experiments/index.js'
import { checkNode } from '../src/nodes/node.js'
import {
  MemoryRegistryStore,
  RedisExperimentStore,
  RedisRegistryStore,
  type RegistrySnapshot,
  type RegistryStore,
} from '../src/store.js'
import { type RegistryStoreLimits, testRegistryStore } from '../src/testing/index.js'
import { onCluster, onEachServer, type Redis, withEachClient } from './servers.js'

const clock = new ManualClock()
testRegistryStore('memory', {
  create: (limits) => new MemoryRegistryStore({ ...limits, clock }),
  pass: (ms) => clock.advance(ms),
})

/** The store uses its server's time; here it uses the test's, so that a slow machine does not matter. */
const onRedis = (redis: Redis) => {
  const time = new ManualClock()
  return {
    create: (limits: RegistryStoreLimits) =>
      new RedisRegistryStore(redis(), `p${pools++}`, { ...limits, now: () => time.now() }),
    pass: (ms: number) => time.advance(ms),
  }
}
let pools = 0

onEachServer((redis) => {
  testRegistryStore('Redis', onRedis(redis))

  it('answers as memory does to the same random changes', async () => {
    const step = fc.record({
      id: fc.constantFrom('a', 'b', 'c'),
      host: fc.constantFrom('x', 'y', 'z'),
      capacity: fc.integer({ min: 1, max: 3 }),
      action: fc.constantFrom('put', 'put', 'put-at', 'remove', 'remove-at', 'renew', 'pass'),
      // Added to the clock's time, so that changes from elsewhere are sometimes older and sometimes newer.
      ahead: fc.integer({ min: -6, max: 6 }),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 30 }),
        fc.constantFrom(2, 1_000),
        async (steps, maxRemoved) => {
          const shared = new ManualClock()
          const limits = { maxNodes: 2, maxRemoved }
          const inMemory = new MemoryRegistryStore({ ...limits, clock: shared })
          const options = { ...limits, now: () => shared.now() }
          const inRedis = new RedisRegistryStore(redis(), `random-${pools++}`, options)
          // It follows Redis only by its changes.
          const follower = new MemoryRegistryStore({ clock: shared })
          let position = await inRedis.read()
          for (const { id, host, capacity, action, ahead } of steps) {
            const node = checkNode({ id, endpoint: `http://${host}:1`, capacity })
            const revision = action.endsWith('-at') ? shared.now() * 1_000 + ahead : undefined
            const step = (store: RegistryStore) => {
              if (action === 'renew') return store.renew([id, 'unknown'], 3)
              return action.startsWith('put') ? store.put(node, 5, revision) : store.remove(id, revision)
            }
            if (action === 'pass') shared.advance(4)
            else expect(await step(inRedis)).toEqual(await step(inMemory))
            expect(contentOf(await inRedis.read())).toEqual(contentOf(await inMemory.read()))
            position = await inRedis.read(position)
            follower.merge(position, 60_000)
          }
          // A store that has forgotten a removal may accept a node that its follower knows to be removed.
          if (maxRemoved === 2) return
          const { nodes } = contentOf(await inRedis.read())
          expect(contentOf(await follower.read()).nodes).toEqual(nodes)
        },
      ),
      { numRuns: 100 },
    )
  })

  it('tells everything when the log does not reach back, or was evicted', async () => {
    const pool = `long-${pools++}`
    const store = new RedisRegistryStore(redis(), pool)
    const start = await store.read()
    for (let index = 0; index < 201; index++) {
      await store.put(checkNode({ endpoint: 'http://a:1', capacity: index + 1 }), 60_000)
    }
    expect(await store.read(start)).toMatchObject({ complete: true, version: 201 })
    expect(await store.read({ ...start, version: 200 })).toMatchObject({ complete: false })
    await redis().command(['DEL', createKeyspace(redis().namespace, 'decoder-pool').key(pool, 'log')])
    expect(await store.read({ ...start, version: 200 })).toMatchObject({ complete: true })
  })

  it('forgets a pool that is left without nodes, and keeps one that has any or is followed', async () => {
    const pool = `empty-${pools++}`
    const store = new RedisRegistryStore(redis(), pool)
    const experiments = new RedisExperimentStore(redis(), pool)
    const { key } = createKeyspace(redis().namespace, 'decoder-pool')
    const endings = async () => {
      const all = [...['meta', 'log', 'removed', 'experiments'], ...['nodes', 'endpoints', 'leases']]
      const left = await Promise.all(
        all.map(async (name) => [name, Number(await redis().command(['PTTL', key(pool, name)]))] as const),
      )
      return Object.fromEntries(left.filter(([, ms]) => ms !== -2).map(([name, ms]) => [name, ms > 0]))
    }
    const experiment = checkExperiment({
      id: 'e',
      languagePair: 'en-de',
      trafficPercentage: 10,
      experimentTags: ['v2'],
    })
    await store.read()
    await experiments.put(experiment)
    expect(await endings()).toEqual({ meta: true, experiments: true })
    await store.put(checkNode({ id: 'a', endpoint: 'http://a:1' }), 60_000)
    await store.put(checkNode({ id: 'b', endpoint: 'http://b:1' }), 60_000)
    await store.remove('b')
    const kept = { meta: false, log: false, removed: false, nodes: false, endpoints: false, leases: false }
    expect(await endings()).toEqual({ ...kept, experiments: false })
    await experiments.put({ ...experiment, active: false })
    await store.remove('a')
    const ends = { meta: true, log: true, removed: true, experiments: true }
    expect(await endings()).toEqual(ends)
    // A follower's read renews the expiry.
    await redis().command(['PEXPIRE', key(pool, 'removed'), '60000'])
    await store.read()
    expect(Number(await redis().command(['PTTL', key(pool, 'removed')]))).toBeGreaterThan(60_000)
    await store.remove('c', Date.now() * 1_000)
    expect(await endings()).toEqual(ends)
    await store.put(checkNode({ id: 'a', endpoint: 'http://a:1' }), 60_000)
    expect(await endings()).toEqual({ ...kept, experiments: false })
  })

  it('leaves out an entry that another hand has spoilt, and reads the others', async () => {
    const pool = `spoilt-${pools++}`
    const store = new RedisRegistryStore(redis(), pool)
    await store.put(checkNode({ id: 'good', endpoint: 'http://a:1' }), 60_000)
    const key = createKeyspace(redis().namespace, 'decoder-pool').key(pool, 'nodes')
    await redis().command(['HSET', key, 'spoilt', '3 {"endpoint":'])
    expect((await store.read()).registrations.map(({ node }) => node.id)).toEqual(['good'])
  })
})

/** What two stores must agree on, sorted. */
function contentOf({ version, registrations, removed, expired }: RegistrySnapshot) {
  const nodes = registrations.map(({ node: { id, ...rest }, revision }) => [
    id,
    JSON.stringify(rest),
    revision,
  ])
  return { version, nodes: nodes.sort(), removed: [...removed].sort(), expired: [...expired].sort() }
}

onCluster((redis) => testRegistryStore('Redis Cluster', onRedis(redis)))
withEachClient((redis) => testRegistryStore('Redis', onRedis(redis)))
