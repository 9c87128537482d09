import { type Connection, connect, ManualClock } from '@evenkeel/core'
import {
  clientLibraries,
  flavours,
  passTime,
  type RawClient,
  type RedisCluster,
  type RedisServer,
  startCluster,
  startRedis,
} from '@evenkeel/test-servers'
import { emptyCheckpoint } from '@langchain/langgraph-checkpoint'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createCheckpointSaver, createLangGraphStore } from '../src/adapters/langgraph/index.js'
import { createAgentMemory, createSessions } from '../src/index.js'
import type { Message } from '../src/messages/message.js'
import { prepare } from '../src/messages/prepare.js'
import { resolveOptions } from '../src/options.js'
import {
  type Change,
  MemoryThreadStore,
  type PreparedMessage,
  RedisThreadStore,
  type ThreadId,
  type ThreadStore,
} from '../src/store.js'
import { testThreadStore } from '../src/testing/index.js'

const clock = new ManualClock()
testThreadStore('memory', { create: () => new MemoryThreadStore({ clock }), pass: (ms) => clock.advance(ms) })

describe.each(flavours())('on $name', (flavour) => {
  let server: RedisServer
  let redis: Connection

  beforeAll(async () => {
    server = await startRedis({ flavour })
    redis = await connect({ url: server.url, commandTimeout: '30s', connectionTimeout: '30s' })
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
    const name = fc.constantFrom('1', '2', '3', '4', '5', '6')
    const token = fc.constantFrom('first', 'second', 'third')
    const prepared = fc
      .uniqueArray(message, { selector: ({ id }) => id, minLength: 1, maxLength: 4 })
      .map((messages) => messages.map((one, index) => prepare(one, index, options)))
    const maybe = (arbitrary: fc.Arbitrary<number>) => fc.option(arbitrary, { nil: undefined })
    const small = fc.integer({ min: 0, max: 6 })
    const key = fc.constantFrom('k', 'l %')
    const change: fc.Arbitrary<Change> = fc.oneof(
      fc.record({
        kind: fc.constant('edit'),
        token,
        message: prepared.map(([one]) => one as PreparedMessage),
        revision: maybe(small),
      }),
      fc.record({ kind: fc.constant('remove'), id: name }),
      fc.record({ kind: fc.constant('pin'), id: name, pinned: fc.boolean() }),
      fc.record({
        kind: fc.constant('splice'),
        token,
        expected: fc.uniqueArray(name, { maxLength: 2 }).map((ids) => ids.map((id) => ({ id }))),
        messages: prepared,
      }),
      fc.record({
        kind: fc.constant('put'),
        token,
        messages: prepared,
        removes: fc.option(fc.record({ from: small, upTo: fc.constantFrom(3, 5, 1_000) }), {
          nil: undefined,
        }),
      }),
      fc.record({ kind: fc.constant('set'), token, key, value: fc.json(), version: maybe(small) }),
      fc.record({ kind: fc.constant('add'), token, key, by: fc.integer({ min: -9, max: 9 }) }),
      fc.record({
        kind: fc.constant('add'),
        token: fc.record({ writer: fc.constantFrom('w', 'v'), number: small }),
        key: fc.constant('k'),
        by: fc.constant(1),
      }),
      fc.record({ kind: fc.constant('unset'), token, key, version: maybe(small) }),
      fc.record({
        kind: fc.constant('summarise'),
        plan: token,
        to: small,
        before: fc.integer({ min: 0, max: 2 }),
        edited: small,
        tokens: small,
        body: fc.json(),
      }),
    )
    type Step = (store: ThreadStore, id: ThreadId) => Promise<unknown>
    const append: fc.Arbitrary<Step> = fc
      .record({
        messages: prepared,
        generation: fc.constantFrom(undefined, undefined, 0, 1, 2),
        version: fc.constantFrom(undefined, undefined, 1, 2, 3),
        fence: fc.constantFrom(undefined, undefined, 1, 2),
        token: fc.option(token, { nil: undefined }),
        limits: fc.constantFrom(undefined, { messages: 9, bytes: 300, threads: 2 }),
      })
      .map(
        ({ messages, ...terms }) =>
          (store, id) =>
            store.append(id, messages, { ttlMs: 60_000, digest: messages[0]?.id, ...terms }),
      )
    const other: fc.Arbitrary<Step> = fc.oneof(
      {
        weight: 6,
        arbitrary: change.map(
          (one): Step =>
            (store, id) =>
              store.change(id, one, { ttlMs: 60_000 }),
        ),
      },
      fc.record({ token, generation: fc.constantFrom(undefined, 0, 1) }).map(
        (deletion): Step =>
          (store, id) =>
            store.delete(id, deletion),
      ),
      fc.constant((store: ThreadStore) => store.erase('o')),
      fc
        .record({ token: token.map((one) => `fork ${one}`), upTo: maybe(fc.integer({ min: 1, max: 9 })) })
        .map(
          (fork): Step =>
            (store, id) =>
              store.fork(id, 'c', { ttlMs: 60_000, ...fork }),
        ),
      fc
        .record({
          action: fc.constantFrom('take', 'renew', 'release'),
          token,
          ms: fc.integer({ min: 1, max: 3 }),
        })
        .map(
          (one): Step =>
            (store, id) =>
              store.lease(id, { name: 'run', ...one }, { ttlMs: 60_000 }),
        ),
    )
    const step = fc.record({
      thread: fc.constantFrom('a', 'b', 'c'),
      act: fc.oneof(append, other),
      maxMessages: fc.integer({ min: 1, max: 8 }),
      maxTokens: fc.integer({ min: 1, max: 30 }),
      maxTurns: maybe(fc.integer({ min: 1, max: 4 })),
      page: fc.oneof(
        fc.record({ after: small, limit: fc.integer({ min: 1, max: 4 }) }),
        fc.record({ before: small, limit: fc.integer({ min: 1, max: 4 }) }),
        fc.record({ ids: fc.array(name, { maxLength: 3 }) }),
      ),
    })
    const comparable = (answers: unknown) =>
      JSON.parse(
        JSON.stringify(answers, (field, value) =>
          field === 'epoch'
            ? value !== ''
            : value instanceof Map
              ? [...value].sort()
              : field === 'plan'
                ? undefined
                : value,
        ),
      )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const time = new ManualClock()
        await server.command('FLUSHALL')
        const stores = [new MemoryThreadStore({ clock: time }), new RedisThreadStore(redis, () => time.now())]
        for (const { thread, act, page, ...bounds } of steps) {
          const id = { owner: 'o', thread }
          const [inMemory, inRedis] = await Promise.all(
            stores.map(async (store) => [
              await act(store, id),
              await store.tail(id, bounds),
              await store.page(id, page),
              await store.state(id),
              (await store.threads('o', { limit: 9 })).threads,
            ]),
          )
          // Epochs are random.
          expect(comparable(inRedis)).toEqual(comparable(inMemory))
          time.advance(1)
        }
      }),
      { numRuns: 150 },
    )
  })

  it('remembers writers of the last week, and of very many the latest', async () => {
    await server.command('FLUSHALL')
    const time = new ManualClock()
    const stores = [new MemoryThreadStore({ clock: time }), new RedisThreadStore(redis, () => time.now())]
    const id = { owner: 'o', thread: 't' }
    const add = (writer: string) =>
      Promise.all(
        stores.map(async (store) => {
          const token = { writer, number: 1 }
          const done = await store.change(id, { kind: 'add', token, key: 'n', by: 1 }, { ttlMs: 1e10 })
          return 'value' in done && done.value
        }),
      )
    const many = async (name: string, count: number) => {
      for (let index = 0; index < count; index++) {
        await add(`${name}${index}`)
        time.advance(1)
      }
    }
    await many('a', 1_100)
    // The first ones made room; the others are known.
    expect(await add('a0')).toEqual(['1101', '1101'])
    expect(await add('a1')).toEqual(['1102', '1102'])
    expect(await add('a200')).toEqual(['201', '201'])
    time.advance(8 * 86_400_000)
    await many('b', 70)
    expect(await add('b0')).toEqual(['1103', '1103'])
    expect(await add('a1099')).toEqual(['1173', '1173'])
    expect(Number(await server.command('HLEN', 'evenkeel:agent-memory:{o}:t:t'))).toBeLessThan(150)
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

describe.each(clientLibraries)('with a client of $name', (library) => {
  let server: RedisServer
  let client: RawClient
  let redis: Connection

  beforeAll(async () => {
    server = await startRedis()
    client = await library.createClient(server.url)
    redis = await connect({ client, commandTimeout: '30s', connectionTimeout: '30s' })
  })
  afterAll(async () => {
    await redis.close()
    await library.closeClient(client)
    await server.close()
  })

  testThreadStore(`Redis, ${library.name}`, {
    create: async () => {
      await server.command('FLUSHALL')
      return new RedisThreadStore(redis)
    },
    pass: passTime,
  })

  it('recalls, drafts, keeps sessions and checkpoints', () => everything(redis))
})

describe('on a Cluster', () => {
  let cluster: RedisCluster

  beforeAll(async () => {
    cluster = await startCluster()
  })
  afterAll(() => cluster.close())

  describe.each(clientLibraries)('with $name', (library) => {
    let redis: Connection

    beforeAll(async () => {
      redis = await connect({
        cluster: { nodes: cluster.rootNodes },
        library: (await library.load()) as object,
        commandTimeout: '30s',
        connectionTimeout: '30s',
      })
    })
    afterAll(() => redis.close())

    testThreadStore(`Redis Cluster (promise 9), ${library.name}`, {
      create: async () => {
        for (const node of cluster.nodes) await node.command('FLUSHALL').catch(() => {})
        return new RedisThreadStore(redis)
      },
      pass: passTime,
    })

    it('recalls, drafts, keeps sessions and checkpoints', () => everything(redis))
  })
})

let rounds = 0

/** One use of each part that has scripts of its own: where a key is on another node, or a reply has another shape, it fails. */
async function everything(redis: Connection): Promise<void> {
  const round = `r${rounds++}`
  const embed = {
    model: 'm',
    embed: async (texts: readonly string[]) => texts.map((text) => [text.length, 1]),
  }
  const memory = createAgentMemory({ redis, embed, telemetry: false })
  const owner = memory.owner(round)
  const thread = owner.thread('t')
  await thread.append({ id: 'a', role: 'user', content: 'hello' })
  await owner.recallable()
  await owner.facts.add('a fact')
  expect((await owner.recall('hello', { k: 2 })).map(({ kind }) => kind).sort()).toEqual(['fact', 'message'])
  const draft = thread.draft({ id: 'd' })
  draft.write('words')
  await draft.flush()
  const pieces: string[] = []
  const following = (async () => {
    for await (const piece of thread.follow('d')) pieces.push(piece.text)
  })()
  await draft.finalize({ id: 'b', role: 'assistant', content: 'words' })
  await following
  expect(pieces).toEqual(['words'])
  await thread.compact({ summarize: async () => 'so far', keepMessages: 1 })
  const copy = await thread.fork({ id: 'copy' })
  expect((await copy.window()).summary?.text).toBe('so far')
  const lines = []
  for await (const line of memory.backup([round])) lines.push(line)
  expect(await owner.erase()).toMatchObject({ threads: 2, messages: 4, verified: true })
  await memory.restore(lines)
  expect((await memory.verify(lines)).different).toEqual([])
  await memory.close()

  const sessions = createSessions({ redis })
  const { id } = await sessions.create({ n: 1 }, { user: round })
  await sessions.patch(id, { m: 2 })
  const rotated = (await sessions.rotate(id)) ?? ''
  expect((await sessions.get(rotated))?.data).toEqual({ n: 1, m: 2 })
  expect(await sessions.revokeAll(round)).toBe(1)
  await sessions.close()

  const saver = createCheckpointSaver({ redis, ttl: '1h' })
  const checkpoint = { ...emptyCheckpoint(), channel_values: { messages: ['a', 'b'] } }
  const config = await saver.put({ configurable: { thread_id: round } }, checkpoint, metadata, {
    messages: 1,
  })
  await saver.putWrites(config, [['c', 1]], 'task')
  expect(await saver.getTuple({ configurable: { thread_id: round } })).toMatchObject({
    checkpoint: { channel_values: { messages: ['a', 'b'] } },
    pendingWrites: [['task', 'c', 1]],
  })
  const found = []
  for await (const { config: one } of saver.list({})) found.push(one.configurable?.thread_id)
  expect(found).toContain(round)
  await saver.deleteThread(round)
  const store = createLangGraphStore({ redis, name: round })
  await store.put(['a', 'b'], 'k', { v: 1 })
  expect((await store.search(['a']))[0]?.value).toEqual({ v: 1 })
}

const metadata = { source: 'loop', step: 1, parents: {} } as const
