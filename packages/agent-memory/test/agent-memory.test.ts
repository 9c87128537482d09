import { type Connection, connect } from '@evenkeel/core'
import { type FaultProxy, type RedisServer, startProxy, startRedis, until } from '@evenkeel/test-servers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type AgentMemory,
  type AgentMemoryOptions,
  createAgentMemory,
  MemoryThreadStore,
  type Message,
} from '../src/index.js'

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
    memory.close()
    await redis.close()
    await proxy.close()
    await server.close()
  })

  const idsOf = async (from = memory) =>
    (await from.owner('o').thread('t').window({ maxMessages: 1_000 })).messages.map(({ id }) => id)

  it('says where a message is, and refuses another body under its id', async () => {
    const thread = memory.owner('o').thread('t')
    expect(await thread.append(user('a'))).toEqual({
      status: 'stored',
      ids: ['a'],
      seqs: [1],
      version: 1,
      source: 'redis',
    })
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
    expect(statuses).toMatch(/^s+j+s+$/)
    const other = createAgentMemory({ redis })
    expect(await idsOf(other)).toEqual(acknowledged)
    other.close()
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
    memory.close()
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
    other.close()
  })
})

describe('promise 5: the memory store is bounded', () => {
  it('in threads, and in messages of a thread', async () => {
    const store = new MemoryThreadStore({ maxThreads: 10, maxMessages: 5 })
    const memory = createAgentMemory({ maxThreads: 10 })
    for (let index = 0; index < 100; index++) await memory.owner('o').thread(`${index}`).append(user('a'))
    const { prepare } = await import('../src/message.js')
    const { resolveOptions } = await import('../src/options.js')
    for (let index = 0; index < 100; index++) {
      await store.append(
        { owner: 'o', thread: `${index % 20}` },
        [prepare(user(`${index}`), 0, resolveOptions({}))],
        1_000,
      )
    }
    expect(store.size).toBeLessThanOrEqual(10)
    for (let index = 0; index < 20; index++) {
      await store.append(
        { owner: 'o', thread: 'long' },
        [prepare(user(`${index}`), 0, resolveOptions({}))],
        1_000,
      )
    }
    const tail = await store.tail({ owner: 'o', thread: 'long' }, { maxMessages: 100, maxTokens: 1e9 })
    expect(tail).toMatchObject({ complete: false, count: 20 })
    expect(tail.records).toHaveLength(5)
  })
})
