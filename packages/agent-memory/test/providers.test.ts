import { AIMessage, type BaseMessage, HumanMessage, ToolMessage } from '@langchain/core/messages'
import type { AgentInputItem } from '@openai/agents-core'
import { convertToModelMessages, generateText, type ModelMessage, type UIMessage } from 'ai'
import { MockLanguageModelV3 } from 'ai/test'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createChats } from '../src/adapters/ai-sdk.js'
import { createChatHistory } from '../src/adapters/langchain.js'
import { createAgentSession } from '../src/adapters/openai-agents.js'
import {
  createAgentMemory,
  forAISDK,
  forAnthropic,
  forBedrock,
  forGemini,
  forOpenAI,
  type Thread,
} from '../src/index.js'

/** What happens in a conversation, whatever an API calls it. */
type Event =
  | { readonly kind: 'user' }
  | { readonly kind: 'say' }
  | { readonly kind: 'call'; readonly ids: readonly string[] }
  | { readonly kind: 'result'; readonly ids: readonly string[] }

/**
 * Random conversations: parallel calls; results that come late, one by one, in any order, twice or never; users who
 * interrupt.
 */
const conversation: fc.Arbitrary<readonly Event[]> = fc
  .array(
    fc.oneof(
      fc.constant({ kind: 'user' as const }),
      fc.constant({ kind: 'say' as const }),
      fc.record({ kind: fc.constant('call' as const), count: fc.integer({ min: 1, max: 3 }) }),
      {
        weight: 3,
        arbitrary: fc.record({
          kind: fc.constant('result' as const),
          count: fc.integer({ min: 1, max: 3 }),
          skip: fc.integer({ min: 0, max: 2 }),
          again: fc.constantFrom(false, false, false, false, true),
        }),
      },
    ),
    { minLength: 1, maxLength: 25 },
  )
  .map((steps) => {
    const pending: string[] = []
    const answered: string[] = []
    let calls = 0
    return steps.flatMap((step): Event[] => {
      if (step.kind === 'call') {
        const ids = Array.from({ length: step.count }, () => `c${calls++}`)
        pending.push(...ids)
        return [{ kind: 'call', ids }]
      }
      if (step.kind !== 'result') return [step]
      const ids = step.again
        ? answered.slice(-1)
        : pending.splice(Math.min(step.skip, pending.length), step.count)
      answered.push(...ids)
      return ids.length === 0 ? [] : [{ kind: 'result', ids }]
    })
  })
  .filter(({ length }) => length > 0)

const bounds = fc.record({
  maxMessages: fc.integer({ min: 2, max: 20 }),
  maxTokens: fc.integer({ min: 10, max: 200 }),
})

/** Every window of a random conversation in a shape passes. */
async function everyWindow(
  append: (thread: Thread, events: readonly Event[]) => Promise<unknown>,
  check: (
    thread: Thread,
    options: { maxMessages: number; maxTokens: number },
    events: readonly Event[],
  ) => Promise<void>,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(conversation, bounds, async (events, options) => {
      const thread = createAgentMemory({ countTokens: () => 5 })
        .owner('o')
        .thread('t')
      await append(thread, events)
      await check(thread, options, events)
    }),
    { numRuns: 200 },
  )
}

const appendAs =
  (render: (event: Event) => readonly object[]) => (thread: Thread, events: readonly Event[]) =>
    thread.append(events.flatMap(render))

/** One side's turn in a chat: which calls it makes, which it answers, in the order of its parts. */
interface Turn {
  readonly role: string
  readonly calls: readonly string[]
  readonly results: readonly string[]
  /** Something else stands before a result. */
  readonly isMixed?: boolean
}

/** Calls are answered in the very next turn, all of them and nothing else; the last turn may wait for its results. */
function checkTurns(turns: readonly Turn[]): void {
  for (const [index, { results, isMixed = false }] of turns.entries()) {
    expect(isMixed).toBe(false)
    const before = turns[index - 1]?.calls ?? []
    if (index === turns.length - 1) expect(before).toEqual(expect.arrayContaining([...results]))
    else expect([...results].sort()).toEqual([...before].sort())
  }
}

/** Neighbours of one role as one, as a lenient API takes them. */
function joined(turns: readonly Turn[]): readonly Turn[] {
  const all: Turn[] = []
  for (const turn of turns) {
    const before = all.at(-1)
    if (before?.role !== turn.role) all.push(turn)
    else {
      const isMixed = before.isMixed === true || (turn.results.length > 0 && before.results.length === 0)
      const results = [...before.results, ...turn.results]
      all[all.length - 1] = { role: turn.role, calls: [...before.calls, ...turn.calls], results, isMixed }
    }
  }
  return all
}

