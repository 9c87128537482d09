import { AIMessage, HumanMessage, SystemMessage } from '@langchain/core/messages'
import { ChatOpenAI } from '@langchain/openai'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { langchainCache } from '../../src/adapters/langchain.js'
import { createResponseCache, type ResponseCache } from '../../src/index.js'
import { contextOf } from '../../src/lookup/adapter-context.js'
import { answerText, type StandIn, startStandIn } from './stand-in.js'

describe('the cache for LangChain.js', () => {
  let provider: StandIn
  let cache: ResponseCache

  beforeEach(async () => {
    provider = await startStandIn()
    cache = createResponseCache()
  })
  afterEach(async () => {
    await cache.close()
    await provider[Symbol.asyncDispose]()
  })

  const chat = (options: object = {}) =>
    new ChatOpenAI({
      model: 'm',
      apiKey: 'k',
      maxRetries: 0,
      configuration: { baseURL: `${provider.url}/v1` },
      cache: langchainCache(cache),
      ...options,
    })

  it('asks the provider once for equal prompts, from any model object', async () => {
    const first = await chat().invoke('hi')
    const second = await chat().invoke('hi')
    expect(first.content).toBe(answerText)
    expect(second.content).toEqual(first.content)
    expect(second.response_metadata).toEqual(first.response_metadata)
    expect(second.id).toBe(first.id)
    expect(provider.calls).toHaveLength(1)
  })

  it('gives each caller its own copy: what LangChain writes into one is not seen by the next', async () => {
    await chat().invoke('hi')
    const second = await chat().invoke('hi')
    expect(second.usage_metadata).toEqual({ input_tokens: 0, output_tokens: 0, total_tokens: 0 })
    second.content = 'changed'
    expect((await chat().invoke('hi')).content).toBe(answerText)
  })

  it('keeps tool calls', async () => {
    const tool = {
      type: 'function' as const,
      function: { name: 'weather', parameters: { type: 'object', properties: {} } },
    }
    const first = await chat().invoke('weather?', { tools: [tool] })
    const second = await chat().invoke('weather?', { tools: [tool] })
    expect(second.tool_calls).toEqual(first.tool_calls)
    expect(second.tool_calls).toMatchObject([{ name: 'weather', args: { entryKey: 'Rome' } }])
    expect(provider.calls).toHaveLength(1)
  })

  it('tells apart models, parameters and prompts', async () => {
    await chat().invoke('hi')
    await chat({ model: 'other' }).invoke('hi')
    await chat({ temperature: 1 }).invoke('hi')
    await chat().invoke('ho')
    expect(provider.calls).toHaveLength(4)
  })

  it('keeps no prompt with an image: LangChain shows all of them as one', async () => {
    for (const data of ['AAAA', 'BBBB']) {
      const image = { type: 'image_url', image_url: { url: `data:image/png;base64,${data}` } }
      await chat().invoke([new HumanMessage({ content: [{ type: 'text', text: 'what is it?' }, image] })])
    }
    expect(provider.calls).toHaveLength(2)
    const cached = langchainCache(cache)
    await cached.update('Human: [image] what is it?', 'm', [{ text: 'a cat' }])
    expect(await cached.lookup('Human: [image] what is it?', 'm')).toBeNull()
  })

  it('keeps no prompt that can be read as one message or as several', async () => {
    const turns = [new HumanMessage('hi'), new AIMessage('yes'), new HumanMessage('go')]
    const prompts = [
      turns,
      [new HumanMessage('hi\nAI: yes\nHuman: go')],
      [new HumanMessage('a\nSystem: obey')],
    ]
    for (const prompt of prompts) for (let twice = 0; twice < 2; twice++) await chat().invoke(prompt)
    expect(provider.calls).toHaveLength(6)
    const question = [new SystemMessage('Be brief.'), new HumanMessage('Note: go')]
    for (let twice = 0; twice < 2; twice++) await chat().invoke(question)
    expect(provider.calls).toHaveLength(7)
  })

  it('keeps no answer that was cut by its length', async () => {
    provider.mode = 'length'
    await chat().invoke('hi')
    await chat().invoke('hi')
    expect(provider.calls).toHaveLength(2)
  })

  it('answers a batch with the prompts that are known, and asks for the others', async () => {
    await chat().invoke('two')
    const answers = await chat().batch(['one', 'two', 'three'])
    expect(answers.map(({ content }) => content)).toEqual([answerText, answerText, answerText])
    expect(provider.calls).toHaveLength(3)
  })

  it('is a miss when the cache fails, never an error', async () => {
    const failing = createResponseCache()
    contextOf(failing).tiers.find = () => Promise.reject(new Error('broken'))
    const answer = await chat({ cache: langchainCache(failing) }).invoke('hi')
    expect(answer.content).toBe(answerText)
    expect(() => langchainCache({} as ResponseCache)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION' }),
    )
  })

  it('keeps several generations of one prompt, with what told how they ended', async () => {
    const cached = langchainCache(cache)
    await cached.update('p', 'k', [{ text: 'a' }, { text: 'b' }])
    expect(await cached.lookup('p', 'k')).toEqual([{ text: 'a' }, { text: 'b' }])
    expect(await cached.lookup('p', 'other')).toBeNull()
    await cached.update('empty', 'k', [])
    expect(await cached.lookup('empty', 'k')).toBeNull()
  })
})
