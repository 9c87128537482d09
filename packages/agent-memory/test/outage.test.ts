import { type Connection, connect, UnavailableError } from '@evenkeel/core'
import { systemClock } from '@evenkeel/core/kit'
import { type FaultProxy, type RedisServer, startProxy, startRedis, until } from '@evenkeel/test-servers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { OfflineBackend } from '../src/backends/offline.js'
import { type AgentMemory, createAgentMemory, type Message } from '../src/index.js'
import { Journal } from '../src/journal/journal.js'
import { RecentWrites } from '../src/journal/resend-lost.js'
import { prepare } from '../src/messages/prepare.js'
import { resolveOptions } from '../src/options.js'
import { ReplicaCache } from '../src/replica/replica-cache.js'
import { RedisThreadStore } from '../src/store.js'
import { MemoryThreadStore } from '../src/stores/memory.js'

const user = (id: string, content = `message ${id}`): Message => ({ id, role: 'user', content })
const soon = () => ({ signal: AbortSignal.timeout(5_000) })

describe('an outage', () => {
  let server: RedisServer
  let proxy: FaultProxy
  let redis: Connection
  let memory: AgentMemory
  /** Another instance, which reaches Redis while the first one does not. */
  let elsewhere: Connection
  let other: AgentMemory

  beforeEach(async () => {
    server = await startRedis()
    proxy = await startProxy({ host: server.host, port: server.port })
    redis = await connect({ url: proxy.url, commandTimeout: 200 })
    elsewhere = await connect({ url: server.url })
    memory = createAgentMemory({ redis })
    other = createAgentMemory({ redis: elsewhere })
  })
  afterEach(async () => {
    await memory.close()
    await other.close()
    await redis.close()
    await elsewhere.close()
    await proxy.close()
    await server.close()
  })

  const threadOf = (from: AgentMemory) => from.owner('o').thread('t')
  const idsOf = async (from: AgentMemory) =>
    (await threadOf(from).window({ maxMessages: 1_000 })).messages.map(({ id }) => id)
  const cutOff = async () => {
    await proxy.refuse()
    await until(() => memory.status().state === 'fallback', 2_000)
  }
  const back = async () => {
    await proxy.restore()
    await until(() => memory.status().state === 'primary', 5_000)
  }

  it('tells with the receipt when a journaled message is in Redis, and where', async () => {
    await threadOf(memory).append(user('a'))
    await cutOff()
    const receipt = await threadOf(memory).append([user('b'), user('c')])
    expect(receipt).toMatchObject({ status: 'journaled', ids: ['b', 'c'], seqs: [] })
    await threadOf(other).append(user('of other'))
    await back()
    expect(await receipt.stored).toEqual({ status: 'stored', ids: ['b', 'c'], seqs: [3, 4], version: 3 })
  })

  it('journals nothing of an append that it refuses', async () => {
    const thread = threadOf(memory)
    await thread.append(user('a'))
    await cutOff()
    await thread.append(user('b'))
    for (const id of ['a', 'b']) {
      await expect(thread.append([user('new'), user(id, 'other')])).rejects.toMatchObject({
        code: 'MESSAGE_CONFLICT',
      })
    }
    expect(memory.status().journaled).toBe(1)
    await back()
    expect(await idsOf(memory)).toEqual(['a', 'b'])
  })

  it('refuses only the message whose id another writer took meanwhile, and says so', async () => {
    await threadOf(memory).append(user('a'))
    await cutOff()
    const receipt = await threadOf(memory).append([user('b'), user('taken'), user('c')])
    const next = await threadOf(memory).append(user('d'))
    await threadOf(other).append(user('taken', 'by the other'))
    await back()
    await expect(receipt.stored).rejects.toMatchObject({ code: 'MESSAGE_CONFLICT', id: 'taken' })
    expect((await next.stored).seqs).toEqual([5])
    expect(await idsOf(other)).toEqual(['a', 'taken', 'b', 'c', 'd'])
  })

  it('promise 6: a deletion whose reply was lost deletes nothing that came after it', async () => {
    await threadOf(memory).append(user('a'))
    const dropped = proxy.dropReplies(1, ([name]) => name?.startsWith('EVAL') === true)
    const deleting = threadOf(memory).delete()
    await dropped.done
    await threadOf(other).append(user('after'))
    expect(await deleting).toBe(true)
    await memory.flushed(soon())
    expect(await idsOf(other)).toEqual(['after'])
  })

  it('promise 2: an increment whose reply was lost counts once, however much others do before it is sent again', async () => {
    await threadOf(memory).append(user('a'))
    const { done } = proxy.dropReplies(1, ([name = '']) => name.startsWith('EVAL'))
    const counted = threadOf(memory).state.increment('turns')
    await done
    await proxy.refuse()
    expect(await counted).toMatchObject({ status: 'journaled' })
    await threadOf(memory).state.increment('turns')
    // More than a thread remembers by name.
    for (let count = 0; count < 100; count++) await threadOf(other).state.set('other', count)
    await back()
    await memory.flushed(soon())
    expect(await threadOf(other).state.get('turns')).toMatchObject({ value: 2 })
  })

  it('brings no thread back that was deleted elsewhere', async () => {
    await threadOf(memory).append(user('a'))
    await cutOff()
    const receipt = await threadOf(memory).append(user('b'))
    await threadOf(other).delete()
    await back()
    expect(await receipt.stored).toMatchObject({ status: 'deleted' })
    expect(await threadOf(other).window()).toMatchObject({ messages: [], count: 0 })
    expect(await threadOf(memory).append(user('c'))).toMatchObject({ status: 'stored', seqs: [1] })
  })

  it.each(['delete', 'erase'] as const)(
    'shows nothing of what another process had gone by %s',
    async (how) => {
      const threads = ['t', 'u'].map((name) => memory.owner('o').thread(name))
      for (const thread of threads) {
        await thread.append(user(thread.id))
        await thread.window()
      }
      const listeners = async () => {
        const counted = await server.command('PUBSUB', 'NUMSUB', 'evenkeel:agent-memory:deletions')
        return Number((counted as unknown[])[1])
      }
      await until(async () => (await listeners()) === 2, 10_000)
      if (how === 'erase') await other.owner('o').erase()
      else await threadOf(other).delete()
      // What one connection publishes is heard in its order: this comes behind the deletion.
      const heard = new Promise<void>((resolve) => void redis.subscribe('after', () => resolve()))
      await until(async () => {
        await elsewhere.publish('after', '')
        return Promise.race([heard.then(() => true), Promise.resolve().then(() => false)])
      }, 10_000)
      await cutOff()
      const shown = threads.map((thread) =>
        thread.window().then(
          ({ messages }) => messages.length,
          ({ code }) => code,
        ),
      )
      expect(await Promise.all(shown)).toEqual(['THREAD_UNKNOWN', how === 'erase' ? 'THREAD_UNKNOWN' : 1])
    },
  )

  it('says of a thread whose beginning it has not seen that it is not complete', async () => {
    await threadOf(other).append([user('a'), user('b')])
    await cutOff()
    await threadOf(memory).append(user('c'))
    expect(await threadOf(memory).window()).toMatchObject({
      messages: [{ id: 'c' }],
      stale: true,
      complete: false,
    })
    await back()
    expect(await threadOf(memory).window()).toMatchObject({ count: 3, stale: false, complete: true })
  })

  it('knows of a thread what it appended last, behind other writers', async () => {
    await threadOf(other).append([user('a'), user('b')])
    await threadOf(memory).append(user('c'))
    await cutOff()
    expect(await threadOf(memory).window()).toMatchObject({ messages: [{ id: 'c' }], complete: false })
  })

  it('shows a result that is journaled with its call that was read before', async () => {
    await threadOf(other).append([user('q'), { id: 'c', role: 'assistant', tool_calls: [{ id: 'x' }] }])
    await threadOf(memory).window()
    await cutOff()
    await threadOf(memory).append([{ id: 'r', role: 'tool', tool_call_id: 'x' }, user('thanks')])
    expect(await idsOf(memory)).toEqual(['q', 'c', 'r', 'thanks'])
    await back()
    expect(await idsOf(other)).toEqual(['q', 'c', 'r', 'thanks'])
  })

  it('forgets nothing that is journaled, however many threads are used', async () => {
    await memory.close()
    memory = createAgentMemory({ redis, maxThreads: 10 })
    await cutOff()
    const thread = (index: number) => memory.owner('o').thread(`t${index}`)
    for (let index = 0; index < 100; index++) await thread(index).append([user('a'), user('b')])
    for (let index = 0; index < 100; index++) expect((await thread(index).window()).count).toBe(2)
    await back()
    for (let index = 0; index < 100; index++) {
      expect((await other.owner('o').thread(`t${index}`).window()).count).toBe(2)
    }
  })

  it('keeps the order of writes that were not awaited', async () => {
    const thread = threadOf(memory)
    const writes: Promise<unknown>[] = []
    const write = (count: number) => {
      for (let index = 0; index < count; index++) writes.push(thread.append(user(`${writes.length}`)))
    }
    await server.freeze()
    const frozenAt = performance.now()
    write(30)
    await until(() => performance.now() > frozenAt + 100, 1_000)
    // These are still under way when the first ones have opened the breaker, and others are journaled at once.
    write(30)
    await until(() => memory.status().state === 'fallback', 2_000)
    write(40)
    await server.resume()
    await Promise.all(writes)
    await memory.flushed(soon())
    expect(await idsOf(other)).toEqual(Array.from({ length: 100 }, (_, index) => `${index}`))
  })

  it('gives each of many journaled appends its own places, a repeated one the same', async () => {
    await cutOff()
    const receipts = []
    for (let index = 0; index < 300; index++) {
      receipts.push(await threadOf(memory).append([user(`a${index}`), user(`b${index}`)]))
    }
    const again = await threadOf(memory).append(user('b7'))
    await back()
    const places = (await Promise.all(receipts.map(({ stored }) => stored))).map(({ seqs }) => seqs)
    expect(places).toEqual(receipts.map((_, index) => [2 * index + 1, 2 * index + 2]))
    expect(await again.stored).toMatchObject({ status: 'duplicate', seqs: [16] })
    expect((await threadOf(other).window()).count).toBe(600)
  })

  it('replays faster than a writer that goes on writing', async () => {
    await cutOff()
    const thread = threadOf(memory)
    for (let index = 0; index < 2_000; index++) await thread.append(user(`${index}`))
    let isWriting = true
    const writing = (async () => {
      for (let index = 2_000; isWriting; index++) {
        await thread.append(user(`${index}`))
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    })()
    await proxy.restore()
    // Each reply takes longer than the pause between two messages.
    proxy.delay(20)
    await until(() => memory.status().state === 'primary', 5_000)
    isWriting = false
    await writing
    const { count } = await threadOf(other).window()
    expect(count).toBeGreaterThanOrEqual(2_000)
  })

  it('tells whoever waits for a journaled message that the memory was closed', async () => {
    await cutOff()
    const receipt = await threadOf(memory).append(user('a'))
    const flushed = memory.flushed()
    await memory.close()
    const closed = { code: 'CONNECTION_CLOSED' }
    await expect(receipt.stored).rejects.toMatchObject(closed)
    await expect(flushed).rejects.toMatchObject(closed)
    await expect(memory.flushed()).rejects.toMatchObject(closed)
    await expect(threadOf(memory).append(user('b'))).rejects.toMatchObject(closed)
  })

  it('goes on with the other threads when a key of one is something else', async () => {
    await server.command('SET', 'evenkeel:agent-memory:{o}:t:spoilt', 'text')
    await expect(memory.owner('o').thread('spoilt').append(user('a'))).rejects.toMatchObject({
      code: 'REDIS_REPLY',
    })
    await cutOff()
    const spoilt = await memory.owner('o').thread('spoilt').append(user('a'))
    const good = await threadOf(memory).append(user('b'))
    await back()
    await expect(spoilt.stored).rejects.toMatchObject({ prefix: 'WRONGTYPE' })
    expect(await good.stored).toMatchObject({ status: 'stored' })
  })
})

describe('two replays that overlap', () => {
  it('promise 3: lose nothing', async () => {
    const options = resolveOptions({})
    const journal = new Journal({ maxMessages: 100, maxBytes: 1e6 })
    const known = new ReplicaCache({ ...options, ttlMs: 1_000 })
    const outage = new OfflineBackend(journal, known, options)
    const id = { owner: 'o', thread: 't' }
    for (const name of ['a', 'b', 'c', 'd']) await outage.append(id, [prepare(user(name), 0, options)])
    // A store whose first answer comes when a second replay is under way.
    const store = new MemoryThreadStore()
    const append = store.append.bind(store)
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    let calls = 0
    store.append = async (...args) => {
      const result = await append(...args)
      if (calls++ === 0) await held
      return result
    }
    const turn = () => ({ signal: AbortSignal.timeout(1_000), progress: () => {}, handOver: () => {} })
    const first = outage.replay(store, turn())
    const second = outage.replay(store, turn())
    release()
    await Promise.all([first, second])
    expect(journal.messages).toBe(0)
    const { records } = await store.tail(id, { maxMessages: 10, maxTokens: 1_000 })
    expect(records.map((record) => record.id)).toEqual(['a', 'b', 'c', 'd'])
  })
})

describe('a replay over a line that takes only some kilobytes within the time of a command', () => {
  it('sends less at once with each try, until it has an end', async () => {
    const options = resolveOptions({})
    const journal = new Journal({ maxMessages: 1_000, maxBytes: 1e7 })
    const recent = new RecentWrites({ windowMs: 60_000, maxBytes: 1e7, clock: systemClock })
    const outage = new OfflineBackend(
      journal,
      new ReplicaCache({ ...options, ttlMs: 1_000 }),
      options,
      recent,
    )
    const id = { owner: 'o', thread: 't' }
    const text = 'x'.repeat(4_000)
    const prepared = (name: string) => [prepare(user(name, text), 0, options)]
    // As if Redis had acknowledged these and lost them.
    for (let index = 0; index < 60; index++) recent.appended(id, prepared(`lost ${index}`), 0)
    for (let index = 0; index < 60; index++) await outage.append(id, prepared(`new ${index}`))
    const store = new MemoryThreadStore()
    const append = store.append.bind(store)
    store.append = async (thread, batch, ...rest) => {
      if (batch.length > 5) throw new UnavailableError('COMMAND_TIMEOUT', 'too long', 'unknown')
      return append(thread, batch, ...rest)
    }
    let tries = 0
    let sent = 0
    const progress = () => sent++
    for (let isDone = false; !isDone; tries++) {
      const turn = { signal: new AbortController().signal, progress, handOver: () => (isDone = true) }
      await outage
        .replay(store, turn)
        .catch((error: unknown) => expect(error).toBeInstanceOf(UnavailableError))
      expect(tries).toBeLessThan(60)
    }
    const { records } = await store.tail(id, { maxMessages: 1_000, maxTokens: 1e6 })
    expect(records).toHaveLength(120)
    expect(sent).toBeGreaterThanOrEqual(120 / 5)
  })
})

describe('what Redis holds', () => {
  it('is in the layout that scripts/append.lua describes', async () => {
    await using server = await startRedis()
    await using redis = await connect({ url: server.url })
    const store = new RedisThreadStore(redis)
    const options = resolveOptions({})
    const id = { owner: 'user:42', thread: 'chat/7' }
    await store.append(id, [prepare({ id: 'ä|b', role: 'user', content: 'hi' }, 0, options)], {
      ttlMs: 60_000,
    })
    const key = 'evenkeel:agent-memory:{user:42}:t:chat%2F7'
    const hash = (await redis.command(['HGETALL', key])) as string[]
    const fields = new Map(hash.flatMap((name, at) => (at % 2 === 0 ? [[name, hash[at + 1]]] : [])) as [])
    expect(fields.get('1')).toMatch(
      /^%C3%A4%7Cb\|user\|1\|0\|1\|\d{13}\|0\|[\w-]{16}\|\|\n\{"role":"user","content":"hi"\}$/,
    )
    expect(fields.get('#%C3%A4%7Cb')).toBe('1')
    expect(fields.get('_v')).toBe('1')
    expect([...fields.keys()].sort()).toEqual(['#%C3%A4%7Cb', '1', '_m', '_v'])
    const ttl = Number(await redis.command(['PTTL', key]))
    expect(ttl).toBeGreaterThan(59_000)
    expect(ttl).toBeLessThanOrEqual(61_200)
  })
})