const text = { user: 'hello', say: 'well' } as const

describe('every window of a random conversation', () => {
  it('is one of OpenAI’s chat completions: results right behind their calls, each once', async () => {
    const render = (event: Event): object[] => {
      if (event.kind === 'call') {
        const tool_calls = event.ids.map((id) => ({
          id,
          type: 'function',
          function: { name: 'f', arguments: '{}' },
        }))
        return [{ role: 'assistant', content: null, tool_calls }]
      }
      if (event.kind === 'result') {
        return event.ids.map((tool_call_id) => ({ role: 'tool', tool_call_id, content: 'r' }))
      }
      return [{ role: event.kind === 'user' ? 'user' : 'assistant', content: text[event.kind] }]
    }
    type Chat = { role: string; tool_calls?: { id: string }[]; tool_call_id?: string; id?: string }
    await everyWindow(appendAs(render), async (thread, options) => {
      const messages = forOpenAI<Chat>(await thread.window(options))
      let waiting: string[] = []
      for (const { role, tool_calls, tool_call_id = '', id } of messages) {
        expect(id).toBeUndefined()
        if (role === 'tool') {
          expect(waiting).toContain(tool_call_id)
          waiting = waiting.filter((one) => one !== tool_call_id)
          continue
        }
        expect(waiting).toEqual([])
        waiting = tool_calls?.map((one) => one.id) ?? []
      }
    })
  })

  it.each(['Responses', 'Agents'])(
    'is one of items of OpenAI’s %s: no call, output or reasoning alone',
    async (api) => {
      const render = (event: Event): object[] => {
        const name = api === 'Agents' ? 'callId' : 'call_id'
        if (event.kind === 'call') {
          return [
            { type: 'reasoning', ...(api === 'Agents' ? { content: [] } : { summary: [] }) },
            ...event.ids.map((id) => ({ type: 'function_call', [name]: id, name: 'f', arguments: '{}' })),
          ]
        }
        if (event.kind === 'result') {
          const type = api === 'Agents' ? 'function_call_result' : 'function_call_output'
          return event.ids.map((id) => ({ type, [name]: id, output: 'r' }))
        }
        if (event.kind === 'user') return [{ role: 'user', content: text.user }]
        const content = [{ type: 'output_text', text: text.say }]
        return [{ type: 'message', role: 'assistant', status: 'completed', content }]
      }
      const append = async (thread: Thread, events: readonly Event[]) => {
        const items = events.flatMap(render)
        if (api === 'Responses') return thread.append(items)
        return createAgentSession(thread).addItems(items as AgentInputItem[])
      }
      await everyWindow(append, async (thread, options) => {
        const { messages } = await thread.window(options)
        const items = messages.map((message) => (message.item ?? message) as Record<string, unknown>)
        const idOf = (item: Record<string, unknown> | undefined) => item?.call_id ?? item?.callId
        const called = new Set<unknown>()
        const answered = new Set<unknown>()
        for (const [index, item] of items.entries()) {
          const next = items[index + 1]
          if (item.type === 'reasoning') expect([undefined, 'function_call']).toContain(next?.type)
          if (item.type === 'function_call') called.add(idOf(item))
          if (/_(output|result)$/.test(String(item.type))) {
            expect(called).toContain(idOf(item))
            expect(answered).not.toContain(idOf(item))
            answered.add(idOf(item))
          }
        }
        expect(items.at(-1)?.type).not.toBe('reasoning')
        // Only what the window ends with may wait.
        const lastQuestion = items.findLastIndex(({ role }) => role === 'user')
        for (const item of items.slice(0, lastQuestion + 1)) {
          if (item.type === 'function_call') expect(answered).toContain(idOf(item))
        }
      })
    },
  )

  it('is one of Anthropic’s: begun by the user, results first in the turn behind their calls', async () => {
    const render = (event: Event): object[] => {
      if (event.kind === 'call') {
        return [
          {
            role: 'assistant',
            content: event.ids.map((id) => ({ type: 'tool_use', id, name: 'f', input: {} })),
          },
        ]
      }
      if (event.kind === 'result') {
        const content = event.ids.map((id) => ({ type: 'tool_result', tool_use_id: id, content: 'r' }))
        return [{ role: 'user', content }]
      }
      return [{ role: event.kind === 'user' ? 'user' : 'assistant', content: text[event.kind] }]
    }
    type Block = { type: string; id?: string; tool_use_id?: string }
    await everyWindow(appendAs(render), async (thread, options, events) => {
      const { messages } = forAnthropic<{ role: string; content: string | Block[] }>(
        await thread.window(options),
      )
      for (const message of messages) expect(Object.keys(message).sort()).toEqual(['content', 'role'])
      if (events.some(({ kind }) => kind === 'user'))
        expect(messages[0]).toEqual({ role: 'user', content: text.user })
      const turns = messages.map(({ role, content }) => {
        const blocks = typeof content === 'string' ? [] : content
        const calls = blocks.flatMap(({ type, id }) => (type === 'tool_use' && id !== undefined ? [id] : []))
        return { role, calls, results: blocks.flatMap(({ tool_use_id }) => tool_use_id ?? []) }
      })
      checkTurns(joined(turns))
    })
  })

  it('is one of Bedrock’s: begun by the user, roles in turn, results in the turn behind their calls', async () => {
    const render = (event: Event): object[] => {
      if (event.kind === 'call') {
        const content = event.ids.map((id) => ({ toolUse: { toolUseId: id, name: 'f', input: {} } }))
        return [{ role: 'assistant', content }]
      }
      if (event.kind === 'result') {
        const content = event.ids.map((id) => ({ toolResult: { toolUseId: id, content: [{ text: 'r' }] } }))
        return [{ role: 'user', content }]
      }
      return [{ role: event.kind === 'user' ? 'user' : 'assistant', content: [{ text: text[event.kind] }] }]
    }
    type Block = { toolUse?: { toolUseId: string }; toolResult?: { toolUseId: string } }
    await everyWindow(appendAs(render), async (thread, options, events) => {
      const { messages } = forBedrock<{ role: string; content: Block[] }>(await thread.window(options))
      const roles = messages.map(({ role }) => role)
      if (events.some(({ kind }) => kind === 'user')) expect(roles[0]).toBe('user')
      for (const [index, role] of roles.entries()) expect(role).not.toBe(roles[index - 1])
      const turns = messages.map(({ role, content }) => {
        const firstOther = content.findIndex(({ toolResult }) => toolResult === undefined)
        return {
          role,
          calls: content.flatMap(({ toolUse }) => toolUse?.toolUseId ?? []),
          results: content.flatMap(({ toolResult }) => toolResult?.toolUseId ?? []),
          isMixed:
            firstOther >= 0 && content.slice(firstOther).some(({ toolResult }) => toolResult !== undefined),
        }
      })
      checkTurns(turns)
    })
  })

  it.each([true, false])('is one of Gemini’s, with ids of calls: %s', async (hasIds) => {
    const idOf = (id: string) => (hasIds ? { id } : {})
    const render = (event: Event): object[] => {
      if (event.kind === 'call') {
        const parts = event.ids.map((id) => ({ functionCall: { ...idOf(id), name: `f${id}`, args: {} } }))
        return [{ role: 'model', parts }]
      }
      if (event.kind === 'result') {
        const parts = event.ids.map((id) => ({
          functionResponse: { ...idOf(id), name: `f${id}`, response: {} },
        }))
        return [{ role: 'user', parts }]
      }
      return [{ role: event.kind === 'user' ? 'user' : 'model', parts: [{ text: text[event.kind] }] }]
    }
    type Part = { functionCall?: { name: string }; functionResponse?: { name: string }; text?: string }
    await everyWindow(appendAs(render), async (thread, options, events) => {
      const { contents } = forGemini<{ role: string; parts: Part[] }>(await thread.window(options))
      if (events.some(({ kind }) => kind === 'user')) {
        expect(contents[0]).toEqual({ role: 'user', parts: [{ text: text.user }] })
      }
      const namesOf = (parts: Part[], kind: 'functionCall' | 'functionResponse') =>
        parts.flatMap((part) => part[kind]?.name ?? [])
      const turns = contents.map(({ role, parts }) => ({
        role,
        calls: namesOf(parts, 'functionCall'),
        results: namesOf(parts, 'functionResponse'),
        isMixed: ![0, parts.length].includes(namesOf(parts, 'functionResponse').length),
      }))
      checkTurns(turns)
    })
  })

  it('is a prompt that the AI SDK sends: model messages', async () => {
    const render = (event: Event): object[] => {
      if (event.kind === 'call') {
        const content = event.ids.map((id) => ({
          type: 'tool-call',
          toolCallId: id,
          toolName: 'f',
          input: {},
        }))
        return [{ role: 'assistant', content }]
      }
      if (event.kind === 'result') {
        const output = { type: 'text', value: 'r' }
        const content = event.ids.map((id) => ({
          type: 'tool-result',
          toolCallId: id,
          toolName: 'f',
          output,
        }))
        return [{ role: 'tool', content }]
      }
      return [{ role: event.kind === 'user' ? 'user' : 'assistant', content: text[event.kind] }]
    }
    await everyWindow(appendAs(render), async (thread, options) => {
      const messages = forAISDK<ModelMessage>(await thread.window(options))
      await sendToModel(messages)
    })
  })

  it('is a prompt that the AI SDK sends: messages of a page, stopped in the middle of calls', async () => {
    // An answer of the page holds a call with its result; one that was stopped has the call alone.
    const render = (event: Event, index: number): UIMessage[] => {
      const id = `m${index}`
      if (event.kind === 'user' || event.kind === 'say') {
        const role = event.kind === 'user' ? 'user' : 'assistant'
        return [{ id, role, parts: [{ type: 'text', text: text[event.kind] }] }]
      }
      const isStopped = event.kind === 'call'
      const parts = event.ids.map((toolCallId) => ({
        type: 'tool-f' as const,
        toolCallId,
        input: {},
        ...(isStopped
          ? { state: 'input-available' as const }
          : { state: 'output-available' as const, output: 'r' }),
      }))
      return [{ id, role: 'assistant', parts: [{ type: 'step-start' }, ...parts] }]
    }
    await fc.assert(
      fc.asyncProperty(conversation, bounds, async (events, options) => {
        const chats = createChats(createAgentMemory({ countTokens: () => 5 }).owner('o'))
        await chats.save({
          chatId: 'c',
          messages: [...events.flatMap(render), ...render({ kind: 'user' }, -1)],
        })
        await sendToModel(await convertToModelMessages(await chats.window('c', options)))
      }),
      { numRuns: 100 },
    )
  })

  it('is one of LangChain: each tool message behind the answer that asked for it', async () => {
    const render = (event: Event): BaseMessage[] => {
      if (event.kind === 'call') {
        const tool_calls = event.ids.map((id) => ({ id, name: 'f', args: {} }))
        return [new AIMessage({ content: '', tool_calls })]
      }
      if (event.kind === 'result') {
        return event.ids.map((tool_call_id) => new ToolMessage({ content: 'r', tool_call_id }))
      }
      return [event.kind === 'user' ? new HumanMessage(text.user) : new AIMessage(text.say)]
    }
    const append = (thread: Thread, events: readonly Event[]) =>
      createChatHistory(thread).addMessages(events.flatMap(render))
    await everyWindow(append, async (thread, window) => {
      let waiting: string[] = []
      for (const message of await createChatHistory(thread, { window }).getMessages()) {
        if (message instanceof ToolMessage) {
          expect(waiting).toContain(message.tool_call_id)
          waiting = waiting.filter((id) => id !== message.tool_call_id)
          continue
        }
        expect(waiting).toEqual([])
        waiting = message instanceof AIMessage ? (message.tool_calls ?? []).flatMap(({ id }) => id ?? []) : []
      }
    })
  })
})

