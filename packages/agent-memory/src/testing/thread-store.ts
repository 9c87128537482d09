import { beforeEach, describe, expect, it } from 'vitest'
import { type Message, prepare } from '../message.js'
import { resolveOptions } from '../options.js'
import type { ThreadStore } from '../store.js'

export interface ThreadStoreHarness {
  /** An empty store. */
  create(): Promise<ThreadStore> | ThreadStore
  /** Lets this many milliseconds go by, for the store. */
  pass(ms: number): Promise<void> | void
}

const options = resolveOptions({ countTokens: () => 10 })
const all = { maxMessages: 1_000, maxTokens: Number.MAX_SAFE_INTEGER }
const ttlMs = 60_000
let tokens = 0

/** What every {@link ThreadStore} must do, as vitest tests. */
export function testThreadStore(name: string, harness: ThreadStoreHarness): void {
  describe(`a thread store: ${name}`, () => {
    let store: ThreadStore
    const id = { owner: 'user:1', thread: 'chat' }

    beforeEach(async () => {
      store = await harness.create()
    })

    const append = (messages: Message[], to = id) =>
      store.append(
        to,
        messages.map((message, index) => prepare(message, index, options)),
        { ttlMs },
      )
    const say = (...texts: string[]) =>
      append(texts.map((text) => ({ id: text, role: 'user', content: text })))
    const remove = (from = id) => store.delete(from, { token: `deletion-${tokens++}` })
    const ids = async (from = id) => (await store.tail(from, all)).records.map((record) => record.id)

    it('has nothing of a thread that was never written', async () => {
      expect(await store.tail(id, all)).toMatchObject({
        records: [],
        count: 0,
        version: 0,
        generation: 0,
        pinned: [],
      })
      expect(await remove()).toMatchObject({ existed: false })
    })

    it('keeps messages in their order, at gapless places', async () => {
      expect(await say('a', 'b')).toMatchObject({ status: 'stored', seqs: [1, 2], version: 1 })
      expect(await say('c')).toMatchObject({ status: 'stored', seqs: [3], version: 2 })
      const { records, count, version } = await store.tail(id, all)
      expect(records.map((record) => [record.seq, record.id])).toEqual([
        [1, 'a'],
        [2, 'b'],
        [3, 'c'],
      ])
      expect([count, version]).toEqual([3, 2])
    })

    it('gives one id one place, however often it is appended', async () => {
      await say('a', 'b')
      expect(await say('a', 'b')).toMatchObject({ status: 'duplicate', seqs: [1, 2], version: 1 })
      expect(await say('b', 'c')).toMatchObject({ status: 'stored', seqs: [2, 3], version: 2 })
      expect(await ids()).toEqual(['a', 'b', 'c'])
    })

    it('stores nothing when an id comes with another body', async () => {
      await say('a')
      const conflict = await append([
        { id: 'new', role: 'user' },
        { id: 'a', role: 'user', content: 'other' },
      ])
      expect(conflict).toEqual({ status: 'conflict', id: 'a' })
      expect(await ids()).toEqual(['a'])
    })

    it('never leaves a gap, and loses nothing, when many append at once', async () => {
      await Promise.all(Array.from({ length: 50 }, (_, index) => say(`m${index}`)))
      const { records } = await store.tail(id, all)
      expect(records.map(({ seq }) => seq)).toEqual(Array.from({ length: 50 }, (_, index) => index + 1))
      expect(new Set(records.map((record) => record.id)).size).toBe(50)
    })

    it('reads the newest within bounds of messages and tokens', async () => {
      await say(...Array.from({ length: 130 }, (_, index) => `m${index}`))
      const seqs = async (maxMessages: number, maxTokens: number) =>
        (await store.tail(id, { maxMessages, maxTokens })).records.map(({ seq }) => seq)
      expect(await seqs(3, 1_000)).toEqual([128, 129, 130])
      expect(await seqs(100, 25)).toEqual([129, 130])
      expect(await seqs(100, 9)).toEqual([])
      expect((await seqs(120, 100_000))[0]).toBe(11)
    })

    it('knows the first system message, wherever it is', async () => {
      await append([
        { id: 's', role: 'system', content: 'be brief' },
        { id: 't', role: 'system' },
      ])
      await say('a', 'b', 'c')
      const { pinned, records } = await store.tail(id, { maxMessages: 1, maxTokens: 1_000 })
      expect(pinned).toMatchObject([{ id: 's', seq: 1, role: 'system' }])
      expect(records.map((record) => record.id)).toEqual(['c'])
    })

    it('ties the results of tool calls to the messages that made them', async () => {
      await append([
        { id: 'q', role: 'user', content: 'weather?' },
        { id: 'c', role: 'assistant', tool_calls: [{ id: 'x' }, { id: 'y' }] },
        { id: 'rx', role: 'tool', tool_call_id: 'x' },
        { id: 'note', role: 'user', content: 'hurry' },
        { id: 'ry', role: 'tool', tool_call_id: 'y' },
        { id: 'again', role: 'tool', tool_call_id: 'y' },
      ])
      await append([{ id: 'c2', role: 'assistant', content: [{ type: 'tool_use', id: 'x' }] }])
      await append([{ id: 'c3', role: 'assistant', content: [{ type: 'tool-call', toolCallId: 'ü |,' }] }])
      const results = [
        { type: 'tool_result', tool_use_id: 'x' },
        { type: 'tool-result', toolCallId: 'ü |,' },
        { type: 'tool_result', tool_use_id: 'unknown' },
      ]
      await append([{ id: 'both', role: 'user', content: results }])
      const { records } = await store.tail(id, all)
      expect(records.map(({ ties }) => ties)).toEqual([[], [], [2], [], [2], [], [], [], [7, 8]])
      expect(records.map(({ calls, results: answered, strays }) => [calls, answered, strays])).toEqual([
        [0, 0, 0],
        [2, 0, 0],
        [0, 1, 0],
        [0, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
        [1, 0, 0],
        [1, 0, 0],
        [0, 2, 1],
      ])
    })

    it('keeps bodies as they are', async () => {
      const message = {
        id: 'ü \n#1',
        role: 'user',
        content: [{ text: 'line\nline\u2028 "quoted" \u0000 🙂' }],
        extra: { n: 1.5, none: null },
      }
      await append([message])
      const [record] = (await store.tail(id, all)).records
      expect({ ...JSON.parse(record?.body ?? ''), id: record?.id }).toEqual(message)
    })

    it('keeps owners and threads apart, whatever is in their names', async () => {
      const names = ['a', 'a:b', 'b', '{a}', '}{', '%7D', 'ü\u0000\n', '*', 'a b']
      for (const owner of names)
        for (const thread of names)
          await append([{ id: `${owner}|${thread}`, role: 'user' }], { owner, thread })
      for (const owner of names)
        for (const thread of names) expect(await ids({ owner, thread })).toEqual([`${owner}|${thread}`])
    })

    it('removes a thread, all of it', async () => {
      await say('a')
      const { version } = await store.tail(id, all)
      expect(await remove()).toEqual({ existed: true, generation: 1 })
      expect(await store.tail(id, all)).toMatchObject({ records: [], count: 0, pinned: [], generation: 1 })
      const again = await say('a')
      expect(again).toMatchObject({ status: 'stored', seqs: [1], generation: 1 })
      expect('version' in again && again.version > version).toBe(true)
    })

    it('deletes once under one token, and nothing that came after it', async () => {
      await say('a')
      const deletion = { token: 'once' }
      expect(await store.delete(id, deletion)).toEqual({ existed: true, generation: 1 })
      await say('b')
      expect(await store.delete(id, deletion)).toEqual({ existed: true, generation: 1 })
      expect(await ids()).toEqual(['b'])
    })

    it('brings no deleted thread back by a write, or deletes its successor by a deletion, from before', async () => {
      await say('a')
      await remove()
      const late = [prepare({ id: 'late', role: 'user' }, 0, options)]
      expect(await store.append(id, late, { ttlMs, generation: 0 })).toEqual({
        status: 'deleted',
        generation: 1,
      })
      expect(await ids()).toEqual([])
      expect(await store.append(id, late, { ttlMs, generation: 1 })).toMatchObject({ status: 'stored' })
      expect(await store.delete(id, { token: 'late', generation: 0 })).toEqual({
        existed: false,
        generation: 1,
      })
      expect(await ids()).toEqual(['late'])
    })

    it('names each life of a thread by its own epoch', async () => {
      const epoch = async () => (await store.tail(id, all)).epoch
      expect(await epoch()).toBe('')
      await say('a')
      const first = await epoch()
      await say('b')
      expect(await epoch()).toBe(first)
      await remove()
      expect(await epoch()).toBe('')
      await say('a')
      expect([first, '']).not.toContain(await epoch())
    })

    it('forgets a thread when its time is over, and counts that from the last append', async () => {
      const short = (text: string) =>
        store.append(id, [prepare({ id: text, role: 'user' }, 0, options)], { ttlMs: 250 })
      await short('a')
      await harness.pass(150)
      await short('b')
      await harness.pass(150)
      expect(await ids()).toEqual(['a', 'b'])
      await harness.pass(200)
      expect(await ids()).toEqual([])
    })
  })
}
