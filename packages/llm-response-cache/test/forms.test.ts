import Anthropic from '@anthropic-ai/sdk'
import { until } from '@evenkeel/test-servers'
import OpenAI from 'openai'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createResponseCache, type ResponseCache } from '../src/index.js'
import { answerText, type StandIn, startStandIn } from './adapters/stand-in.js'
import { chatCall, chatStream, chatUrl, completion, fakeProvider, settled, sse } from './fake.js'

const tools = [{ type: 'function' as const, function: { name: 'weather', parameters: {} } }]

describe('one entry in two forms', () => {
  let provider: StandIn
  let cache: ResponseCache
  let openai: OpenAI
  let anthropic: Anthropic

  beforeEach(async () => {
    provider = await startStandIn()
    cache = createResponseCache()
    const options = { apiKey: 'k', maxRetries: 0, fetch: cache.fetch() }
    openai = new OpenAI({ ...options, baseURL: `${provider.url}/v1` })
    anthropic = new Anthropic({ ...options, baseURL: provider.url })
  })
  afterEach(async () => {
    await cache.close()
    await provider[Symbol.asyncDispose]()
  })

  const stored = (count = 1) => until(() => cache.stats().stored === count, 5_000)
  const calledOnce = () => expect(provider.calls).toHaveLength(1)

  const ask = { model: 'm', messages: [{ role: 'user' as const, content: 'hi' }] }

  describe.each([
    ['text', {}],
    ['tools', { tools }],
  ])('a chat completion with %s', (_, more) => {
    const object = () => openai.chat.completions.create({ ...ask, ...more })
    const streamed = () =>
      openai.chat.completions
        .stream({ ...ask, ...more, stream_options: { include_usage: true } })
        .finalChatCompletion()

    it('is streamed from what came as an object', async () => {
      const first = await object()
      await stored()
      const again = await streamed()
      calledOnce()
      expect(again.choices[0]?.message).toMatchObject({ ...first.choices[0]?.message })
      expect(again.usage).toEqual(first.usage)
      expect(again.choices[0]?.finish_reason).toBe(first.choices[0]?.finish_reason)
    })

    it('is an object from what came as a stream', async () => {
      const first = await streamed()
      await stored()
      const again = await object()
      calledOnce()
      expect(again).toMatchObject({ id: first.id, object: 'chat.completion', model: 'm', usage: first.usage })
      expect(again.choices[0]?.message.content).toBe(first.choices[0]?.message.content)
      expect(again.choices[0]?.message.tool_calls).toEqual(
        first.choices[0]?.message.tool_calls?.map((call) => ({
          id: call.id,
          type: 'function',
          function: { name: 'weather', arguments: '{"entryKey":"Rome"}' },
        })),
      )
    })
  })

  describe.each([
    ['text', {}],
    ['tools', { tools: [{ name: 'weather', input_schema: { type: 'object' as const } }] }],
  ])('a message with %s', (_, more) => {
    const message = { model: 'm', max_tokens: 10, messages: ask.messages, ...more }
    const object = () => anthropic.messages.create(message)
    const streamed = () => anthropic.messages.stream(message).finalMessage()

    it('is streamed from what came as an object', async () => {
      const first = await object()
      await stored()
      expect(await streamed()).toMatchObject({ content: first.content, stop_reason: first.stop_reason })
      calledOnce()
    })

    it('is an object from what came as a stream', async () => {
      const first = await streamed()
      await stored()
      const again = await object()
      calledOnce()
      expect(again.content).toEqual(first.content)
      expect(again).toMatchObject({ id: 'msg_1', stop_reason: first.stop_reason, usage: first.usage })
    })
  })

  describe.each([
    ['text', {}],
    ['tools', { tools: [{ type: 'function' as const, name: 'weather', parameters: {}, strict: false }] }],
  ])('a response with %s', (_, more) => {
    const request = { model: 'm', input: 'hi', ...more }
    const object = () => openai.responses.create(request)
    const streamed = () => openai.responses.stream(request).finalResponse()

    it('is streamed from what came as an object', async () => {
      const first = await object()
      await stored()
      const again = await streamed()
      calledOnce()
      expect(again.output).toMatchObject(first.output)
      expect(again.output_text).toBe(first.output_text)
    })
  })

  it('is an object from what came as a stream of a response', async () => {
    const events = await openai.responses.create({ model: 'm', input: 'hi', stream: true })
    for await (const _ of events);
    await stored()
    const again = await openai.responses.create({ model: 'm', input: 'hi' })
    expect(again.output_text).toBe(answerText)
    calledOnce()
  })
})

