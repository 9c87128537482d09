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
import { MemoryThreadStore, RedisThreadStore } from '../src/index.js'
import { type Message, prepare } from '../src/message.js'
import { resolveOptions } from '../src/options.js'
import { testThreadStore } from '../src/testing/index.js'

const clock = new ManualClock()
testThreadStore('memory', { create: () => new MemoryThreadStore({ clock }), pass: (ms) => clock.advance(ms) })

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

  const create = async () => {
    await server.command('FLUSHALL')
    return new RedisThreadStore(redis)
  }

  testThreadStore('Redis', { create, pass: passTime })

  it('answers as memory does to the same random conversations', async () => {
    const options = resolveOptions({})
    const call = fc.constantFrom('x', 'y', 'z')
    const message: fc.Arbitrary<Message> = fc.oneof(
      fc.record({
        id: fc.constantFrom('1', '2', '3', '4', '5', '6'),
        role: fc.constantFrom('user', 'system'),
        content: fc.string(),
      }),
      fc.record({
        id: fc.uuid(),
        role: fc.constant('assistant'),
        tool_calls: fc.uniqueArray(fc.record({ id: call }), { selector: (one) => one.id, maxLength: 2 }),
      }),
      fc.record({ id: fc.uuid(), role: fc.constant('tool'), tool_call_id: call }),
      fc.record({
        id: fc.uuid(),
        role: fc.constant('user'),
        content: fc.array(
          fc.oneof(
            fc.record({ type: fc.constant('tool_use'), id: call }),
            fc.record({ type: fc.constant('tool_result'), tool_use_id: call }),
          ),
          { maxLength: 3 },
        ),
      }),
    )
    const step = fc.record({
      thread: fc.constantFrom('a', 'b'),
      messages: fc.uniqueArray(message, { selector: ({ id }) => id, minLength: 1, maxLength: 4 }),
      action: fc.constantFrom('append', 'append', 'append', 'delete'),
      maxMessages: fc.integer({ min: 1, max: 8 }),
      maxTokens: fc.integer({ min: 1, max: 30 }),
      token: fc.constantFrom('first', 'second', 'third'),
      generation: fc.constantFrom(undefined, undefined, 0, 1, 2),
    })
    const comparable = (answers: unknown) =>
      JSON.parse(JSON.stringify(answers, (name, value) => (name === 'epoch' ? value !== '' : value)))
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
        const stores = [new MemoryThreadStore(), await create()]
        for (const { thread, messages, action, token, generation, ...bounds } of steps) {
          const id = { owner: 'o', thread }
          const prepared = messages.map((one, index) => prepare(one, index, options))
          const [inMemory, inRedis] = await Promise.all(
            stores.map(async (store) => [
              action === 'append'
                ? await store.append(id, prepared, { ttlMs: 60_000, generation })
                : await store.delete(id, { token, generation }),
              await store.tail(id, bounds),
            ]),
          )
          // Epochs are random.
          expect(comparable(inRedis)).toEqual(comparable(inMemory))
        }
      }),
      { numRuns: 60 },
    )
  })

  it('promise 8: reads a window of ten thousand messages at the cost of one of a hundred', async () => {
    const store = await create()
    const options = resolveOptions({})
    const id = { owner: 'o', thread: 'long' }
    for (let batch = 0; batch < 20; batch++) {
      const messages = Array.from({ length: 500 }, (_, index) =>
        prepare({ role: 'user', content: `${index}` }, index, options),
      )
      await store.append(id, messages, { ttlMs: 60_000 })
    }
    const usec = async () =>
      Number(
        /cmdstat_evalsha_ro:calls=\d+,usec=(\d+)/.exec(
          String(await server.command('INFO', 'commandstats')),
        )?.[1] ?? 0,
      )
    const window = () => store.tail(id, { maxMessages: 20, maxTokens: 1e9 })
    expect((await window()).records).toHaveLength(20)
    const before = await usec()
    for (let count = 0; count < 100; count++) await window()
    expect(((await usec()) - before) / 100).toBeLessThan(500)
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

  testThreadStore('Redis Cluster (promise 9)', {
    create: async () => {
      for (const node of cluster.nodes) await node.command('FLUSHALL').catch(() => {})
      return new RedisThreadStore(redis)
    },
    pass: passTime,
  })
})
