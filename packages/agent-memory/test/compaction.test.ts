import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createAgentMemory, type Message, type SummarizeRequest } from '../src/index.js'
import { threadOf, useRedis, user } from './support.js'

const redis = useRedis()
const summarize = async ({ messages, previous }: SummarizeRequest) =>
  [previous, ...messages.map(({ id }) => id)].filter((part) => part !== undefined).join(' ')

describe.each(['memory', 'redis'])('compaction, in %s', (where) => {
  const make = async () => {
    const countTokens = () => 10
    return where === 'memory'
      ? createAgentMemory({ countTokens })
      : (await redis.instance({ countTokens })).memory
  }
  const turns = (count: number, from = 0): Message[] =>
    Array.from({ length: count }, (_, index) => [
      user(`q${from + index}`),
      { id: `a${from + index}`, role: 'assistant', content: 'yes' },
    ]).flat()

  it('has a summary stand for a closed beginning; nothing is lost, and the rest stays as it is', async () => {
    const thread = threadOf(await make())
    await thread.append({ id: 's', role: 'system', content: 'be brief' })
    await thread.append(turns(5))
    expect(await thread.compact({ summarize, keepMessages: 4 })).toMatchObject({
      status: 'compacted',
      upTo: 7,
      messages: 7,
    })
    const window = await thread.window()
    expect(window.summary).toMatchObject({ text: 's q0 a0 q1 a1 q2 a2', upTo: 7, tokens: 10 })
    expect(window.messages.map(({ id }) => id)).toEqual(['s', 'q3', 'a3', 'q4', 'a4'])
    expect(window.tokens).toBe(60)
    expect(window.count).toBe(11)
    expect((await thread.page()).entries).toHaveLength(11)
    expect(await thread.compact({ summarize, keepMessages: 4 })).toEqual({ status: 'nothing' })
    await thread.append(turns(3, 5))
    expect(await thread.compact({ summarize, keepMessages: 2 })).toMatchObject({ status: 'compacted' })
    expect((await thread.window()).summary?.text).toBe('s q0 a0 q1 a1 q2 a2 q3 a3 q4 a4 q5 a5 q6 a6')
  })

  it('is done by one at a time, blocks no append, and gives way to an edit of what it covers', async () => {
    const thread = threadOf(await make())
    await thread.append(turns(5))
    let act: () => Promise<unknown> = async () => {}
    const slow = async (request: SummarizeRequest) => {
      expect(await thread.compact({ summarize })).toEqual({ status: 'busy' })
      await thread.append(user(`during ${Math.random()}`))
      await act()
      return summarize(request)
    }
    act = () => thread.remove('q0')
    expect(await thread.compact({ summarize: slow, keepMessages: 2 })).toEqual({ status: 'stale' })
    expect((await thread.window()).summary).toBeUndefined()
    act = async () => {}
    expect(await thread.compact({ summarize: slow, keepMessages: 2 })).toMatchObject({ status: 'compacted' })
    expect((await thread.window()).messages).toHaveLength(4)
  })

  it('changes nothing when the summary fails, and is free for the next', async () => {
    const thread = threadOf(await make())
    await thread.append(turns(5))
    const fails = { summarize: () => Promise.reject(new Error('no model')), keepMessages: 2 }
    await expect(thread.compact(fails)).rejects.toThrow('no model')
    await expect(thread.compact({ summarize: async () => '', keepMessages: 2 })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    })
    expect((await thread.window()).messages).toHaveLength(10)
    expect(await thread.compact({ summarize, keepMessages: 2 })).toMatchObject({ status: 'compacted' })
  })

  it('gives the model no more than asked, and covers only what it was given', async () => {
    const thread = threadOf(await make())
    await thread.append(turns(10))
    expect(await thread.compact({ summarize, keepMessages: 2, maxInputTokens: 65 })).toMatchObject({
      upTo: 6,
    })
    expect((await thread.window()).messages[0]?.id).toBe('q3')
    expect(await thread.compact({ summarize, keepMessages: 2, minTokens: 1_000 })).toEqual({
      status: 'nothing',
    })
  })
})

it('promise 6: each message is in the summary or in the window, and no tool call is torn from its results', async () => {
  const call = fc.constantFrom('a', 'b', 'c')
  const message: fc.Arbitrary<Message> = fc.oneof(
    fc.record({ role: fc.constantFrom('user', 'assistant') }),
    fc.record({
      role: fc.constant('assistant'),
      tool_calls: fc.array(fc.record({ id: call }), { minLength: 1, maxLength: 1 }),
    }),
    fc.record({ role: fc.constant('tool'), tool_call_id: call }),
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(message, { minLength: 1, maxLength: 30 }),
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 1, max: 12 }),
      async (messages, keepMessages, maxInputTokens) => {
        const thread = threadOf(createAgentMemory({ countTokens: () => 1 }))
        const all = messages.map((one, index) => ({ ...one, id: `${index}` }))
        await thread.append(all)
        const before = (await thread.window({ maxMessages: 1_000 })).messages.map(({ id }) => id)
        await thread.compact({ summarize, keepMessages, maxInputTokens })
        const { messages: window, summary } = await thread.window({ maxMessages: 1_000 })
        const covered = new Set(summary?.text.split(' ') ?? [])
        const seen = window.map(({ id }) => id)
        // What a window leaves out of the whole thread (calls never answered) it may leave out now.
        for (const id of before) expect(covered.has(id) || seen.includes(id)).toBe(true)
        for (const id of seen) expect(covered.has(id)).toBe(false)
        expect(Math.max(0, ...[...covered].map((id) => Number(id) + 1))).toBe(summary?.upTo ?? 0)
      },
    ),
    { numRuns: 300 },
  )
})