describe('the usage of a chat stream', () => {
  const streamed = { stream: true }
  const counted = { stream: true, stream_options: { include_usage: true } }

  it('is not sent to who did not ask for it', async () => {
    const provider = fakeProvider(() => sse(chatStream('one two', true)))
    const cache = createResponseCache()
    const cached = cache.fetch({ fetch: provider.fetch })
    const text = async (more: object) => (await cached(chatUrl, chatCall('hi', {}, more))).text()
    expect(await text(counted)).toContain('"total_tokens":17')
    await settled()
    expect(await text(streamed)).toBe(chatStream('one two'))
    expect(await text(counted)).toBe(chatStream('one two', true))
    expect(provider.calls).toHaveLength(1)
  })

  it.each(['\r\n', '\r', '\n'])('is taken out of lines that end with %j', async (lineEnd) => {
    const withEnds = (text: string) => text.replaceAll('\n', lineEnd)
    const provider = fakeProvider(() => sse(withEnds(`\n\n${chatStream('one two', true)}`)))
    const cached = createResponseCache().fetch({ fetch: provider.fetch })
    const text = async (more: object) => (await cached(chatUrl, chatCall('hi', {}, more))).text()
    expect(await text(counted)).toContain('"total_tokens":17')
    await settled()
    expect(await text(streamed)).toBe(withEnds(`\n\n${chatStream('one two')}`))
    expect(provider.calls).toHaveLength(1)
  })

  it('is never made up: who needs it has the provider asked, and then the entry serves all', async () => {
    const provider = fakeProvider((body) => {
      if (body.stream !== true) return Response.json(completion('one two'))
      return sse(chatStream('one two', body.stream_options !== undefined))
    })
    const cache = createResponseCache()
    const cached = cache.fetch({ fetch: provider.fetch })
    const text = async (more: object) => {
      const response = await cached(chatUrl, chatCall('hi', {}, more))
      const body = await response.text()
      await settled()
      return `${response.headers.get('x-evenkeel-cache')} ${body}`
    }
    expect(await text(streamed)).toBe(`miss ${chatStream('one two')}`)
    expect(await text(streamed)).toBe(`hit ${chatStream('one two')}`)
    expect(await text({})).toMatch(/^miss .*"total_tokens":17/)
    expect(await text({})).toMatch(/^hit .*"total_tokens":17/)
    expect(await text(counted)).toMatch(/^hit [\s\S]*"total_tokens":17/)
    expect(await text(streamed)).toMatch(/^hit /)
    expect(provider.calls).toHaveLength(2)
  })
})

describe('a replay', () => {
  it('goes at once, an event at a time, or as it came', async () => {
    const sent = chatStream('a b c d').split(/(?<=\n\n)/)
    const provider = fakeProvider(() => sse(...sent))
    const cache = createResponseCache()
    const call = chatCall('hi', {}, { stream: true })
    const chunks = async (fetched: Promise<Response>) => {
      const texts: string[] = []
      for await (const chunk of (await fetched).body ?? []) texts.push(Buffer.from(chunk).toString())
      return texts
    }
    const first = await chunks(cache.fetch({ fetch: provider.fetch })(chatUrl, call))
    // What is there already is handed over at once, whatever pieces it came in.
    expect(first.join('')).toBe(sent.join(''))
    await settled()
    expect(await chunks(cache.fetch({ fetch: provider.fetch })(chatUrl, call))).toEqual([sent.join('')])
    expect(await chunks(cache.fetch({ replay: 'recorded' })(chatUrl, call))).toEqual(sent)
    const began = performance.now()
    expect(await chunks(cache.fetch({ replay: { tokensPerSecond: 100 } })(chatUrl, call))).toEqual(sent)
    expect(performance.now() - began).toBeGreaterThan((sent.length - 1) * 9)
    expect(provider.calls).toHaveLength(1)
    expect(() => cache.fetch({ replay: { tokensPerSecond: 0 } })).toThrow('replay')
  })
})
