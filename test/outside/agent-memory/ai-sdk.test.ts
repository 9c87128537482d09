import { describe, it } from 'vitest'
import { forms, libraries, project } from '../harness/index.js'
import { converse, service } from './conversation.js'

/** What docs/adapters.md shows, with a mock model; the class of the mock goes with the SDK's major version. */
const script = (mock: string) =>
  service(`
  import { convertToModelMessages, generateId, simulateReadableStream, streamText } from 'ai'
  import { ${mock} } from 'ai/test'
  import { createChats } from '@evenkeel/agent-memory/ai-sdk'

  const chats = createChats(memory.owner('user'))
  const usage = {
    inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: 1, text: 1, reasoning: 0 },
  }
  const model = new ${mock}({
    doStream: async ({ prompt }) => {
      const words = (await answer(prompt.at(-1).content[0].text)).split(/(?= )/)
      const chunks = [
        { type: 'stream-start', warnings: [] },
        { type: 'text-start', id: 't' },
        ...words.map((delta) => ({ type: 'text-delta', id: 't', delta })),
        { type: 'text-end', id: 't' },
        { type: 'finish', finishReason: { unified: 'stop', raw: 'stop' }, usage },
      ]
      return { stream: simulateReadableStream({ chunks, chunkDelayInMs: 1 }) }
    },
  })
  const textOf = ({ parts }) => parts.filter(({ type }) => type === 'text').map(({ text }) => text).join('')
  const turn = async (text) => {
    const id = 'chat'
    const messages = [...(await chats.load(id)), { id: generateId(), role: 'user', parts: [{ type: 'text', text }] }]
    await chats.save({ chatId: id, messages })
    const result = streamText({ model, messages: await convertToModelMessages(messages) })
    const response = result.toUIMessageStreamResponse({
      originalMessages: messages,
      generateMessageId: generateId,
      onFinish: ({ messages }) => chats.save({ chatId: id, messages }),
      consumeSseStream: ({ stream }) => chats.record({ chatId: id, stream }),
    })
    const sent = await response.text()
    if (!sent.includes('[DONE]')) throw new Error(sent)
    return textOf((await chats.load(id)).at(-1))
  }
  const all = async () => (await chats.load('chat')).map(textOf)`)

describe.each([
  { version: '6.0.326', mock: 'MockLanguageModelV3' },
  { version: '7.0.173', mock: 'MockLanguageModelV4' },
])('chats of the AI SDK $version', ({ version, mock }) => {
  const dependencies = { ai: version, redis: libraries.redis6, zod: '4.6.7' }

  it.each(forms)('lose nothing while Redis is away, %s', { timeout: 600_000 }, async (form) => {
    const packages = ['@evenkeel/agent-memory']
    await converse(
      await project(`memory-ai-${version.slice(0, 1)}`, { packages, dependencies }),
      script(mock),
      {
        form,
      },
    )
  })
})
