import { convertToModelMessages, simulateReadableStream, streamText, type UIMessage } from 'ai'
import { MockLanguageModelV3 } from 'ai/test'
import { describe, expect, it } from 'vitest'
import { createChats } from '../src/adapters/ai-sdk.js'
import { createChatHistory } from '../src/adapters/langchain.js'
import { createAgentSession } from '../src/adapters/openai-agents.js'
import { createAgentMemory } from '../src/index.js'
import { soon, useRedis } from './support.js'

const redis = useRedis()
const say = (id: string, text = id, role: 'user' | 'assistant' = 'user') =>
  ({ id, role, parts: [{ type: 'text', text }] }) as UIMessage
const many = (count: number) => Array.from({ length: count }, (_, index) => say(`m${index}`))
const idsOf = (messages: readonly UIMessage[]) => messages.map(({ id }) => id)

/** A model that says these words, one each few milliseconds. */
function model(...words: string[]) {
  const usage = {
    inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: 1, text: 1, reasoning: 0 },
  }
  const chunks = [
    { type: 'text-start' as const, id: 't' },
    ...words.map((delta) => ({ type: 'text-delta' as const, id: 't', delta })),
    { type: 'text-end' as const, id: 't' },
    { type: 'finish' as const, finishReason: { unified: 'stop' as const, raw: 'stop' }, usage },
  ]
  return new MockLanguageModelV3({
    doStream: async () => ({ stream: simulateReadableStream({ chunks, chunkDelayInMs: 20 }) }),
  })
}

describe.each(['memory', 'redis'])('chats of the AI SDK, in %s', (where) => {
  const make = async () => (where === 'memory' ? createAgentMemory() : (await redis.instance()).memory)

  it('keeps an answer that the SDK gives no id, once, also when the client calls it otherwise', async () => {
    const chats = createChats((await make()).owner('u'))
    const question = say('q')
    await chats.save({ chatId: 'c', messages: [question] })
    const messages = await chats.load('c')
    const result = streamText({ model: model('Hel', 'lo'), messages: await convertToModelMessages(messages) })
    const response = result.toUIMessageStreamResponse({
      originalMessages: messages,
      onFinish: ({ messages: all }) => chats.save({ chatId: 'c', messages: all }),
      consumeSseStream: ({ stream }) => chats.record({ chatId: 'c', stream }),
    })
    expect(await response.text()).toContain('[DONE]')
    await expect.poll(async () => (await chats.load('c')).length).toBe(2)
    const [, answer] = await chats.load('c')
    expect(answer).toMatchObject({ role: 'assistant', id: expect.stringMatching(/./) })
    const next = [
      question,
      { ...answer, id: 'client' } as UIMessage,
      say('q2'),
      say('', 'again', 'assistant'),
    ]
    await chats.save({ chatId: 'c', messages: next })
    expect((await chats.load('c')).map(({ role }) => role)).toEqual([
      'user',
      'assistant',
      'user',
      'assistant',
    ])
  })

  it('goes on when the recorded stream breaks, and its readers end', async () => {
    const chats = createChats((await make()).owner('u'))
    const broken = new ReadableStream<string>({
      start: (controller) => controller.enqueue('data: half\n\n'),
      pull: (controller) => controller.error(new Error('onFinish failed')),
    })
    await expect(chats.record({ chatId: 'c', stream: broken })).resolves.toBeUndefined()
    expect(await chats.resume('c')).toBeUndefined()
    expect(await chats.thread('c').drafts()).toEqual([])
  })

  it('brings a message back that was removed and is saved again, in its order', async () => {
    const chats = createChats((await make()).owner('u'))
    const save = (...messages: UIMessage[]) => chats.save({ chatId: 'c', messages, removeMissing: true })
    const [u1, a1, a2, u2] = [say('u1'), say('a1'), say('a2'), say('u2')]
    await save(u1, a1, u2)
    await save(u1, a2, u2)
    expect(await chats.load('c')).toEqual([u1, a2, u2])
    await save(u1, a1, u2)
    expect(await chats.load('c')).toEqual([u1, a1, u2])
    await save(u2)
    expect(await chats.load('c')).toEqual([u2])
  })

  it('takes nothing away that was not seen', async () => {
    const memory = await make()
    await createChats(memory.owner('u')).save({ chatId: 'c', messages: many(30) })
    const chats = createChats(memory.owner('u'))
    const shown = await chats.window('c', { maxMessages: 5 })
    await chats.save({ chatId: 'c', messages: [...shown.slice(0, -1), say('again')], removeMissing: true })
    expect(idsOf(await chats.load('c'))).toEqual([...idsOf(many(29)), 'again'])
    const other = createChats(memory.owner('u'))
    await other.save({ chatId: 'c', messages: [say('m28'), say('last')], removeMissing: true })
    expect(idsOf(await other.load('c'))).toEqual([...idsOf(many(29)), 'last'])
  })

  it.each(['delete', 'erase'] as const)('leaves a chat gone after %s, whoever saves late', async (how) => {
    const owner = (await make()).owner('u')
    const [chats, history, session] = [
      createChats(owner),
      createChatHistory(owner.thread('h')),
      createAgentSession(owner.thread('s')),
    ]
    await chats.save({ chatId: 'c', messages: [say('1')] })
    await history.addUserMessage('hi')
    await session.addItems([{ role: 'user', content: 'hi' }])
    const messages = await chats.load('c')
    await Promise.all([history.getMessages(), session.getItems()])
    if (how === 'erase') expect(await owner.erase()).toMatchObject({ verified: true, threads: 3 })
    else await Promise.all(['c', 'h', 's'].map((id) => owner.thread(id).delete()))
    await chats.save({ chatId: 'c', messages: [...messages, say('a')] })
    await history.addAIMessage('late')
    await session.addItems([{ role: 'user', content: 'late' }])
    expect([await chats.load('c'), await history.getMessages(), await session.getItems()]).toEqual([
      [],
      [],
      [],
    ])
    // Having read the empty thread, each may begin a new conversation.
    await chats.save({ chatId: 'c', messages: [say('new')] })
    await history.addUserMessage('new')
    await session.addItems([{ role: 'user', content: 'new' }])
    expect(idsOf(await chats.load('c'))).toEqual(['new'])
    expect([await history.getMessages(), await session.getItems()].map(({ length }) => length)).toEqual([
      1, 1,
    ])
  })

  it('leaves a deleted chat gone when an answer from before is saved, though others have read the chat since', async () => {
    const chats = createChats((await make()).owner('u'))
    await chats.save({ chatId: 'c', messages: [say('1')] })
    const before = await chats.load('c')
    const window = await chats.window('c')
    await chats.thread('c').delete()
    expect(await chats.load('c')).toEqual([])
    await chats.save({ chatId: 'c', messages: [...before, say('a')] })
    await chats.save({ chatId: 'c', messages: [...window, say('b')] })
    expect(await chats.load('c')).toEqual([])
    // That does not stop a new conversation, or a copy of it into another chat that was deleted before.
    await chats.save({ chatId: 'c', messages: [say('new')] })
    await chats.save({ chatId: 'd', messages: [say('x')] })
    await chats.thread('d').delete()
    expect(await chats.load('d')).toEqual([])
    await chats.save({ chatId: 'd', messages: await chats.load('c') })
    expect([idsOf(await chats.load('c')), idsOf(await chats.load('d'))]).toEqual([['new'], ['new']])
  })

  it('names the message that is too large, and saves the others', async () => {
    const own = where === 'memory' ? createAgentMemory({ maxMessageBytes: 1_000 }) : undefined
    const memory = own ?? (await redis.instance({ maxMessageBytes: 1_000 })).memory
    const chats = createChats(memory.owner('u'))
    const messages = [say('a'), say('photo', 'x'.repeat(2_000)), say('b')]
    await expect(chats.save({ chatId: 'c', messages })).rejects.toMatchObject({
      code: 'MESSAGE_TOO_LARGE',
      id: 'photo',
    })
    expect(idsOf(await chats.load('c'))).toEqual(['a', 'b'])
    const session = createAgentSession(memory.owner('u').thread('s'))
    const items = [say('q'), say('x'.repeat(2_000)), say('r')].map(({ id }) => ({
      role: 'user',
      content: id,
    }))
    await expect(session.addItems(items as never)).rejects.toMatchObject({ code: 'MESSAGE_TOO_LARGE' })
    expect(await session.getItems()).toHaveLength(2)
  })

  it('gives the summary of a compacted chat before its window', async () => {
    const owner = (await make()).owner('u')
    const chats = createChats(owner)
    await chats.save({ chatId: 'c', messages: many(10) })
    await chats.thread('c').compact({ summarize: async () => 'what was said', keepMessages: 2 })
    expect(await chats.window('c')).toMatchObject([
      { role: 'system', parts: [{ type: 'text', text: 'what was said' }] },
      { id: 'm8' },
      { id: 'm9' },
    ])
    const history = createChatHistory(chats.thread('c'), { window: {} })
    expect((await history.getMessages()).map((message) => message.getType())).toEqual([
      'system',
      'human',
      'human',
    ])
  })
})

