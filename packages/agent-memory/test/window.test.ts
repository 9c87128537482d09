import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createAgentMemory, type Message } from '../src/index.js'

/** Conversations with parallel, late, missing, repeated and joint results, in two providers' shapes. */
const call = fc.constantFrom('a', 'b', 'c', 'd')
const some = <T>(arbitrary: fc.Arbitrary<T>) => fc.uniqueArray(arbitrary, { minLength: 1, maxLength: 3 })
const message: fc.Arbitrary<Message> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ role: fc.constantFrom('user', 'system'), content: fc.string() }) },
  some(call).map((ids) => ({ role: 'assistant', tool_calls: ids.map((id) => ({ id })) })),
  { weight: 2, arbitrary: fc.record({ role: fc.constant('tool'), tool_call_id: call }) },
  some(call).map((ids) => ({ role: 'assistant', content: ids.map((id) => ({ type: 'tool_use', id })) })),
  some(call).map((ids) => ({
    role: 'user',
    content: ids.map((id) => ({ type: 'tool_result', tool_use_id: id })),
  })),
)

const callsOf = ({ tool_calls, content }: Message): string[] => [
  ...((tool_calls ?? []) as { id: string }[]).map(({ id }) => id),
  ...blocksOf(content, 'tool_use').map(({ id }) => String(id)),
]
const resultsOf = ({ tool_call_id, content }: Message): string[] => [
  ...(tool_call_id === undefined ? [] : [String(tool_call_id)]),
  ...blocksOf(content, 'tool_result').map((block) => String(block.tool_use_id)),
]
const blocksOf = (content: unknown, type: string) =>
  (Array.isArray(content) ? (content as { type: string; id?: string; tool_use_id?: string }[]) : []).filter(
    (block) => block.type === type,
  )

describe('a window', () => {
  it('holds of tool calls and their results all or nothing, and stays in its budget', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(message, { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 60 }),
        async (messages, maxMessages, maxTokens) => {
          const system = messages.find(({ role }) => role === 'system')
          fc.pre(system === undefined || maxTokens >= 5)
          const thread = createAgentMemory({ countTokens: () => 5 })
            .owner('o')
            .thread('t')
          const { ids } = await thread.append(messages)
          const { messages: window, tokens } = await thread.window({ maxMessages, maxTokens })
          expect(window.length).toBeLessThanOrEqual(maxMessages)
          expect(tokens).toBeLessThanOrEqual(maxTokens)
          expect(tokens).toBe(window.length * 5)
          if (system !== undefined) expect(window[0]).toMatchObject(system)
          expect(new Set(window.map(({ id }) => id)).size).toBe(window.length)
          const waiting = new Set<string>()
          for (const [index, one] of window.entries()) {
            for (const id of resultsOf(one)) {
              expect(waiting.has(id)).toBe(true)
              waiting.delete(id)
            }
            // Nothing but calls and results comes between a call and its results.
            if (waiting.size > 0 && index > 0) {
              const before = window[index - 1] as Message
              const isTool = (other: Message) => callsOf(other).length + resultsOf(other).length > 0
              expect(isTool(one) && isTool(before)).toBe(true)
            }
            for (const id of callsOf(one)) waiting.add(id)
          }
          // Only what the thread ends with may wait for results.
          if (waiting.size > 0) expect(window.map(({ id }) => id)).toContain(ids.at(-1))
        },
      ),
      { numRuns: 500 },
    )
  })

  it('leaves out a call that was never answered, and keeps one that waits for its results', async () => {
    const thread = createAgentMemory().owner('o').thread('t')
    await thread.append([
      { id: 'q', role: 'user' },
      { id: 'c', role: 'assistant', tool_calls: [{ id: 'x' }] },
    ])
    const ids = async () => (await thread.window()).messages.map(({ id }) => id)
    expect(await ids()).toEqual(['q', 'c'])
    await thread.append({ id: 'never mind', role: 'user' })
    expect(await ids()).toEqual(['q', 'never mind'])
  })

  it('moves a late result to its call, and loses nothing of what is around it', async () => {
    const thread = createAgentMemory().owner('o').thread('t')
    await thread.append([
      { id: 'q', role: 'user' },
      { id: 'c', role: 'assistant', tool_calls: [{ id: 'x' }] },
      { id: 'are you there?', role: 'user' },
      { id: 'yes', role: 'assistant' },
      { id: 'r', role: 'tool', tool_call_id: 'x' },
      { id: 'thanks', role: 'user' },
    ])
    const ids = async (maxMessages: number) =>
      (await thread.window({ maxMessages })).messages.map(({ id }) => id)
    expect(await ids(10)).toEqual(['q', 'c', 'r', 'are you there?', 'yes', 'thanks'])
    // Its call does not fit any more, so neither is there.
    expect(await ids(4)).toEqual(['are you there?', 'yes', 'thanks'])
  })

  it('keeps two calls together that one message answers', async () => {
    const thread = createAgentMemory().owner('o').thread('t')
    await thread.append([
      { id: 'c1', role: 'assistant', content: [{ type: 'tool_use', id: 'x' }] },
      { id: 'c2', role: 'assistant', content: [{ type: 'tool_use', id: 'y' }] },
      {
        id: 'r',
        role: 'user',
        content: [
          { type: 'tool_result', tool_use_id: 'y' },
          { type: 'tool_result', tool_use_id: 'x' },
        ],
      },
      { id: 'a', role: 'assistant' },
    ])
    const ids = async (maxMessages: number) =>
      (await thread.window({ maxMessages })).messages.map(({ id }) => id)
    expect(await ids(4)).toEqual(['c1', 'c2', 'r', 'a'])
    expect(await ids(3)).toEqual(['a'])
  })

  it('keeps the system message, and stays in its budget with it', async () => {
    const memory = createAgentMemory({ countTokens: () => 10 })
    const thread = memory.owner('o').thread('t')
    await thread.append([
      { id: 's', role: 'system' },
      ...Array.from({ length: 20 }, (_, index) => ({ id: `${index}`, role: 'user' })),
    ])
    const window = await thread.window({ maxTokens: 45 })
    expect(window.messages.map(({ id }) => id)).toEqual(['s', '17', '18', '19'])
    expect(window.tokens).toBe(40)
    expect((await thread.window({ maxMessages: 3 })).messages.map(({ id }) => id)).toEqual(['s', '18', '19'])
  })
})
