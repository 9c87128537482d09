import { type Connection, connect } from '@evenkeel/core'
import { flavours, type RedisServer, startRedis } from '@evenkeel/test-servers'
import type { RunnableConfig } from '@langchain/core/runnables'
import { type BaseStore, emptyCheckpoint, InMemoryStore, uuid6 } from '@langchain/langgraph-checkpoint'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createCheckpointSaver, createLangGraphStore } from '../src/adapters/langgraph/index.js'
import { useRedis } from './support.js'

// The suite of LangGraph takes the test runner's functions from the global object.
Object.assign(globalThis, { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, test: it })
const { validate } = await import('@langchain/langgraph-checkpoint-validation')

validate({ checkpointerName: 'evenkeel, in this process', createCheckpointer: () => createCheckpointSaver() })

for (const flavour of flavours()) {
  let server: RedisServer
  let redis: Connection
  validate({
    checkpointerName: `evenkeel, on ${flavour.name}`,
    beforeAll: async () => {
      server = await startRedis({ flavour })
      redis = await connect({ url: server.url })
    },
    afterAll: async () => {
      await redis.close()
      await server.close()
    },
    createCheckpointer: async () => {
      await server.command('FLUSHALL')
      return createCheckpointSaver({ redis, ttl: '1h' })
    },
  })
}

const own = useRedis()
/** Every channel is new. */
const all = { messages: 1, other: 1, bytes: 1, list: 1, nested: 1, text: 1 }

describe.each(['memory', 'redis'])('a checkpointer, in %s', (where) => {
  const make = async () =>
    createCheckpointSaver(where === 'memory' ? {} : { redis: (await own.instance()).redis, ttl: '1h' })
  const threadConfig = { configurable: { thread_id: 'a:{}*|b', checkpoint_ns: 'sub|graph' } }
  const checkpointOf = (messages: unknown[], other: unknown = 1) => ({
    ...emptyCheckpoint(),
    id: uuid6(0),
    channel_values: { messages, other },
    channel_versions: { messages: messages.length, other: 1 },
  })
  const metadata = { source: 'loop', step: 1, parents: {} } as const

  it('keeps the values of branches apart that were forked from one checkpoint', async () => {
    const saver = await make()
    const root = await saver.put(threadConfig, checkpointOf(['a']), metadata, all)
    const branch = (text: string) => saver.put(root, checkpointOf(['a', text]), metadata, all)
    const [one, other] = [await branch('one'), await branch('other')]
    expect((await saver.getTuple(one))?.checkpoint.channel_values.messages).toEqual(['a', 'one'])
    expect((await saver.getTuple(other))?.checkpoint.channel_values.messages).toEqual(['a', 'other'])
    expect((await saver.getTuple(other))?.parentConfig).toEqual(root)
    const latest = await saver.getTuple(threadConfig)
    expect(latest?.config.configurable?.checkpoint_id).toBe(other.configurable?.checkpoint_id)
  })

  it('keeps bytes, empty lists and names with anything in them', async () => {
    const saver = await make()
    const value = { bytes: new Uint8Array([0, 255, 10]), list: [], nested: [[1], { a: null }], text: '\n|,' }
    const config = await saver.put(
      threadConfig,
      { ...checkpointOf([]), channel_values: value },
      metadata,
      all,
    )
    await saver.putWrites(
      config,
      [
        ['ch|,', { v: 1 }],
        ['b', new Uint8Array([1])],
      ],
      'task, 1|',
    )
    const tuple = await saver.getTuple(config)
    expect(tuple?.checkpoint.channel_values).toEqual(value)
    expect(tuple?.pendingWrites).toEqual([
      ['task, 1|', 'ch|,', { v: 1 }],
      ['task, 1|', 'b', new Uint8Array([1])],
    ])
    // Of all threads, without saying which.
    const listed = []
    for await (const { config } of saver.list({})) listed.push(config.configurable?.thread_id)
    expect(listed).toEqual(['a:{}*|b'])
    await saver.deleteThread('*')
    expect(await saver.getTuple(config)).toBeDefined()
    await saver.deleteThread('a:{}*|b')
    expect(await saver.getTuple(config)).toBeUndefined()
  })
})