describe('chats while Redis is away', () => {
  it('journal an answer, whatever was seen of the chat before', async () => {
    const { memory, cutOff, back } = await redis.instance()
    const chats = createChats(memory.owner('u'))
    await chats.save({ chatId: 'c', messages: [say('q')] })
    const fresh = await redis.instance()
    const others = createChats(fresh.memory.owner('u'))
    const messages = await others.load('c')
    await fresh.cutOff()
    await others.save({ chatId: 'c', messages: [{ ...messages[0], parts: [] } as UIMessage, say('a')] })
    await others.save({ chatId: 'new', messages: [say('x')] })
    expect(fresh.memory.status().journaled).toBeGreaterThan(0)
    expect(await others.resume('c')).toBeUndefined()
    await fresh.back()
    await fresh.memory.flushed(soon())
    expect(await chats.load('c')).toEqual([{ ...say('q'), parts: [] }, say('a')])
    expect(idsOf(await chats.load('new'))).toEqual(['x'])
    await cutOff()
    await back()
  })

  it('promise 9: an adapter refuses a part of a thread, or gives it when it is asked to', async () => {
    const { memory } = await redis.instance()
    const { memory: own, cutOff } = await redis.instance()
    await createChats(memory.owner('u')).save({ chatId: 'c', messages: many(30) })
    const chats = createChats(own.owner('u'))
    await chats.window('c', { maxMessages: 5 })
    await cutOff()
    const thread = own.owner('u').thread('c')
    const incomplete = { code: 'THREAD_INCOMPLETE' }
    await expect(chats.load('c')).rejects.toMatchObject(incomplete)
    await expect(createChatHistory(thread).getMessages()).rejects.toMatchObject(incomplete)
    await expect(createAgentSession(thread).getItems()).rejects.toMatchObject(incomplete)
    expect(await chats.load('c', { partial: true })).toHaveLength(5)
    expect(await createChatHistory(thread, { partial: true }).getMessages()).toHaveLength(5)
    expect(await createAgentSession(thread, { partial: true }).getItems()).toHaveLength(5)
  })
})
