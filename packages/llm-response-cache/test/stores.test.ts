import { type Connection, connect, ManualClock } from '@evenkeel/core'
import {
  flavours,
  passTime,
  type RedisCluster,
  type RedisServer,
  startCluster,
  startRedis,
} from '@evenkeel/test-servers'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MemoryEntryStore, RedisEntryStore } from '../src/index.js'
import { testEntryStore } from '../src/testing/index.js'

const clock = new ManualClock()
testEntryStore('memory', {
  create: () => new MemoryEntryStore({ clock }),
  pass: (ms) => clock.advance(ms),
})

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

  testEntryStore('Redis', {
    create: async () => {
      await server.command('FLUSHALL')
      return new RedisEntryStore(redis)
    },
    pass: passTime,
  })

  it('answers as memory does to the same random calls', async () => {
    const step = fc.record({
      namespace: fc.constantFrom('a', 'b'),
      key: fc.constantFrom('x', 'y', 'z'),
      action: fc.constantFrom('read', 'write', 'clear'),
      text: fc.string(),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        await server.command('FLUSHALL')
        const stores = [new MemoryEntryStore(), new RedisEntryStore(redis)]
        for (const { namespace, key, action, text } of steps) {
          const answers = await Promise.all(
            stores.map(async (store) => {
              if (action === 'write') await store.write(namespace, key, Buffer.from(text), 60_000)
              if (action === 'clear') await store.clear(namespace, `epoch ${text}`)
              const { entry, epoch } = await store.read(namespace, key)
              // An epoch that nobody chose is random.
              return [entry?.toString(), epoch.startsWith('epoch ') ? epoch : 'first']
            }),
          )
          expect(answers[1]).toEqual(answers[0])
        }
      }),
      { numRuns: 40 },
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

  testEntryStore('Redis Cluster (promise 9)', {
    create: async () => {
      for (const node of cluster.nodes) await node.command('FLUSHALL').catch(() => {})
      return new RedisEntryStore(redis)
    },
    pass: passTime,
  })
})
