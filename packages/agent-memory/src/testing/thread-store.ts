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
        ttlMs,
      )
    const say = (...texts: string[]) =>
      append(texts.map((text) => ({ id: text, role: 'user', content: text })))
    const ids = async (from = id) => (await store.tail(from, all)).records.map((record) => record.id)

    it('has nothing of a thread that was never written', async () => {
      expect(await store.tail(id, all)).toMatchObject({
        records: [],
        count: 0,
        version: 0,
        system: undefined,
        stale: false,
      })
      expect(await store.delete(id)).toBe(false)
    })

    it('keeps messages in their order, at gapless places', async () => {
      expect(await say('a', 'b')).toEqual({ status: 'stored', seqs: [1, 2], version: 1 })
      expect(await say('c')).toEqual({ status: 'stored', seqs: [3], version: 2 })
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
      expect(await say('a', 'b')).toEqual({ status: 'duplicate', seqs: [1, 2], version: 1 })
      expect(await say('b', 'c')).toEqual({ status: 'stored', seqs: [2, 3], version: 2 })
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
      const { system, records } = await store.tail(id, { maxMessages: 1, maxTokens: 1_000 })
      expect(system).toMatchObject({ id: 's', seq: 1, role: 'system' })
      expect(records.map((record) => record.id)).toEqual(['c'])
    })

    it('groups the results of tool calls with the message that made them', async () => {
      await append([
        { id: 'q', role: 'user', content: 'weather?' },
        { id: 'c', role: 'assistant', tool_calls: [{ id: 'x' }, { id: 'y' }] },
        { id: 'rx', role: 'tool', tool_call_id: 'x' },
        { id: 'note', role: 'user', content: 'hurry' },
        { id: 'ry', role: 'tool', tool_call_id: 'y' },
        { id: 'stray', role: 'tool', tool_call_id: 'z' },
      ])
      await append([{ id: 'c2', role: 'assistant', content: [{ type: 'tool_use', id: 'x' }] }])
      await append([{ id: 'r2', role: 'user', content: [{ type: 'tool_result', tool_use_id: 'x' }] }])
      const { records } = await store.tail(id, all)
      expect(records.map(({ group }) => group)).toEqual([1, 2, 2, 4, 2, 6, 7, 7])
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
      expect(await store.delete(id)).toBe(true)
      expect(await ids()).toEqual([])
      expect(await say('a')).toMatchObject({ status: 'stored', seqs: [1] })
    })

    it('forgets a thread when its time is over, and counts that from the last append', async () => {
      const short = (text: string) => store.append(id, [prepare({ id: text, role: 'user' }, 0, options)], 250)
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
