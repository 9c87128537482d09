import Anthropic from '@anthropic-ai/sdk'
import { until } from '@evenkeel/test-servers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { anthropicMiddleware } from '../../src/adapters/anthropic.js'
import { createResponseCache, type ResponseCache } from '../../src/index.js'
import { answerText, type StandIn, startStandIn } from './stand-in.js'

const ask = { model: 'claude', max_tokens: 100, messages: [{ role: 'user' as const, content: 'hi' }] }
const tools: Anthropic.Tool[] = [
  { name: 'weather', input_schema: { type: 'object', properties: { entryKey: { type: 'string' } } } },
]

describe.each(['middleware', 'fetch'] as const)('the Anthropic SDK by its %s option', (way) => {
  let provider: StandIn
  let cache: ResponseCache
  let anthropic: Anthropic

  beforeEach(async () => {
    provider = await startStandIn()
    cache = createResponseCache()
    const shared = { apiKey: 'k', baseURL: provider.url, maxRetries: 0 }
    anthropic =
      way === 'middleware'
        ? new Anthropic({ ...shared, middleware: [anthropicMiddleware(cache)] })
        : new Anthropic({ ...shared, fetch: cache.fetch() })
  })
  afterEach(async () => {
    await cache.close()
    await provider[Symbol.asyncDispose]()
  })

  const stored = (count: number) => until(() => cache.stats().stored === count, 2_000)

  it('asks the provider once for equal messages', async () => {
    const first = await anthropic.messages.create(ask)
    await stored(1)
    const { data, response } = await anthropic.messages.create(ask).withResponse()
    expect(data).toEqual(first)
    expect(response.headers.get('x-evenkeel-cache')).toBe('hit')
    expect(provider.calls).toHaveLength(1)
    expect(cache.stats()).toMatchObject({ hits: 1, misses: 1, tokensSaved: 17 })
  })

  it('keeps a stream event by event, tools too', async () => {
    for (const [at, request] of [ask, { ...ask, tools }].entries()) {
      const runs = []
      for (let run = 0; run < 2; run++) {
        const stream = anthropic.messages.stream(request)
        const events: unknown[] = []
        for await (const event of stream) events.push(structuredClone(event))
        runs.push({ events, message: await stream.finalMessage() })
        await stored(at + 1)
      }
      expect(runs[1]?.events).toEqual(runs[0]?.events)
      expect(runs[1]?.message.content).toEqual(runs[0]?.message.content)
    }
    expect(provider.calls).toHaveLength(2)
    const last = await anthropic.messages.stream({ ...ask, tools }).finalMessage()
    expect(last.content).toMatchObject([{ type: 'tool_use', input: { entryKey: 'Rome' } }])
  })

  it.each(['length', 'truncated', 'error-inside'] as const)(
    'never keeps a stream that is %s',
    async (mode) => {
      provider.mode = mode
      for (let run = 0; run < 2; run++)
        await anthropic.messages
          .stream(ask)
          .finalMessage()
          .catch(() => {})
      expect(provider.calls).toHaveLength(2)
      expect(cache.stats().stored).toBe(0)
    },
  )

  it('shares one call among equal ones at the same time', async () => {
    provider.delayMs = 30
    const answers = await Promise.all(Array.from({ length: 10 }, () => anthropic.messages.create(ask)))
    expect(provider.calls).toHaveLength(1)
    for (const { content } of answers) expect(content).toEqual([{ type: 'text', text: answerText }])
  })

  it('lets the SDK see errors as they are, and retry them', async () => {
    provider.mode = 'failing'
    await expect(anthropic.messages.create(ask)).rejects.toMatchObject({ status: 500 })
    const retrying = anthropic.withOptions({ maxRetries: 1 })
    await expect(retrying.messages.create(ask)).rejects.toMatchObject({ status: 500 })
    expect(provider.calls).toHaveLength(3)
    provider.mode = 'whole'
    expect((await anthropic.messages.create(ask)).content).toEqual([{ type: 'text', text: answerText }])
  })

  it('ends the caller that aborts, and finishes the answer for the next one', async () => {
    provider.delayMs = 20
    const controller = new AbortController()
    const left = anthropic.messages.create(ask, { signal: controller.signal })
    setTimeout(() => controller.abort(), 5)
    await expect(left).rejects.toThrow()
    expect((await anthropic.messages.create(ask)).content).toEqual([{ type: 'text', text: answerText }])
    expect(provider.calls).toHaveLength(1)
  })
})

it('leaves alone what the SDK asks for itself', async () => {
  const cache = createResponseCache()
  const middleware = anthropicMiddleware(cache)
  const request = { url: 'https://a.example/v1/messages', method: 'POST', body: '{}', headers: new Headers() }
  for (let run = 0; run < 2; run++) {
    const response = await middleware(request, async () => new Response('token'), { options: undefined })
    expect(await response.text()).toBe('token')
  }
  expect(cache.stats()).toMatchObject({ hits: 0, misses: 0, bypassed: 0 })
  await cache.close()
})

it('says at once what is wrong with its cache', () => {
  expect(() => anthropicMiddleware({} as ResponseCache)).toThrow(
    expect.objectContaining({ code: 'INVALID_OPTION', field: 'cache' }),
  )
})