/** The AI SDK checks a prompt before it asks its model: a call without its result is an error. */
async function sendToModel(messages: ModelMessage[]): Promise<void> {
  // The thread may end with calls whose results are still to come: that is no prompt yet.
  const calls = partsOf(messages, 'tool-call')
  const results = new Set(partsOf(messages, 'tool-result'))
  const lastQuestion = messages.findLastIndex(({ role }) => role === 'user')
  const before = partsOf(messages.slice(0, lastQuestion + 1), 'tool-call')
  expect(before.filter((id) => !results.has(id))).toEqual([])
  if (messages.length === 0 || calls.some((id) => !results.has(id))) return
  const usage = {
    inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: 1, text: 1, reasoning: 0 },
  }
  const finishReason = { unified: 'stop' as const, raw: 'stop' }
  const content = [{ type: 'text' as const, text: 'fine' }]
  const model = new MockLanguageModelV3({ doGenerate: { content, finishReason, usage, warnings: [] } })
  expect((await generateText({ model, messages })).text).toBe('fine')
}

function partsOf(messages: readonly ModelMessage[], type: 'tool-call' | 'tool-result'): string[] {
  return messages.flatMap(({ content }) =>
    typeof content === 'string'
      ? []
      : content.flatMap((part) => (part.type === type && 'toolCallId' in part ? [part.toolCallId] : [])),
  )
}
