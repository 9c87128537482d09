import { inTime } from '@evenkeel/core/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import type { Message } from '../messages/message.js'
import { prepare } from '../messages/prepare.js'
import { resolveOptions } from '../options.js'
import type { Change } from '../stores/change.js'
import type { Limits } from '../stores/limits.js'
import type { PageRequest, ThreadListPage, ThreadStore } from '../stores/port.js'

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

    const empty = async () => {
      store = await harness.create()
    }
    beforeEach(empty)

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
      expect(records.map(({ answers }) => answers.map(({ madeAt }) => madeAt))).toEqual([
        [],
        [],
        [2],
        [],
        [2],
        [undefined],
        [],
        [],
        [7, undefined, 8],
      ])
      expect(records.map(({ opens }) => opens)).toEqual([[], ['x', 'y'], [], [], [], [], ['x'], ['ü |,'], []])
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
        store.append(id, [prepare({ id: text, role: 'user' }, 0, options)], { ttlMs: 400 })
      const prolonged = async () => {
        await short('a')
        await harness.pass(250)
        await short('b')
        await harness.pass(250)
        expect(await ids()).toEqual(['a', 'b'])
      }
      // Both pauses, and less than what is left of either lifetime after one.
      await inTime(645, prolonged, empty)
      await harness.pass(410)
      expect(await ids()).toEqual([])
    })

    const change = (one: Change, from = id) => store.change(from, one, { ttlMs })
    const edited = (text: string, revision?: number) =>
      ({
        kind: 'edit',
        token: `${text} ${revision}`,
        message: prepare({ id: 'a', role: 'user', content: text }, 0, options),
        revision,
      }) as const

    it('gives a message another body once, to a caller that knows its revision', async () => {
      await say('a', 'b')
      expect(await change(edited('new', 0))).toMatchObject({ status: 'done', seq: 1, revision: 1, edited: 2 })
      expect(await change(edited('new', 0))).toMatchObject({
        status: 'done',
        seq: 1,
        revision: 1,
        version: 2,
      })
      expect(await change(edited('other', 0))).toMatchObject({ status: 'conflict', current: 1 })
      // Two who come to the same words from the same ones have both changed them: the second must know.
      expect(await change({ ...edited('new', 0), token: 'another' })).toMatchObject({ status: 'conflict' })
      expect(await change(edited('newer', 1))).toMatchObject({ status: 'done', revision: 2 })
      const [record] = (await store.tail(id, all)).records
      expect(record).toMatchObject({ seq: 1, revision: 2, body: '{"role":"user","content":"newer"}' })
      // The first append, come late, is known; another body under the id is not.
      expect(await say('a')).toMatchObject({ status: 'duplicate', seqs: [1] })
      expect(await append([{ id: 'a', role: 'user', content: 'newer' }])).toMatchObject({
        status: 'conflict',
      })
      const missing = { ...edited('x'), message: prepare({ id: 'none', role: 'user' }, 0, options) }
      expect(await change(missing)).toMatchObject({ status: 'missing' })
    })

    it('refuses an edit that would tear tool calls and results apart', async () => {
      await append([{ id: 'a', role: 'assistant', tool_calls: [{ id: 'x' }] }])
      expect(await change(edited('no calls'))).toMatchObject({ status: 'calls' })
      const message = prepare(
        { id: 'a', role: 'assistant', tool_calls: [{ id: 'x' }], content: '!' },
        0,
        options,
      )
      expect(await change({ kind: 'edit', token: 'e', message })).toMatchObject({ status: 'done' })
    })

    it('takes a message away for good', async () => {
      await say('a', 'b', 'c')
      expect(await change({ kind: 'remove', id: 'b' })).toMatchObject({ status: 'done', seq: 2 })
      expect(await change({ kind: 'remove', id: 'b' })).toMatchObject({ status: 'missing' })
      expect(await ids()).toEqual(['a', 'c'])
      expect(await say('b')).toMatchObject({ status: 'duplicate', seqs: [2] })
      expect(await say('d')).toMatchObject({ seqs: [4] })
      expect(await ids()).toEqual(['a', 'c', 'd'])
      expect((await store.tail(id, all)).count).toBe(3)
    })

    const put = (
      names: string[],
      removes?: { from: number; upTo: number },
      content = (name: string) => name,
    ) =>
      change({
        kind: 'put',
        token: `put-${tokens++}`,
        messages: names.map((name, index) =>
          prepare({ id: name, role: 'user', content: content(name) }, index, options),
        ),
        removes,
      })

    it('holds messages as they are put: new ones, changed ones, and those that were removed', async () => {
      await say('a', 'b', 'c')
      await change({ kind: 'remove', id: 'b' })
      expect(await put(['a', 'b', 'd'])).toMatchObject({ seqs: [1, 4, 5], before: 3, removed: 0, version: 3 })
      expect(await ids()).toEqual(['a', 'c', 'b', 'd'])
      expect(await put(['a', 'b', 'd'])).toMatchObject({ seqs: [1, 4, 5], version: 3 })
      expect(await put(['a'], undefined, () => 'changed')).toMatchObject({ seqs: [1], version: 4 })
      const [first] = (await store.tail(id, all)).records
      expect(first).toMatchObject({ id: 'a', revision: 1 })
      expect(JSON.parse(first?.body ?? '')).toMatchObject({ content: 'changed' })
    })

    it('takes away what is not put, within a range, and keeps the order that is given', async () => {
      await say('a', 'b', 'c', 'd')
      expect(await put(['a', 'x', 'c'], { from: 1, upTo: 3 })).toMatchObject({ removed: 1 })
      expect(await ids()).toEqual(['a', 'd', 'x', 'c'])
      // From the first that is there: what is before it was not seen by the one who puts.
      await put(['x', 'y'], { from: 0, upTo: 1_000 })
      expect(await ids()).toEqual(['a', 'd', 'x', 'y'])
      expect(await put(['new'], { from: 0, upTo: 1_000 })).toMatchObject({ removed: 0 })
    })

    it('puts nothing into a thread that was deleted since', async () => {
      await say('a')
      const { generation } = await store.tail(id, all)
      await remove()
      const [message] = [prepare({ id: 'a', role: 'user' }, 0, options)]
      const late = { kind: 'put', token: 'late', messages: [message] } as const
      expect(await store.change(id, late, { ttlMs, generation })).toMatchObject({ status: 'deleted' })
      expect(await ids()).toEqual([])
    })

    it('ties calls and results anew when a message that made them is put with others', async () => {
      const say = (content: object[]) => ({ id: 'a', role: 'assistant', content })
      const call = { type: 'tool-call', toolCallId: 'x' }
      await append([say([call])])
      const message = prepare(say([call, { type: 'tool-result', toolCallId: 'x' }]), 0, options)
      await change({ kind: 'put', token: 'done', messages: [message] })
      expect((await store.tail(id, all)).records).toMatchObject([{ opens: [], answers: [] }])
      await append([{ id: 'r', role: 'tool', tool_call_id: 'x' }])
      expect((await store.tail(id, all)).records[1]?.answers).toEqual([{ call: 'x', madeAt: undefined }])
    })

    it('opens a call again whose result is taken away', async () => {
      const result = (name: string) => ({ id: name, role: 'tool', tool_call_id: 'x' })
      await append([{ id: 'c', role: 'assistant', tool_calls: [{ id: 'x' }] }, result('r1')])
      await change({ kind: 'remove', id: 'r1' })
      await append([result('r2')])
      const records = () => store.tail(id, all).then((tail) => tail.records)
      expect((await records()).at(-1)?.answers).toEqual([{ call: 'x', madeAt: 1 }])
      await change({ kind: 'remove', id: 'c' })
      await append([result('r3')])
      expect((await records()).at(-1)?.answers).toEqual([{ call: 'x', madeAt: undefined }])
    })

    it('pins what every window holds, and lets it go', async () => {
      await say('a', 'b', 'c')
      const pin = (name: string, pinned: boolean) => change({ kind: 'pin', id: name, pinned })
      const pinned = async () =>
        (await store.tail(id, { ...all, maxMessages: 1 })).pinned.map((one) => one.id)
      await pin('b', true)
      await pin('a', true)
      expect(await pin('a', true)).toMatchObject({ status: 'done', version: 3 })
      expect(await pinned()).toEqual(['a', 'b'])
      await pin('a', false)
      await change({ kind: 'remove', id: 'b' })
      expect(await pinned()).toEqual([])
      expect(await pin('b', true)).toMatchObject({ status: 'missing' })
      await append([{ id: 'call', role: 'assistant', tool_calls: [{ id: 'x' }] }])
      expect(await pin('call', true)).toMatchObject({ status: 'calls' })
    })

    it('replaces the end of a thread in one step, if it is the expected one, once', async () => {
      await say('a', 'b', 'c')
      const messages = ['b', 'new'].map((name) => prepare({ id: name, role: 'user' }, 0, options))
      const splice = { kind: 'splice', token: 't', expected: [{ id: 'b' }, { id: 'c' }], messages } as const
      expect(await change({ ...splice, expected: [{ id: 'a' }, { id: 'c' }] })).toMatchObject({
        status: 'conflict',
      })
      expect(await change({ ...splice, expected: [{ id: 'c', digest: 'other' }] })).toMatchObject({
        status: 'conflict',
      })
      expect(await change(splice)).toMatchObject({ status: 'done', seqs: [4, 5], version: 2 })
      expect(await change(splice)).toMatchObject({ status: 'done', seqs: [4, 5], version: 2 })
      expect(await change({ ...splice, expected: [] })).toMatchObject({ status: 'reused' })
      expect(await ids()).toEqual(['a', 'b', 'new'])
      expect(await say('c')).toMatchObject({ status: 'duplicate', seqs: [3] })
      expect(await change({ ...splice, token: 'u', expected: [] })).toMatchObject({
        status: 'conflict',
        id: 'b',
      })
    })

    it('appends only to the version that is expected, and knows its own append again', async () => {
      await say('a')
      const message = [prepare({ id: 'b', role: 'user' }, 0, options)]
      const conditional = (version: number, token?: string) =>
        store.append(id, message, { ttlMs, version, token, digest: 'd' })
      expect(await conditional(0)).toEqual({ status: 'changed', version: 1, newest: 1 })
      expect(await conditional(1, 'op')).toMatchObject({ status: 'stored', seqs: [2], before: 1 })
      expect(await conditional(1, 'op')).toMatchObject({ status: 'duplicate', seqs: [2] })
      const other = [prepare({ id: 'c', role: 'user' }, 0, options)]
      expect(await store.append(id, other, { ttlMs, token: 'op', digest: 'e' })).toEqual({ status: 'reused' })
    })

    it('keeps to the limits of a thread and its owner', async () => {
      const limited = (text: string, limits: Limits, to = id) =>
        store.append(to, [prepare({ id: text, role: 'user' }, 0, options)], { ttlMs, limits })
      await limited('a', { messages: 1, bytes: 0, threads: 0 })
      expect(await limited('b', { messages: 1, bytes: 0, threads: 0 })).toEqual({
        status: 'full',
        limit: 'messages',
      })
      expect(await limited('a', { messages: 1, bytes: 0, threads: 0 })).toMatchObject({ status: 'duplicate' })
      expect(await limited('b', { messages: 0, bytes: 20, threads: 0 })).toEqual({
        status: 'full',
        limit: 'bytes',
      })
      const another = { ...id, thread: 'another' }
      expect(await limited('b', { messages: 0, bytes: 0, threads: 1 }, another)).toEqual({
        status: 'full',
        limit: 'threads',
      })
      expect(await limited('b', { messages: 0, bytes: 0, threads: 1 })).toMatchObject({ status: 'stored' })
    })

    it('gives a lease to one at a time, and shuts out who lost it', async () => {
      const ask = (action: 'take' | 'renew' | 'release', token: string, ms = 60_000) =>
        store.lease(id, { name: 'run', action, token, ms }, { ttlMs })
      expect(await ask('take', 'one')).toEqual({ status: 'held', fence: 1 })
      expect(await ask('take', 'one')).toEqual({ status: 'held', fence: 1 })
      expect(await ask('take', 'two')).toMatchObject({ status: 'taken' })
      expect(await ask('renew', 'two')).toMatchObject({ status: 'taken' })
      await ask('release', 'one')
      expect(await ask('take', 'two')).toEqual({ status: 'held', fence: 2 })
      const fenced = (fence: number) =>
        store.append(id, [prepare({ id: `by ${fence}`, role: 'user' }, 0, options)], { ttlMs, fence })
      expect(await fenced(1)).toEqual({ status: 'fenced' })
      expect(await fenced(2)).toMatchObject({ status: 'stored' })
    })

    it('keeps values beside the messages, each with its version', async () => {
      const set = (value: string, token: string, version?: number) =>
        change({ kind: 'set', token, key: 'p {}|', value, version })
      const values = async (...keys: string[]) =>
        Object.fromEntries(await store.state(id, keys.length > 0 ? keys : undefined))
      expect(await set('[1]', 'a', 0)).toMatchObject({ status: 'done', valueVersion: 1, value: '[1]' })
      expect(await set('[2]', 'b', 0)).toMatchObject({ status: 'conflict', current: 1 })
      expect(await set('[2]', 'c', 1)).toMatchObject({ status: 'done', valueVersion: 2 })
      // A repeated write changes nothing that came after it.
      expect(await set('[1]', 'a', 0)).toMatchObject({ status: 'done', valueVersion: 1 })
      expect(await values()).toEqual({ 'p {}|': { version: 2, value: '[2]' } })
      const add = (by: number, token: string) => change({ kind: 'add', token, key: 'n', by })
      await add(2, 'd')
      await add(2, 'd')
      expect(await add(0.5, 'e')).toMatchObject({ value: '2.5' })
      expect(await change({ kind: 'add', token: 'f', key: 'p {}|', by: 1 })).toMatchObject({
        status: 'number',
      })
      expect(await values('n', 'none')).toEqual({ n: { version: 4, value: '2.5' } })
      await change({ kind: 'unset', token: 'g', key: 'n' })
      expect(Object.keys(await values())).toEqual(['p {}|'])
      expect(await add(1, 'h')).toMatchObject({ valueVersion: 6, value: '1' })
      await remove()
      expect(await values()).toEqual({})
    })

    it('does nothing twice that a writer numbered, however much others did since', async () => {
      const add = (writer: string, number: number) =>
        change({ kind: 'add', token: { writer, number }, key: 'n', by: 1 })
      expect(await add('w', 3)).toMatchObject({ status: 'done', value: '1' })
      for (let count = 0; count < 100; count++)
        await change({ kind: 'set', token: `${count}`, key: 'k', value: '1' })
      for (let count = 0; count < 100; count++) await add(`writer ${count} :~`.replaceAll(/\W/g, '-'), count)
      const standing = await store.tail(id, all)
      expect(await add('w', 3)).toMatchObject({ status: 'done', value: '1' })
      expect(await add('w', 2)).toMatchObject({ status: 'past' })
      expect((await store.tail(id, all)).version).toBe(standing.version)
      expect(await add('w', 10)).toMatchObject({ status: 'done', value: '102' })
      // A host may name an operation as it likes.
      expect(await change({ kind: 'add', token: 'w:10', key: 'n', by: 1 })).toMatchObject({ value: '103' })
      await store.fork(id, 'copy', { ttlMs, token: 'fork' })
      const inCopy = { kind: 'add', token: { writer: 'w', number: 9 }, key: 'n', by: 1 } as const
      expect(await store.change({ ...id, thread: 'copy' }, inCopy, { ttlMs })).toMatchObject({ value: '104' })
    })

    it('pages through a thread both ways, past what was removed', async () => {
      await say('a', 'b', 'c', 'd', 'e')
      await change({ kind: 'remove', id: 'c' })
      const page = async (request: PageRequest) => {
        const { records, next } = await store.page(id, request)
        return [records.map((record) => record.id).join(''), next]
      }
      expect(await page({ after: 0, limit: 2 })).toEqual(['ab', 2])
      expect(await page({ after: 2, limit: 2 })).toEqual(['de', undefined])
      expect(await page({ before: 6, limit: 3 })).toEqual(['edb', 2])
      expect(await page({ before: 2, limit: 3 })).toEqual(['a', undefined])
      expect(await page({ after: 9, limit: 3 })).toEqual(['', undefined])
      expect(await page({ ids: ['d', 'c', 'none', 'a'] })).toEqual(['da', undefined])
    })

    it('gives a thread of large messages in parts: its pages, a window of at most 16 MiB, and a dump that is restored', async () => {
      const names = Array.from({ length: 20 }, (_, index) => `large ${index}`)
      const content = 'x'.repeat(1 << 20)
      for (const name of names) await append([{ id: name, role: 'user', content }])
      const walked: string[] = []
      for (let after: number | undefined = 0; after !== undefined; ) {
        const page = await store.page(id, { after, limit: 500 })
        walked.push(...page.records.map((record) => record.id))
        after = page.next
      }
      expect(walked).toEqual(names)
      const tail = await store.tail(id, all)
      expect(tail.records.map((record) => record.id)).toEqual(names.slice(-15))
      expect(tail.from).toBe(6)
      const dump = await store.dump(id)
      if (dump === undefined) throw new Error('no dump')
      const restored = { ...id, thread: 'restored' }
      expect(await store.restore(restored, dump)).toBe(true)
      expect((await store.dump(restored))?.records).toEqual(dump.records)
    })

    it('tells a reader only what is new, and all when something before it changed', async () => {
      await say('a', 'b')
      const { epoch, version, newest } = await store.tail(id, all)
      await say('c')
      const news = async () => {
        const answer = await store.tailSince(id, all, { epoch, version, newest })
        return answer.kind === 'same' ? 'same' : answer.records.map((record) => record.id).join('')
      }
      expect(['c', 'abc']).toContain(await news())
      await change(edited('new'))
      expect(await news()).toBe('abc')
      const now = await store.tail(id, all)
      const same = await store.tailSince(id, all, now)
      expect(same.kind === 'same' || same.records.length === 3).toBe(true)
    })

    it('copies a thread up to a place, once, and both go their own ways', async () => {
      await append([
        { id: 'a', role: 'user' },
        { id: 'c', role: 'assistant', tool_calls: [{ id: 'x' }] },
        { id: 'r', role: 'tool', tool_call_id: 'x' },
      ])
      await change({ kind: 'set', token: 's', key: 'plan', value: '1' })
      const copy = { ...id, thread: 'copy' }
      const fork = (token: string, upTo?: number) => store.fork(id, 'copy', { ttlMs, token, upTo })
      expect(await fork('once', 2)).toMatchObject({ status: 'done', generation: 0 })
      expect(await fork('once', 2)).toMatchObject({ status: 'done' })
      expect(await fork('twice')).toEqual({ status: 'exists' })
      expect(await ids(copy)).toEqual(['a', 'c'])
      expect((await store.state(copy)).get('plan')).toMatchObject({ value: '1' })
      // The id is free in the copy, and the call open again.
      expect(
        await append([{ id: 'r', role: 'tool', tool_call_id: 'x', content: 'other' }], copy),
      ).toMatchObject({
        seqs: [3],
      })
      expect((await store.tail(copy, all)).records.at(-1)?.answers).toEqual([{ call: 'x', madeAt: 2 }])
      expect((await store.tail(copy, all)).epoch).not.toBe((await store.tail(id, all)).epoch)
      expect(await ids()).toEqual(['a', 'c', 'r'])
      expect(await store.fork({ ...id, thread: 'none' }, 'other', { ttlMs, token: 'n' })).toEqual({
        status: 'missing',
      })
    })

    it('lists an owner’s threads, the last changed first, page by page', async () => {
      for (const thread of ['one', 'two', 'three', 'four {}']) {
        await append([{ id: 'a', role: 'user' }], { ...id, thread })
        await harness.pass(3)
      }
      await append([{ id: 'a', role: 'user' }], { owner: 'other', thread: 'not mine' })
      await append([{ id: 'b', role: 'user' }], { ...id, thread: 'one' })
      await remove({ ...id, thread: 'two' })
      const names = (page: ThreadListPage) => page.threads.map(({ thread }) => thread)
      const listed = await store.threads(id.owner, { limit: 10 })
      expect(names(listed)).toEqual(['one', 'four {}', 'three'])
      expect(listed.cursor).toBeUndefined()
      const first = await store.threads(id.owner, { limit: 1 })
      expect(names(first)).toEqual(['one'])
      const rest = await store.threads(id.owner, { limit: 10, cursor: first.cursor })
      expect(names(rest)).toEqual(['four {}', 'three'])
      expect(rest.cursor).toBeUndefined()
    })

    it('lists the threads of one moment, whatever is written while its pages are read', async () => {
      const names = Array.from({ length: 25 }, (_, index) => `t${index}`)
      for (const thread of names) await append([{ id: 'a', role: 'user' }], { ...id, thread })
      const seen: string[] = []
      let cursor: string | undefined
      do {
        const page = await store.threads(id.owner, { limit: 4, cursor, purpose: 'walk' })
        seen.push(...page.threads.map(({ thread }) => thread))
        cursor = page.cursor
        for (const thread of ['t0', 't3', `new ${seen.length}`]) {
          await append([{ id: `m${seen.length}`, role: 'user' }], { ...id, thread })
        }
        await remove({ ...id, thread: 't1' })
      } while (cursor !== undefined)
      expect(seen.filter((name) => name !== 't1').toSorted()).toEqual(
        names.filter((name) => name !== 't1').toSorted(),
      )
      await expect(store.threads(id.owner, { limit: 1, cursor: 'none' })).rejects.toMatchObject({
        code: 'INVALID_INPUT',
      })
    })

    it('lists the owners that have threads', async () => {
      const owners = ['user:1', 'other {}', 'third']
      for (const owner of owners) await append([{ id: 'a', role: 'user' }], { owner, thread: 't' })
      await remove({ owner: 'third', thread: 't' })
      const found: string[] = []
      for await (const owner of store.owners()) found.push(owner)
      expect(found.toSorted()).toEqual(['other {}', 'user:1'])
    })

    it('has nothing of an owner that was erased, from then on, and keeps what is written afterwards', async () => {
      const names = Array.from({ length: 230 }, (_, index) => `t${index}`)
      for (const thread of names) await append([{ id: 'a', role: 'user' }], { ...id, thread })
      await harness.pass(2)
      const erasing = store.erase(id.owner)
      let written = 0
      const writing = (async () => {
        // All is gone at once, though it is removed bit by bit.
        while ((await ids({ ...id, thread: 't229' })).length > 0);
        for (const thread of names) {
          await append([{ id: 'b', role: 'user' }], { ...id, thread })
          written++
        }
      })()
      expect(await erasing).toMatchObject({ threads: 230, messages: 230 })
      await writing
      expect(written).toBe(230)
      expect(await store.remains(id.owner)).toBe(0)
      for (const thread of names) expect(await ids({ ...id, thread })).toEqual(['b'])
      const page = await store.threads(id.owner, { limit: 500 })
      expect(page.threads).toHaveLength(230)
    })

    it('lets a summary stand for a beginning that did not change since it was planned', async () => {
      await say('a', 'b', 'c', 'd')
      const plan = (name: string, to: number, before: number, since: number) =>
        change({ kind: 'summarise', plan: name, to, before, edited: since, tokens: 5, body: `"${name}"` })
      expect(await plan('one', 2, 0, 0)).toMatchObject({ status: 'done', number: 1, edited: 2 })
      expect(await plan('one', 2, 0, 0)).toMatchObject({ status: 'done', number: 1, version: 2 })
      expect(await plan('other', 3, 0, 0)).toMatchObject({ status: 'conflict' })
      const tail = await store.tail(id, all)
      expect(tail).toMatchObject({ summary: { number: 1, to: 2, tokens: 5, body: '"one"' }, count: 4 })
      expect(tail.records.map((record) => record.id)).toEqual(['c', 'd'])
      expect(await plan('two', 3, 1, tail.edited)).toMatchObject({ status: 'done', number: 2 })
      await change(edited('new'))
      expect(await plan('three', 4, 2, tail.edited + 1)).toMatchObject({ status: 'conflict' })
      expect((await store.page(id, { after: 0, limit: 9 })).records).toHaveLength(4)
    })
  })
}
