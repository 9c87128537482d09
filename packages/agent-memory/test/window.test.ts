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
          const thread = createAgentMemory({ countTokens: () => 5 })
            .owner('o')
            .thread('t')
          const { ids } = await thread.append(messages)
          const { messages: window, tokens, overTokens } = await thread.window({ maxMessages, maxTokens })
          expect(window.length).toBeLessThanOrEqual(maxMessages)
          // Pinned messages and the newest question are always there; `overTokens` tells how far they exceed the limit.
          expect(tokens - overTokens).toBeLessThanOrEqual(maxTokens)
          if (overTokens > 0) expect(window.length).toBeLessThanOrEqual(2)
          const question = messages.findLast((one) => one.role === 'user' && resultsOf(one).length === 0)
          if (question !== undefined && maxMessages > 1) {
            expect(window.map(({ id: _, ...rest }) => rest)).toContainEqual(question)
          }
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
    // The call does not fit any more, so its result is left out too.
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

  it('leaves out calls that a model gave one id, where one message answers both and others', async () => {
    const thread = createAgentMemory().owner('o').thread('t')
    await thread.append([
      { id: 'q', role: 'user' },
      { id: 'c1', role: 'assistant', tool_calls: [{ id: 'x' }, { id: 'y' }] },
      { id: 'r1', role: 'tool', tool_call_id: 'y' },
      { id: 'c2', role: 'assistant', tool_calls: [{ id: 'y' }] },
      {
        id: 'r2',
        role: 'user',
        content: ['y', 'x'].map((id) => ({ type: 'tool_result', tool_use_id: id })),
      },
      { id: 'a', role: 'assistant' },
    ])
    expect((await thread.window()).messages.map(({ id }) => id)).toEqual(['q', 'a'])
    // Many models use the same id for one call after the other.
    const usual = createAgentMemory().owner('o').thread('t')
    const turns = [0, 1].flatMap((turn) => [
      { id: `c${turn}`, role: 'assistant', tool_calls: [{ id: 'call_0' }] },
      { id: `r${turn}`, role: 'tool', tool_call_id: 'call_0' },
    ])
    await usual.append(turns)
    expect((await usual.window()).messages.map(({ id }) => id)).toEqual(['c0', 'r0', 'c1', 'r1'])
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

describe('a window’s budget', () => {
  const threadWith = async (messages: Message[]) => {
    const countTokens = ({ tokens = 1 }: Message) => Number(tokens)
    const thread = createAgentMemory({ countTokens }).owner('o').thread('t')
    await thread.append(messages)
    return thread
  }
  const say = (id: string, tokens = 1, more: object = {}) => ({ id, role: 'user', tokens, ...more })
  const ids = ({ messages }: { readonly messages: readonly { readonly id: string }[] }) =>
    messages.map(({ id }) => id)

  it('is not spent on what is left out', async () => {
    const pending = { id: 'pending', role: 'assistant', tokens: 2_000, tool_calls: [{ id: 'x' }] }
    const thread = await threadWith([say('a'), say('b'), pending])
    expect(ids(await thread.window({ maxTokens: 1_000 }))).toEqual(['a', 'b'])
    const orphans = Array.from({ length: 12 }, (_, index) => ({
      id: `orphan${index}`,
      role: 'tool',
      tool_call_id: `none${index}`,
      tokens: 1,
    }))
    const other = await threadWith([say('q'), { id: 'r', role: 'assistant', tokens: 1 }, ...orphans])
    expect(ids(await other.window({ maxMessages: 10 }))).toEqual(['q', 'r'])
  })

  it('holds the newest question, and says by how much that and what is pinned are too much', async () => {
    const thread = await threadWith([{ id: 's', role: 'system', tokens: 10 }, say('old'), say('q', 50)])
    expect(await thread.window({ maxTokens: 40 })).toMatchObject({
      messages: [{ id: 's' }, { id: 'q' }],
      tokens: 60,
      overTokens: 20,
    })
    const run = Array.from({ length: 30 }, (_, index) => [
      { id: `c${index}`, role: 'assistant', tokens: 1, tool_calls: [{ id: `x${index}` }] },
      { id: `r${index}`, role: 'tool', tokens: 1, tool_call_id: `x${index}` },
    ]).flat()
    const agent = await threadWith([say('first'), say('q'), ...run])
    expect(ids(await agent.window({ maxTokens: 5 }))).toEqual(['q', 'c28', 'r28', 'c29', 'r29'])
    const many = await threadWith(Array.from({ length: 300 }, (_, index) => say(`m${index}`)))
    expect((await many.window({ maxTokens: 100_000 })).messages).toHaveLength(300)
  })
})

describe('tokens of a message', () => {
  const tokensOf = async (message: object) => {
    const thread = createAgentMemory().owner('o').thread('t')
    await thread.append({ role: 'user', ...message })
    return (await thread.window()).tokens
  }

  it('are counted of all that is sent, in every script', async () => {
    const args = 'word '.repeat(8_000)
    expect(await tokensOf({ content: 'x'.repeat(400) })).toBe(100)
    expect(await tokensOf({ content: '漢'.repeat(8_000) })).toBe(8_000)
    expect(await tokensOf({ content: '', reasoning_content: args })).toBeGreaterThan(9_000)
    expect(
      await tokensOf({ role: 'assistant', item: { type: 'function_call', arguments: args } }),
    ).toBeGreaterThan(9_000)
    const image = { type: 'image_url', image_url: { url: `data:image/png;base64,${'A'.repeat(200_000)}` } }
    const counted = await tokensOf({ content: [{ type: 'text', text: 'what is this?' }, image] })
    expect(counted).toBeGreaterThan(500)
    expect(counted).toBeLessThan(4_000)
  })

  it('are those of a tokenizer in one line', async () => {
    const memory = createAgentMemory({ tokenizer: (text) => text.split(' ').length })
    const thread = memory.owner('o').thread('t')
    await thread.append({ role: 'user', content: 'one two three' })
    expect((await thread.window()).tokens).toBe(3)
  })
})

describe('a window of any provider’s messages', () => {
  const windowOf = async (...messages: object[]) => {
    const thread = createAgentMemory().owner('o').thread('t')
    await thread.append(messages)
    return (await thread.window()).messages.map(({ id: _, ...message }) => message)
  }
  const next = { role: 'user', content: 'go on' }

  it.each([
    [
      'OpenAI, before tools',
      { role: 'assistant', function_call: { name: 'f' } },
      { role: 'function', name: 'f' },
    ],
    ['Responses', { type: 'shell_call', call_id: 'x' }, { type: 'shell_call_output', call_id: 'x' }],
    [
      'Agents',
      { role: 'assistant', item: { type: 'apply_patch_call', callId: 'x' } },
      { role: 'tool', item: { type: 'apply_patch_call_output', callId: 'x' } },
    ],
    [
      'Bedrock',
      { role: 'assistant', content: [{ toolUse: { toolUseId: 'x' } }] },
      { role: 'user', content: [{ toolResult: { toolUseId: 'x' } }] },
    ],
    [
      'Gemini',
      { role: 'model', parts: [{ functionCall: { name: 'f' } }] },
      { role: 'user', parts: [{ functionResponse: { name: 'f' } }] },
    ],
    [
      'LangChain',
      { role: 'assistant', invalid_tool_calls: [{ id: 'x' }] },
      { role: 'tool', tool_call_id: 'x' },
    ],
  ])('holds a call and its result together or neither: %s', async (_, call, result) => {
    expect(await windowOf(call, result, next)).toEqual([call, result, next])
    expect(await windowOf(call, next)).toEqual([next])
    expect(await windowOf(result, next)).toEqual([next])
    expect(await windowOf(next, call)).toEqual([next, call])
  })

  it('keeps reasoning with what it led to', async () => {
    const reasoning = { type: 'reasoning', summary: [] }
    const [call, result] = [
      { type: 'function_call', call_id: 'x', name: 'f' },
      { type: 'function_call_output', call_id: 'x' },
    ]
    expect(await windowOf(reasoning, call, result, next)).toEqual([reasoning, call, result, next])
    expect(await windowOf(reasoning, call, next)).toEqual([next])
    expect(await windowOf(next, reasoning)).toEqual([next])
  })

  it.each([
    [
      { id: 'm1', type: 'mcp_approval_request' },
      { type: 'mcp_approval_response', approval_request_id: 'm1' },
    ],
    [
      { id: 'i1', type: 'local_shell_call', call_id: 's1' },
      { id: 's1', type: 'local_shell_call_output', output: 'x' },
    ],
  ])('knows items by the ids that they have in OpenAI’s API: $type', async (call, result) => {
    const ids = async (...messages: object[]) => {
      const thread = createAgentMemory().owner('o').thread('t')
      await thread.append(messages)
      return (await thread.window()).messages.map(({ type, role }) => type ?? role)
    }
    expect(await ids(call, result, next)).toEqual([call.type, result.type, 'user'])
    expect(await ids(call, next)).toEqual(['user'])
    expect(await ids(result, next)).toEqual(['user'])
  })

  it('keeps an approval that was given with the call that waits for it', async () => {
    const call = {
      role: 'assistant',
      content: [
        { type: 'tool-call', toolCallId: 'x', toolName: 'f', input: {} },
        { type: 'tool-approval-request', approvalId: 'a', toolCallId: 'x' },
      ],
    }
    const response = {
      role: 'tool',
      content: [{ type: 'tool-approval-response', approvalId: 'a', approved: true }],
    }
    expect(await windowOf(next, call, response)).toEqual([next, call, response])
    const ui = {
      role: 'assistant',
      parts: [{ type: 'tool-f', toolCallId: 'x', state: 'input-available', input: {} }],
    }
    expect(await windowOf(ui, next)).toEqual([next])
  })
})
