import { type Connection, connect } from '@evenkeel/core'
import { type FaultProxy, type RedisServer, startProxy, startRedis, until } from '@evenkeel/test-servers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type AgentMemory, type AgentMemoryOptions, createAgentMemory, type Message } from '../src/index.js'
import { prepare } from '../src/messages/prepare.js'
import { resolveOptions } from '../src/options.js'
import { MemoryThreadStore, type PreparedMessage } from '../src/store.js'

const user = (id: string) => ({ id, role: 'user', content: `message ${id}` })

describe('bad input', () => {
  const thread = createAgentMemory({ maxMessageBytes: 1_000 }).owner('o').thread('t')
  const cycle: Record<string, unknown> = { role: 'user' }
  cycle.content = cycle

  it.each([
    ['nothing', [], 'INVALID_INPUT'],
    ['no message', null, 'INVALID_INPUT'],
    ['an empty id', { id: '', role: 'user' }, 'INVALID_INPUT'],
    ['half a character', { id: '\ud800', role: 'user' }, 'INVALID_INPUT'],
    ['no role', { content: 'x' }, 'INVALID_INPUT'],
    ['a role with a blank', { role: 'a b' }, 'INVALID_INPUT'],
    ['an id twice', [user('a'), user('a')], 'INVALID_INPUT'],
    ['what JSON can not carry', cycle, 'INVALID_INPUT'],
    ['a message that is too large', { role: 'user', content: 'x'.repeat(1_000) }, 'MESSAGE_TOO_LARGE'],
  ])('%s is refused, and nothing stored', async (_, messages, code) => {
    await expect(thread.append(messages as Message[])).rejects.toMatchObject({ code })
    expect((await thread.window()).count).toBe(0)
  })

  it.each([
    { maxMessages: 0 },
    { maxMessages: -1 },
    { maxMessages: 1.5 },
    { maxMessages: 5_000 },
    { maxTokens: 0 },
    { maxTokens: Number.NaN },
  ])('a window of %j is refused', async (options) => {
    await expect(thread.window(options)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })

  it('empty owners and threads are refused', () => {
    const memory = createAgentMemory()
    expect(() => memory.owner('')).toThrow(/owner/)
    expect(() => memory.owner('o').thread('')).toThrow(/thread/)
  })

  it.each([{ ttl: 0 }, { maxMessageBytes: 0 }, { journal: { maxMessages: 1.5 } }, { countTokens: 7 }])(
    'options %j are refused',
    (options) => {
      expect(() => createAgentMemory(options as AgentMemoryOptions)).toThrow(/expected/)
    },
  )
})

describe('with Redis', () => {
  let server: RedisServer
  let proxy: FaultProxy
  let redis: Connection
  let memory: AgentMemory

  const open = async (options: AgentMemoryOptions = {}) => {
    redis = await connect({ url: proxy.url, commandTimeout: 200 })
    memory = createAgentMemory({ redis, ...options })
  }

  beforeEach(async () => {
    server = await startRedis({ args: { appendonly: 'yes', appendfsync: 'always' } })
    proxy = await startProxy({ host: server.host, port: server.port })
    await open()
  })
  afterEach(async () => {
    await memory.close()
    await redis.close()
    await proxy.close()
    await server.close()
  })

  const idsOf = async (from = memory) =>
    (await from.owner('o').thread('t').window({ maxMessages: 1_000 })).messages.map(({ id }) => id)

  it('says where a message is, and refuses another body under its id', async () => {
    const thread = memory.owner('o').thread('t')
    const receipt = { status: 'stored', ids: ['a'], seqs: [1], version: 1 }
    const { stored, generation, ...now } = await thread.append(user('a'))
    expect(now).toEqual({ ...receipt, source: 'redis' })
    expect(await stored).toEqual(receipt)
    expect(await thread.append(user('a'))).toMatchObject({ status: 'duplicate', seqs: [1] })
    await expect(thread.append({ id: 'a', role: 'user', content: 'other' })).rejects.toMatchObject({
      code: 'MESSAGE_CONFLICT',
    })
  })

  it('promise 6: a write whose reply was lost is there once, and its retry changes nothing', async () => {
    const thread = memory.owner('o').thread('t')
    await thread.append(user('before'))
    const dropped = proxy.dropReplies(1, ([name]) => name?.startsWith('EVALSHA') === true)
    const receipt = await thread.append(user('lost'))
    await dropped.done
    // It may have run, so it is journaled, and replayed by its id.
    expect(receipt.status).toBe('journaled')
    await memory.flushed({ signal: AbortSignal.timeout(5_000) })
    await thread.append(user('lost'))
    expect(await idsOf()).toEqual(['before', 'lost'])
  })

  it('promise 3: nothing acknowledged is lost, or twice, or out of order, when Redis is killed and comes back', async () => {
    const thread = memory.owner('o').thread('t')
    const acknowledged: string[] = []
    let statuses = ''
    let running = true
    await until(() => memory.status().state === 'primary', 60_000)
    const writing = (async () => {
      for (let index = 0; running; index++) {
        const { status } = await thread.append(user(`m${index}`))
        acknowledged.push(`m${index}`)
        statuses += status[0]
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
    })()
    await until(() => acknowledged.length > 20, 2_000)
    await server.kill()
    await until(() => statuses.split('j').length > 20, 3_000)
    await server.restart()
    await until(() => memory.status().state === 'primary', 5_000)
    const after = acknowledged.length
    await until(() => acknowledged.length > after + 20, 2_000)
    running = false
    await writing
    await memory.flushed({ signal: AbortSignal.timeout(5_000) })
    expect(statuses).toMatch(/s.*j{10}.*s$/)
    const other = createAgentMemory({ redis })
    expect(await idsOf(other)).toEqual(acknowledged)
    await other.close()
  })

  it('reads in an outage what it knows, marked stale, and says what it does not know', async () => {
    const thread = memory.owner('o').thread('t')
    await thread.append([user('a'), user('b')])
    await server.kill()
    await until(() => redis.state === 'down', 1_000)
    expect(await thread.append(user('c'))).toMatchObject({ status: 'journaled', source: 'memory' })
    expect(await thread.window()).toMatchObject({ stale: true, complete: true, source: 'memory', count: 3 })
    expect(await idsOf()).toEqual(['a', 'b', 'c'])
    await expect(memory.owner('o').thread('never seen').window()).rejects.toMatchObject({
      code: 'THREAD_UNKNOWN',
    })
    expect(memory.status()).toMatchObject({ state: 'fallback', journaled: 1 })
  })

  it('keeps what a full journal holds, and refuses more', async () => {
    await memory.close()
    await redis.close()
    await open({ journal: { maxMessages: 3 } })
    const thread = memory.owner('o').thread('t')
    await server.kill()
    await until(() => redis.state === 'down', 1_000)
    await thread.append([user('a'), user('b')])
    await expect(thread.append([user('c'), user('d')])).rejects.toMatchObject({ code: 'JOURNAL_FULL' })
    await thread.append(user('e'))
    await server.restart()
    await memory.flushed({ signal: AbortSignal.timeout(5_000) })
    expect(await idsOf()).toEqual(['a', 'b', 'e'])
  })

  it('deletes in an outage too, and the deletion holds', async () => {
    const thread = memory.owner('o').thread('t')
    await thread.append(user('a'))
    await server.kill()
    await until(() => redis.state === 'down', 1_000)
    await thread.append(user('b'))
    await thread.delete()
    await thread.append(user('c'))
    await server.restart()
    await memory.flushed({ signal: AbortSignal.timeout(5_000) })
    expect(await idsOf()).toEqual(['c'])
  })

  it('lets two instances write one thread, each in its own order', async () => {
    await using second = await connect({ url: server.url })
    const other = createAgentMemory({ redis: second })
    const write = async (who: AgentMemory, name: string) => {
      for (let index = 0; index < 50; index++)
        await who
          .owner('o')
          .thread('t')
          .append(user(`${name}${index}`))
    }
    await Promise.all([write(memory, 'a'), write(other, 'b')])
    const ids = await idsOf()
    for (const name of ['a', 'b']) {
      expect(ids.filter((id) => id.startsWith(name))).toEqual(
        Array.from({ length: 50 }, (_, index) => `${name}${index}`),
      )
    }
    await other.close()
  })
})

describe('promise 5: threads in this process are bounded', () => {
  const bare = resolveOptions({})
  const message = (id: string, content = '') => prepare({ id, role: 'user', content }, 0, bare)
  const append = (store: MemoryThreadStore, thread: string, ...messages: PreparedMessage[]) =>
    store.append({ owner: 'o', thread }, messages, { ttlMs: 1_000 })

  it('in number: the least recently used are forgotten, each as a whole', async () => {
    const store = new MemoryThreadStore({ maxThreads: 10 })
    for (let index = 0; index < 100; index++) await append(store, `${index}`, message('a'), message('b'))
    expect(store.size).toBeLessThanOrEqual(10)
    const counts = []
    for (let index = 0; index < 100; index++) {
      const { count } = await store.tail({ owner: 'o', thread: `${index}` }, { maxMessages: 9, maxTokens: 9 })
      counts.push(count)
    }
    expect(new Set(counts)).toEqual(new Set([0, 2]))
    expect(counts.at(-1)).toBe(2)
  })

  it('in bytes: a thread that is too large is refused, and stays as it was', async () => {
    const store = new MemoryThreadStore({ maxBytes: 50_000 })
    for (let index = 0; index < 100; index++) await append(store, `${index}`, message('a', 'x'.repeat(1_000)))
    expect(store.bytes).toBeLessThanOrEqual(50_000 + 16_384)
    const large = message('large', 'x'.repeat(30_000))
    await expect(append(store, '99', large)).rejects.toMatchObject({ code: 'MESSAGE_TOO_LARGE' })
    const tail = await store.tail({ owner: 'o', thread: '99' }, { maxMessages: 9, maxTokens: 1e9 })
    expect(tail.records.map(({ id }) => id)).toEqual(['a'])
    expect(await append(store, '99', message('a', 'x'.repeat(1_000)))).toMatchObject({ status: 'duplicate' })
  })
})
