import { type Connection, connect, ManualClock } from '@evenkeel/core'
import {
  flavours,
  type RedisCluster,
  type RedisServer,
  startCluster,
  startRedis,
  until,
} from '@evenkeel/test-servers'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MemoryRegistryStore, RedisRegistryStore } from '../src/index.js'
import { checkNode } from '../src/node.js'
import { testRegistryStore } from '../src/testing/index.js'

const clock = new ManualClock()
testRegistryStore('memory', {
  create: () => new MemoryRegistryStore({ clock }),
  pass: (ms) => clock.advance(ms),
})

const realTime = (ms: number) => {
  const at = performance.now() + ms
  return until(() => performance.now() >= at, ms + 1_000).then(() => {})
}
let pools = 0

describe.each(flavours())('on $name', (flavour) => {
  let server: RedisServer
  let redis: Connection

  beforeAll(async () => {
    server = await startRedis({ flavour })
    redis = await connect({ url: server.url })
  })
  afterAll(async () => {
    await redis.close()
    await server.close()
  })

  testRegistryStore('Redis', { create: () => new RedisRegistryStore(redis, `p${pools++}`), pass: realTime })

  it('answers as memory does to the same random changes', async () => {
    const step = fc.record({
      id: fc.constantFrom('a', 'b', 'c'),
      host: fc.constantFrom('x', 'y', 'z'),
      capacity: fc.integer({ min: 1, max: 3 }),
      action: fc.constantFrom('put', 'put', 'put-at', 'remove', 'remove-at', 'renew'),
      revision: fc.integer({ min: 1, max: 6 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const stores = [new MemoryRegistryStore(), new RedisRegistryStore(redis, `random-${pools++}`)]
        for (const { id, host, capacity, action, revision } of steps) {
          const node = checkNode({ id, endpoint: `http://${host}:1`, capacity })
          const [inMemory, inRedis] = await Promise.all(
            stores.map(async (store) => {
              const result =
                action === 'renew'
                  ? await store.renew(id, 1_000)
                  : action.startsWith('put')
                    ? await store.put(node, 60_000, action === 'put-at' ? revision : undefined)
                    : await store.remove(id, action === 'remove-at' ? revision : undefined)
              const { version, registrations, removed } = await store.snapshot()
              const sorted = [...registrations].sort((one, other) => (one.node.id < other.node.id ? -1 : 1))
              return JSON.stringify([
                result,
                version,
                sorted.map(({ node: { id: nodeId, ...rest }, revision: r }) => [nodeId, rest, r]),
                [...removed].sort(),
              ])
            }),
          )
          expect(JSON.parse(inRedis ?? '')).toEqual(JSON.parse(inMemory ?? ''))
        }
      }),
      { numRuns: 60 },
    )
  })
})

describe('on a Cluster', () => {
  let cluster: RedisCluster
  let redis: Connection

  beforeAll(async () => {
    cluster = await startCluster()
    redis = await connect({ cluster: { nodes: cluster.rootNodes } })
  })
  afterAll(async () => {
    await redis.close()
    await cluster.close()
  })

  testRegistryStore('Redis Cluster (promise 9)', {
    create: () => new RedisRegistryStore(redis, `c${pools++}`),
    pass: realTime,
  })
})
