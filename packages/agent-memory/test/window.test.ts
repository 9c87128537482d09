import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createAgentMemory, type Message } from '../src/index.js'

/** Conversations with parallel, late, missing and repeated results. */
const call = fc.constantFrom('a', 'b', 'c', 'd')
const message: fc.Arbitrary<Message> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ role: fc.constant('user'), content: fc.string() }) },
  fc.record({
    role: fc.constant('assistant'),
    tool_calls: fc.uniqueArray(fc.record({ id: call }), {
      selector: ({ id }) => id,
      minLength: 1,
      maxLength: 3,
    }),
  }),
  { weight: 2, arbitrary: fc.record({ role: fc.constant('tool'), tool_call_id: call }) },
)

describe('a window', () => {
  it('never holds a result without its call, nor a call without its results unless they are still to come', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(message, { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: 12 }),
        async (messages, maxMessages) => {
          const thread = createAgentMemory().owner('o').thread('t')
          await thread.append(messages)
          const { messages: window } = await thread.window({ maxMessages })
          expect(window.length).toBeLessThanOrEqual(maxMessages)
          const open = new Map<string, number>()
          window.forEach((one, index) => {
            for (const { id } of (one.tool_calls ?? []) as { id: string }[]) open.set(id, index)
            if (one.role !== 'tool') return
            expect(open.has(String(one.tool_call_id))).toBe(true)
            open.delete(String(one.tool_call_id))
          })
        },
      ),
      { numRuns: 300 },
    )
  })

  it('leaves out a call that was never answered, and keeps one that waits for its results', async () => {
    const thread = createAgentMemory().owner('o').thread('t')
    await thread.append([
      { id: 'q', role: 'user' },
      { id: 'c', role: 'assistant', tool_calls: [{ id: 'x' }] },
    ])
    const roles = async () => (await thread.window()).messages.map(({ id }) => id)
    expect(await roles()).toEqual(['q', 'c'])
    await thread.append({ id: 'never mind', role: 'user' })
    expect(await roles()).toEqual(['q', 'never mind'])
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
