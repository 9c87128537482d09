import { until } from '@evenkeel/test-servers'
import {
  AIMessage,
  ChatMessage,
  HumanMessage,
  RemoveMessage,
  SystemMessage,
  ToolMessage,
} from '@langchain/core/messages'
import type { AgentInputItem, Session } from '@openai/agents-core'
import { convertToModelMessages, type UIMessage } from 'ai'
import { describe, expect, it } from 'vitest'
import { createChats } from '../src/adapters/ai-sdk.js'
import { createChatHistory } from '../src/adapters/langchain.js'
import { createAgentSession } from '../src/adapters/openai-agents.js'
import { createAgentMemory } from '../src/index.js'
import { threadOf, useRedis, user } from './support.js'

const redis = useRedis()

describe.each(['memory', 'redis'])('adapters, in %s', (where) => {
  const make = async () => (where === 'memory' ? createAgentMemory() : (await redis.instance()).memory)

  describe('a history of LangChain', () => {
    it('gives messages back as they were, once, with their tool calls together', async () => {
      const thread = threadOf(await make())
      const history = createChatHistory(thread)
      const messages = [
        new SystemMessage('be brief'),
        new HumanMessage({ id: 'h', content: [{ type: 'text', text: 'weather?' }], name: 'Ada' }),
        new AIMessage({ content: '', tool_calls: [{ id: 'x', name: 'weather', args: { city: 'Bern' } }] }),
        new ToolMessage({ content: 'sun', tool_call_id: 'x', artifact: { raw: [1] } }),
        new AIMessage({
          content: 'Sun.',
          response_metadata: { model: 'm' },
        }),
        new ChatMessage({ role: 'critic', content: 'hm' }),
      ]
      await history.addMessages(messages)
      await history.addMessages([messages[1] as HumanMessage])
      await history.addUserMessage('thanks')
      const found = await history.getMessages()
      expect(found.map((message) => message.getType())).toEqual([
        'system',
        'human',
        'ai',
        'tool',
        'ai',
        'generic',
        'human',
      ])
      for (const [index, message] of messages.entries()) {
        expect(found[index]?.toDict().data).toMatchObject(
          JSON.parse(JSON.stringify({ ...message.toDict().data, id: undefined })),
        )
        expect(found[index]).toBeInstanceOf(message.constructor)
      }
      const windowed = createChatHistory(thread, { window: { maxMessages: 5 } })
      // The call does not fit, and its result stays out with it.
      expect((await windowed.getMessages()).map((message) => message.getType())).toEqual([
        'system',
        'ai',
        'generic',
        'human',
      ])
      await history.clear()
      expect(await history.getMessages()).toEqual([])
    })

    it('removes what a RemoveMessage names, and all by the id that means all', async () => {
      const history = createChatHistory(threadOf(await make()))
      const [h, a, b] = ['h', 'a', 'b'].map((id) => new HumanMessage({ id, content: id }))
      if (h === undefined || a === undefined || b === undefined) throw new Error('three messages were made')
      await history.addMessages([h, a])
      await history.addMessages([new RemoveMessage({ id: 'h' }), b, new RemoveMessage({ id: 'not there' })])
      expect((await history.getMessages()).map(({ id }) => id)).toEqual(['a', 'b'])
      await history.addMessages([new RemoveMessage({ id: '__remove_all__' }), h])
      expect((await history.getMessages()).map(({ id }) => id)).toEqual(['h'])
    })

    it('reads messages of every shape, though LangChain has no type for them', async () => {
      const thread = threadOf(await make())
      await thread.append([
        { id: '1', role: 'user', parts: [{ text: 'how ' }, { text: 'deep?' }] },
        { id: '2', role: 'model', parts: [{ text: 'three metres' }] },
        { id: '3', role: 'remove', content: '' },
        {
          id: '4',
          role: 'tool',
          content: [{ type: 'tool-result', toolCallId: 'x', toolName: 'f', output: 1 }],
        },
        { id: '5', role: 'function', content: 'no name' },
        { id: '6', role: 'constructor', content: 'odd' },
        { id: '7', type: 'reasoning', summary: [] },
      ])
      const found = await createChatHistory(thread).getMessages()
      expect(found.map((message) => [message.id, message.getType(), message.text])).toEqual([
        ['1', 'human', 'how deep?'],
        ['2', 'ai', 'three metres'],
        ['3', 'generic', ''],
        ['4', 'generic', ''],
        ['5', 'generic', 'no name'],
        ['6', 'generic', 'odd'],
        ['7', 'generic', ''],
      ])
    })

    it('reads what was appended in another way', async () => {
      const thread = threadOf(await make())
      await thread.append([user('a'), { role: 'assistant', content: 'hi' }])
      const found = await createChatHistory(thread).getMessages()
      expect(found.map((message) => [message.getType(), message.content])).toEqual([
        ['human', 'message a'],
        ['ai', 'hi'],
      ])
    })
  })

  describe('a session of OpenAI Agents', () => {
    const say = (text: string): AgentInputItem => ({ role: 'user', content: text })
    const call = (callId: string, args = '{}'): AgentInputItem & { type: 'function_call' } => ({
      type: 'function_call',
      callId,
      name: 'f',
      arguments: args,
      status: 'completed',
    })
    const result = (callId: string): AgentInputItem => ({
      type: 'function_call_result',
      callId,
      name: 'f',
      status: 'completed',
      output: { type: 'text', text: 'ok' },
    })

    it('keeps items as they are, gives the latest, and takes the last away', async () => {
      const session: Session = createAgentSession(threadOf(await make()))
      expect(await session.getItems()).toEqual([])
      const items = [say('a'), call('x'), result('x'), say('b'), say('b')]
      await session.addItems(items)
      await session.addItems([])
      expect(await session.getItems()).toEqual(items)
      expect(await session.getItems(2)).toEqual(items.slice(-2))
      expect(await session.getItems(0)).toEqual([])
      expect(await session.popItem()).toEqual(say('b'))
      expect(await session.getItems()).toEqual(items.slice(0, -1))
      await session.clearSession()
      expect(await session.popItem()).toBeUndefined()
      expect(await session.getSessionId()).toBe('t')
    })

    it('applies a transaction once, refuses another one under its name, and a suffix that is not there', async () => {
      const session = createAgentSession(threadOf(await make()))
      await session.addItems([say('a'), call('x')])
      const append = {
        operationId: 'one',
        transaction: { type: 'append_items' as const, items: [result('x')] },
      }
      await session.applyHistoryTransaction(append)
      await session.applyHistoryTransaction(append)
      const other = { ...append, transaction: { type: 'append_items' as const, items: [say('other')] } }
      await expect(session.applyHistoryTransaction(other)).rejects.toMatchObject({
        code: 'OPERATION_CONFLICT',
      })
      const replace = {
        operationId: 'two',
        transaction: {
          type: 'replace_suffix' as const,
          expectedSuffix: [call('x'), result('x')],
          replacement: [call('x', '{"n":1}'), result('x'), say('b')],
        },
      }
      await session.applyHistoryTransaction(replace)
      await session.applyHistoryTransaction(structuredClone(replace))
      const items = [say('a'), call('x', '{"n":1}'), result('x'), say('b')]
      expect(await session.getItems()).toEqual(items)
      await expect(
        session.applyHistoryTransaction({ ...replace, operationId: 'three' }),
      ).rejects.toMatchObject({ code: 'VERSION_CONFLICT' })
      await expect(
        session.applyHistoryTransaction({
          operationId: 'two',
          transaction: { ...replace.transaction, replacement: [] },
        }),
      ).rejects.toMatchObject({ code: 'OPERATION_CONFLICT' })
      expect(await session.getItems()).toEqual(items)
    })

    it('rewrites a function call in its place, and a history by its compaction', async () => {
      const session = createAgentSession(threadOf(await make()))
      await session.addItems([say('a'), call('x'), result('x')])
      const mutation = {
        type: 'replace_function_call' as const,
        callId: 'x',
        replacement: call('x', '{"b":2}'),
      }
      await session.applyHistoryMutations({ mutations: [mutation] })
      expect(await session.getItems()).toEqual([say('a'), call('x', '{"b":2}'), result('x')])
      await expect(
        session.applyHistoryMutations({ mutations: [{ ...mutation, callId: 'none' }] }),
      ).rejects.toMatchObject({ code: 'MESSAGE_MISSING' })
      await session.replaceHistoryWithCompaction([say('summary')])
      expect(await session.getItems()).toEqual([say('summary')])
    })

    it('counts two pops and two appends at once', async () => {
      const session = createAgentSession(threadOf(await make()))
      await session.addItems([say('a'), say('b'), say('c')])
      const popped = await Promise.all([session.popItem(), session.popItem()])
      expect(new Set(popped.map((item) => JSON.stringify(item))).size).toBe(2)
      expect(await session.getItems()).toHaveLength(1)
    })
  })

  describe('chats of the AI SDK', () => {
    const tool = (state: object) => ({
      type: 'tool-weather',
      toolCallId: 'x',
      input: { city: 'Bern' },
      ...state,
    })
    const chat = (state: object): UIMessage[] =>
      [
        { id: 'q', role: 'user', parts: [{ type: 'text', text: 'weather?' }], metadata: { at: 1 } },
        { id: 'a', role: 'assistant', parts: [{ type: 'step-start' }, tool(state)] },
      ] as UIMessage[]

    it('save what is new or changed, and load it as it was', async () => {
      const chats = createChats((await make()).owner('u'))
      expect(await chats.load('c')).toEqual([])
      const open = chat({ state: 'input-available' })
      await chats.save({ chatId: 'c', messages: open })
      await chats.save({ chatId: 'c', messages: open })
      expect(await chats.load('c')).toEqual(open)
      const done = chat({ state: 'output-available', output: 'sun' })
      await chats.save({ chatId: 'c', messages: done })
      expect(await chats.load('c')).toEqual(done)
      const entries = (await chats.thread('c').page()).entries
      expect(entries.map(({ revision }) => revision)).toEqual([0, 1])
      const again = [...done.slice(0, 1), { ...done[1], id: 'regenerated' } as UIMessage]
      await chats.save({ chatId: 'c', messages: again, removeMissing: true })
      expect((await chats.load('c')).map(({ id }) => id)).toEqual(['q', 'regenerated'])
      const model = await convertToModelMessages(await chats.window('c'))
      expect(model.map(({ role }) => role)).toEqual(['user', 'assistant', 'tool'])
    })
  })
})

