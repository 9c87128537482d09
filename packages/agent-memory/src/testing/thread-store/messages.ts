import { expect, it } from 'vitest'
import { all, type ThreadSteps } from './steps.js'

/** What is appended is read as it was, in its order. */
export function testMessages(steps: ThreadSteps): void {
  const { id, say, append, remove, ids } = steps

  it('has nothing of a thread that was never written', async () => {
    expect(await steps.store.tail(id, all)).toMatchObject({
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
    const { records, count, version } = await steps.store.tail(id, all)
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
    const { records } = await steps.store.tail(id, all)
    expect(records.map(({ seq }) => seq)).toEqual(Array.from({ length: 50 }, (_, index) => index + 1))
    expect(new Set(records.map((record) => record.id)).size).toBe(50)
  })

  it('reads the newest within bounds of messages and tokens', async () => {
    await say(...Array.from({ length: 130 }, (_, index) => `m${index}`))
    const seqs = async (maxMessages: number, maxTokens: number) =>
      (await steps.store.tail(id, { maxMessages, maxTokens })).records.map(({ seq }) => seq)
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
    const { pinned, records } = await steps.store.tail(id, { maxMessages: 1, maxTokens: 1_000 })
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
    const { records } = await steps.store.tail(id, all)
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
    const [record] = (await steps.store.tail(id, all)).records
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
}