describe('a checkpointer on Redis', () => {
  it('takes room for each message once, and one round trip a put', async () => {
    const { redis } = await own.instance()
    const saver = createCheckpointSaver({ redis })
    let config: { configurable?: Record<string, unknown> } = { configurable: { thread_id: 't' } }
    const messages: string[] = []
    const steps = 100
    await own.server.command('CONFIG', 'RESETSTAT')
    for (let step = 0; step < steps; step++) {
      messages.push(`message ${step} ${'x'.repeat(1_000)}`)
      const checkpoint = {
        ...emptyCheckpoint(),
        id: uuid6(step),
        channel_values: { messages: [...messages] },
      }
      config = await saver.put(config, checkpoint, { source: 'loop', step, parents: {} }, all)
    }
    const stats = String(await own.server.command('INFO', 'commandstats'))
    expect(Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1])).toBeLessThanOrEqual(steps + 1)
    const bytes = Number(
      await own.server.command('MEMORY', 'USAGE', 'evenkeel:agent-memory.checkpoints:{t}:c'),
    )
    // A message once is 100 KB; a message in each checkpoint would be 5 MB.
    expect(bytes).toBeLessThan(600_000)
  })

  it('sends values again that Redis has lost', async () => {
    const { redis } = await own.instance()
    const saver = createCheckpointSaver({ redis })
    const put = (id: number) => {
      const checkpoint = { ...emptyCheckpoint(), id: uuid6(id), channel_values: { messages: ['a', 'b'] } }
      return saver.put(
        { configurable: { thread_id: 't' } },
        checkpoint,
        { source: 'loop', step: id, parents: {} },
        all,
      )
    }
    await put(1)
    await own.server.command('FLUSHALL')
    const config = await put(2)
    expect((await saver.getTuple(config))?.checkpoint.channel_values).toEqual({ messages: ['a', 'b'] })
  })

  it('rejects in an outage, rather than go on from nothing', async () => {
    const { redis, proxy } = await own.instance()
    const saver = createCheckpointSaver({ redis })
    await proxy.refuse()
    await expect.poll(() => redis.state).toBe('down')
    await expect(saver.getTuple({ configurable: { thread_id: 't' } })).rejects.toMatchObject({
      code: 'CONNECTION_DOWN',
    })
  })

  it('holds in an outage what a run writes, and stores it in order when Redis is back', async () => {
    const { redis, proxy } = await own.instance()
    const saver = createCheckpointSaver({ redis })
    const put = (number: number, config: RunnableConfig) => {
      const checkpoint = {
        ...emptyCheckpoint(),
        id: `0000000${number}`,
        channel_values: { said: `text ${number}` },
      }
      const metadata = { source: 'loop', step: number, parents: {} } as const
      return saver.put(config, checkpoint, metadata, { said: number })
    }
    const first = await put(1, { configurable: { thread_id: 'held' } })
    await proxy.refuse()
    await expect.poll(() => redis.state).toBe('down')
    const second = await put(2, first)
    await saver.putWrites(second, [['said', 'a write']], 'task')
    const third = await put(3, second)
    await expect(saver.getTuple(third)).rejects.toMatchObject({ code: 'CONNECTION_DOWN' })
    await proxy.restore()
    await expect.poll(() => redis.state).toBe('up')

    const { redis: elsewhere } = await own.instance()
    const other = createCheckpointSaver({ redis: elsewhere })
    await expect
      .poll(async () => (await other.getTuple(third))?.checkpoint.id, { timeout: 10_000 })
      .toBe('00000003')
    const found = await saver.getTuple(second)
    expect(found?.checkpoint.channel_values).toEqual({ said: 'text 2' })
    expect(found?.pendingWrites).toEqual([['task', 'said', 'a write']])
  })

  it('refuses what is more than it may hold', async () => {
    const { redis, proxy } = await own.instance()
    const saver = createCheckpointSaver({ redis, maxBytes: 10_000 })
    await proxy.refuse()
    await expect.poll(() => redis.state).toBe('down')
    const config = { configurable: { thread_id: 'full', checkpoint_ns: '', checkpoint_id: '1' } }
    await saver.putWrites(config, [['said', 'x'.repeat(1_000)]], 'task')
    await expect(saver.putWrites(config, [['said', 'x'.repeat(5_000)]], 'task')).rejects.toMatchObject({
      code: 'CONNECTION_DOWN',
    })
  })
})