it('an outage takes a thread of which only a message was repeated for unknown, not for empty', async () => {
  const writer = await redis.instance()
  const { memory, cutOff, back } = await redis.instance()
  await threadOf(writer.memory).append([user('a'), user('b')])
  expect((await threadOf(memory).append(user('a'))).status).toBe('duplicate')
  await cutOff()
  await expect(threadOf(memory).window()).rejects.toMatchObject({ code: 'THREAD_UNKNOWN' })
  await expect(createChatHistory(threadOf(memory)).getMessages()).rejects.toMatchObject({
    code: 'THREAD_UNKNOWN',
  })
  // What is added now is shown as a part.
  await threadOf(memory).append(user('c'))
  expect(await threadOf(memory).window()).toMatchObject({ complete: false, messages: [{ id: 'c' }] })
  await back()
  expect((await threadOf(memory).window()).messages.map(({ id }) => id)).toEqual(['a', 'b', 'c'])
})

it('an outage shows what was appended here though the answer to that was lost', async () => {
  const { memory, proxy, cutOff } = await redis.instance()
  await threadOf(memory, 'other').append(user('x'))
  proxy.dropReplies(1, ([name]) => name?.startsWith('EVALSHA') === true)
  const receipt = await threadOf(memory).append([user('a'), user('b')])
  expect(receipt.status).toBe('journaled')
  await memory.flushed()
  await until(() => memory.status().state === 'primary', 5_000)
  await cutOff()
  const { messages, complete } = await threadOf(memory).window()
  expect(messages.map(({ id }) => id)).toEqual(['a', 'b'])
  expect(complete).toBe(true)
})
