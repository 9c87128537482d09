import { expect, it } from 'vitest'
import { prepare } from '../../messages/prepare.js'
import { all, options, type ThreadSteps, ttlMs } from './steps.js'

/** Messages are edited, removed, put, pinned, spliced and summarised. */
export function testChanges(steps: ThreadSteps): void {
  const { id, say, append, remove, ids, change, edited, put } = steps

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
    const [record] = (await steps.store.tail(id, all)).records
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
    expect((await steps.store.tail(id, all)).count).toBe(3)
  })

  it('holds messages as they are put: new ones, changed ones, and those that were removed', async () => {
    await say('a', 'b', 'c')
    await change({ kind: 'remove', id: 'b' })
    expect(await put(['a', 'b', 'd'])).toMatchObject({ seqs: [1, 4, 5], before: 3, removed: 0, version: 3 })
    expect(await ids()).toEqual(['a', 'c', 'b', 'd'])
    expect(await put(['a', 'b', 'd'])).toMatchObject({ seqs: [1, 4, 5], version: 3 })
    expect(await put(['a'], undefined, () => 'changed')).toMatchObject({ seqs: [1], version: 4 })
    const [first] = (await steps.store.tail(id, all)).records
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
    const { generation } = await steps.store.tail(id, all)
    await remove()
    const [message] = [prepare({ id: 'a', role: 'user' }, 0, options)]
    const late = { kind: 'put', token: 'late', messages: [message] } as const
    expect(await steps.store.change(id, late, { ttlMs, generation })).toMatchObject({ status: 'deleted' })
    expect(await ids()).toEqual([])
  })

  it('ties calls and results anew when a message that made them is put with others', async () => {
    const say = (content: object[]) => ({ id: 'a', role: 'assistant', content })
    const call = { type: 'tool-call', toolCallId: 'x' }
    await append([say([call])])
    const message = prepare(say([call, { type: 'tool-result', toolCallId: 'x' }]), 0, options)
    await change({ kind: 'put', token: 'done', messages: [message] })
    expect((await steps.store.tail(id, all)).records).toMatchObject([{ opens: [], answers: [] }])
    await append([{ id: 'r', role: 'tool', tool_call_id: 'x' }])
    expect((await steps.store.tail(id, all)).records[1]?.answers).toEqual([{ call: 'x', madeAt: undefined }])
  })

  it('opens a call again whose result is taken away', async () => {
    const result = (name: string) => ({ id: name, role: 'tool', tool_call_id: 'x' })
    await append([{ id: 'c', role: 'assistant', tool_calls: [{ id: 'x' }] }, result('r1')])
    await change({ kind: 'remove', id: 'r1' })
    await append([result('r2')])
    const records = () => steps.store.tail(id, all).then((tail) => tail.records)
    expect((await records()).at(-1)?.answers).toEqual([{ call: 'x', madeAt: 1 }])
    await change({ kind: 'remove', id: 'c' })
    await append([result('r3')])
    expect((await records()).at(-1)?.answers).toEqual([{ call: 'x', madeAt: undefined }])
  })

  it('pins what every window holds, and lets it go', async () => {
    await say('a', 'b', 'c')
    const pin = (name: string, pinned: boolean) => change({ kind: 'pin', id: name, pinned })
    const pinned = async () =>
      (await steps.store.tail(id, { ...all, maxMessages: 1 })).pinned.map((one) => one.id)
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

  it('lets a summary stand for a beginning that did not change since it was planned', async () => {
    await say('a', 'b', 'c', 'd')
    const plan = (name: string, to: number, before: number, since: number) =>
      change({ kind: 'summarise', plan: name, to, before, edited: since, tokens: 5, body: `"${name}"` })
    expect(await plan('one', 2, 0, 0)).toMatchObject({ status: 'done', number: 1, edited: 2 })
    expect(await plan('one', 2, 0, 0)).toMatchObject({ status: 'done', number: 1, version: 2 })
    expect(await plan('other', 3, 0, 0)).toMatchObject({ status: 'conflict' })
    const tail = await steps.store.tail(id, all)
    expect(tail).toMatchObject({ summary: { number: 1, to: 2, tokens: 5, body: '"one"' }, count: 4 })
    expect(tail.records.map((record) => record.id)).toEqual(['c', 'd'])
    expect(await plan('two', 3, 1, tail.edited)).toMatchObject({ status: 'done', number: 2 })
    await change(edited('new'))
    expect(await plan('three', 4, 2, tail.edited + 1)).toMatchObject({ status: 'conflict' })
    expect((await steps.store.page(id, { after: 0, limit: 9 })).records).toHaveLength(4)
  })
}