describe.each(['memory', 'redis'])('a store of LangGraph, in %s', (where) => {
  const embeddings = {
    embedQuery: async (text: string) => [text.includes('cat') ? 1 : 0, text.includes('dog') ? 1 : 0, 0.1],
    embedDocuments: (texts: string[]) => Promise.all(texts.map((text) => embeddings.embedQuery(text))),
  }
  const index = { dims: 3, embeddings: embeddings as never, fields: ['text'] }
  const make = async () =>
    createLangGraphStore(where === 'memory' ? { index } : { redis: (await own.instance()).redis, index })

  it('keeps namespaces apart, label by label', async () => {
    const store = await make()
    const names = [['a'], ['ab'], ['a', 'b'], ['b', 'a'], ['a:b'], ['a/b'], ['*'], ['a', '*']]
    for (const name of names) await store.put(name, 'k', { name: name.join() })
    for (const name of names) expect((await store.get(name, 'k'))?.value).toEqual({ name: name.join() })
    expect((await store.search(['a'])).map(({ namespace }) => namespace).sort()).toEqual([
      ['a'],
      ['a', '*'],
      ['a', 'b'],
    ])
    await store.delete(['a', 'b'], 'k')
    expect(await store.get(['a', 'b'], 'k')).toBeNull()
    expect(await store.get(['b', 'a'], 'k')).not.toBeNull()
    expect(await store.listNamespaces({ prefix: ['a'] })).toEqual([['a'], ['a', '*']])
    expect(await store.listNamespaces({ suffix: ['*'], maxDepth: 1 })).toHaveLength(names.length - 2)
  })

  it('searches by meaning, and by filter', async () => {
    const store = await make()
    await store.put(['m'], 'c', { text: 'a cat', n: 1 })
    await store.put(['m'], 'd', { text: 'a dog', n: 2 })
    await store.put(['m'], 'x', { text: 'cat', n: 3 }, false)
    const found = await store.search(['m'], { query: 'my dog', limit: 2 })
    expect(found.map(({ key }) => key)).toEqual(['d', 'c'])
    expect(found[0]?.score).toBeGreaterThan(0.9)
    expect((await store.search(['m'], { filter: { n: { $gte: 2, $lt: 3 } } })).map(({ key }) => key)).toEqual(
      ['d'],
    )
  })

  it('answers as LangGraph’s own does', async () => {
    const name = fc.constantFrom('k1', 'k2', 'k3')
    const namespace = fc.constantFrom<string[]>(['u', 'one'], ['u', 'two'], ['v'])
    type Act = (store: BaseStore) => Promise<unknown>
    const act: fc.Arbitrary<Act> = fc.oneof(
      fc.tuple(namespace, name, fc.integer({ min: 0, max: 5 })).map(
        ([path, key, n]): Act =>
          (store) =>
            store.put(path, key, { n }),
      ),
      fc.tuple(namespace, name).map(
        ([path, key]): Act =>
          (store) =>
            store.delete(path, key),
      ),
      fc.tuple(namespace, name).map(
        ([path, key]): Act =>
          async (store) =>
            (await store.get(path, key))?.value,
      ),
      fc
        .tuple(fc.constantFrom<string[]>(['u'], ['v'], []), fc.constantFrom({}, { n: 1 }, { n: { $gt: 2 } }))
        .map(
          ([path, filter]): Act =>
            async (store) =>
              (await store.search(path, { filter, limit: 50 }))
                .map(({ key, value }) => JSON.stringify([key, value]))
                .sort(),
        ),
      // Theirs lists a namespace whose last item was deleted; so only what has items is compared.
      fc.constant<Act>(async (store) => (await store.search([])).length),
    )
    let round = 0
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 15 }), async (acts) => {
        const redis = where === 'memory' ? {} : { redis: (await own.instance()).redis, name: `s${round++}` }
        const stores = [new InMemoryStore(), createLangGraphStore(redis)]
        for (const one of acts) {
          const [theirs, ours] = await Promise.all(stores.map((store) => one(store)))
          expect(ours ?? undefined).toEqual(theirs ?? undefined)
        }
      }),
      { numRuns: where === 'memory' ? 100 : 15 },
    )
  })
})
