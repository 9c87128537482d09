import { createOpenAI as createOpenAI6 } from '@ai-sdk/openai'
import { createOpenAI as createOpenAI5 } from '@ai-sdk/openai-2'
import { createOpenAI as createOpenAI7 } from '@ai-sdk/openai-4'
import { until } from '@evenkeel/test-servers'
import * as ai6 from 'ai'
import * as ai5 from 'ai-5'
import * as ai7 from 'ai-7'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { type AiSdkOptions, aiSdkMiddleware } from '../../src/adapters/ai-sdk/middleware.js'
import { createResponseCache, type ResponseCache } from '../../src/index.js'
import { createSemanticCache, lexicalEmbedder } from '../../src/semantic/index.js'
import { seededRandom } from '../semantic/labelled-set.js'
import { answerText, type StandIn, startStandIn } from './stand-in.js'

interface ProviderRequest {
  readonly prompt?: string
  readonly temperature?: number
  readonly abortSignal?: AbortSignal
  readonly tools?: boolean
  readonly useCache?: boolean
}

interface Answered {
  readonly text: string
  readonly toolCalls: readonly { readonly toolName: string; readonly input: unknown }[]
  readonly finishReason: string
  readonly usage: { readonly totalTokens: number | undefined }
  readonly metadata: unknown
}

type Ai = typeof ai6

/** One interface for all versions. Their calls are the same but their types differ, so it uses the types of one. */
function faceOf(ai: Ai, chat: (url: string) => Parameters<Ai['wrapLanguageModel']>[0]['model']) {
  return (cache: ResponseCache, url: string, options: AiSdkOptions = {}) => {
    const model = ai.wrapLanguageModel({
      model: chat(url),
      middleware: aiSdkMiddleware(cache, options),
    })
    const tools = {
      weather: ai.tool({ inputSchema: z.object({ entryKey: z.string() }) }),
    } as unknown as ai6.ToolSet
    const settings = ({ prompt = 'hi', tools: withTools, useCache, ...more }: ProviderRequest) => ({
      model,
      prompt,
      maxRetries: 0,
      ...more,
      ...(withTools ? { tools } : {}),
      ...(useCache === false ? { providerOptions: { evenkeel: { useCache: false } } } : {}),
    })
    return {
      generate: async (asked: ProviderRequest = {}): Promise<Answered> => {
        const { text, toolCalls, finishReason, usage, providerMetadata } = await ai.generateText(
          settings(asked),
        )
        return { text, toolCalls, finishReason, usage, metadata: providerMetadata?.evenkeel }
      },
      stream: async (
        asked: ProviderRequest = {},
        onText: (text: string) => void = () => {},
      ): Promise<Answered> => {
        const errors: unknown[] = []
        const result = ai.streamText({ ...settings(asked), onError: ({ error }) => void errors.push(error) })
        let text = ''
        for await (const delta of result.textStream) {
          text += delta
          onText(delta)
        }
        if (errors.length > 0) throw errors[0]
        const [toolCalls, finishReason, usage, metadata] = await Promise.all([
          ...([result.toolCalls, result.finishReason, result.usage, result.providerMetadata] as const),
        ])
        return { text, toolCalls, finishReason, usage, metadata: metadata?.evenkeel }
      },
    }
  }
}

const settingsOf = (url: string) => ({ apiKey: 'k', baseURL: `${url}/v1` })
const sdks = {
  'ai 5': faceOf(ai5 as unknown as Ai, (url) => createOpenAI5(settingsOf(url)).chat('m') as never),
  'ai 6': faceOf(ai6, (url) => createOpenAI6(settingsOf(url)).chat('m')),
  'ai 7': faceOf(ai7 as unknown as Ai, (url) => createOpenAI7(settingsOf(url)).chat('m') as never),
}

it('has the type that each version wants', () => {
  const middleware = aiSdkMiddleware(createResponseCache())
  const five: ai5.LanguageModelMiddleware = middleware
  const six: ai6.LanguageModelMiddleware = middleware
  const seven: ai7.LanguageModelMiddleware = middleware
  expect([five, six, seven]).toEqual([middleware, middleware, middleware])
})

describe.each(['ai 5', 'ai 6', 'ai 7'] as const)('the middleware for the AI SDK (%s)', (name) => {
  let provider: StandIn
  let cache: ResponseCache
  let sdk: ReturnType<(typeof sdks)['ai 6']>

  beforeEach(async () => {
    provider = await startStandIn()
    cache = createResponseCache()
    sdk = sdks[name](cache, provider.url)
  })
  afterEach(async () => {
    await cache.close()
    await provider[Symbol.asyncDispose]()
  })

  const stored = (count: number) => until(() => cache.stats().stored === count, 2_000)
  const comparable = ({ metadata: _, ...answer }: Answered) => answer

  it('asks the provider once for equal calls, and says so', async () => {
    const first = await sdk.generate()
    const second = await sdk.generate()
    expect(provider.calls).toHaveLength(1)
    expect(first.text).toBe(answerText)
    expect(first.metadata).toBeUndefined()
    expect(comparable(second)).toEqual(comparable(first))
    expect(second.metadata).toEqual({ cache: 'hit', ageMs: expect.any(Number) })
  })

  it('keeps a stream and gives it again, tool calls and usage included', async () => {
    for (const tools of [false, true]) {
      const first = await sdk.stream({ tools })
      await stored(tools ? 2 : 1)
      const second = await sdk.stream({ tools })
      expect(comparable(second)).toEqual(comparable(first))
      expect(second.metadata).toMatchObject({ cache: 'hit' })
      expect(second.usage.totalTokens).toBe(17)
      if (tools)
        expect(second.toolCalls).toMatchObject([{ toolName: 'weather', input: { entryKey: 'Rome' } }])
    }
    expect(provider.calls).toHaveLength(2)
  })

  it.each([false, true])(
    'answers a stream from a result and the other way round (tools: %s)',
    async (tools) => {
      const generated = await sdk.generate({ tools })
      const streamed = await sdk.stream({ tools })
      expect(comparable(streamed)).toMatchObject({
        text: generated.text,
        finishReason: generated.finishReason,
      })
      expect(streamed.toolCalls.map(({ input }) => input)).toEqual(
        generated.toolCalls.map(({ input }) => input),
      )
      const first = await sdk.stream({ tools, prompt: 'other way' })
      await stored(2)
      const second = await sdk.generate({ tools, prompt: 'other way' })
      expect(second.text).toBe(first.text)
      expect(second.toolCalls.map(({ input }) => input)).toEqual(first.toolCalls.map(({ input }) => input))
      expect(provider.calls).toHaveLength(2)
    },
  )

  it('tells apart what changes the answer', async () => {
    await sdk.generate()
    await sdk.generate({ temperature: 0.5 })
    await sdk.generate({ prompt: 'ho' })
    await sdk.generate({ tools: true })
    expect(provider.calls).toHaveLength(4)
  })

  it('passes by when asked to', async () => {
    await sdk.generate({ useCache: false })
    await sdk.generate({ useCache: false })
    await sdk.stream({ useCache: false })
    expect(provider.calls).toHaveLength(3)
    expect(cache.stats().stored).toBe(0)
  })

  it.each(['length', 'truncated', 'error-inside'] as const)(
    'never keeps a stream that is %s',
    async (mode) => {
      provider.mode = mode
      await sdk.stream().catch(() => {})
      await sdk.stream().catch(() => {})
      expect(provider.calls).toHaveLength(2)
      expect(cache.stats().stored).toBe(0)
    },
  )

  it('never keeps a result that was cut by its length, nor an error', async () => {
    provider.mode = 'length'
    await sdk.generate()
    await sdk.generate()
    provider.mode = 'failing'
    await expect(sdk.generate({ prompt: 'other' })).rejects.toThrow()
    await expect(sdk.stream({ prompt: 'other' })).rejects.toThrow()
    provider.mode = 'whole'
    expect((await sdk.generate({ prompt: 'other' })).text).toBe(answerText)
    expect(provider.calls).toHaveLength(5)
  })

  it('shares one call among equal ones at the same time, streams too', async () => {
    provider.delayMs = 15
    const results = await Promise.all(Array.from({ length: 10 }, () => sdk.generate()))
    const streams = await Promise.all(Array.from({ length: 10 }, () => sdk.stream({ prompt: 'stream' })))
    expect(new Set([...results, ...streams].map(({ text }) => text))).toEqual(new Set([answerText]))
    expect(provider.calls).toHaveLength(2)
    expect(
      streams.filter(({ metadata }) => (metadata as { cache?: string } | undefined)?.cache === 'coalesced'),
    ).toHaveLength(9)
  })

  it('gives a late joiner what has passed, then lets it follow', async () => {
    provider.delayMs = 30
    const seen: string[] = []
    let second: Promise<Answered> | undefined
    const first = sdk.stream({}, (text) => {
      seen.push(text)
      if (seen.length === 2) second = sdk.stream()
    })
    expect((await first).text).toBe(answerText)
    expect((await second)?.text).toBe(answerText)
    expect(provider.calls).toHaveLength(1)
  })

  it('ends the caller that aborts, and finishes the answer for the others', async () => {
    provider.delayMs = 20
    const controller = new AbortController()
    const leaving = sdk.stream({ abortSignal: controller.signal }, () => controller.abort())
    const staying = sdk.stream()
    await leaving.catch(() => {})
    expect((await staying).text).toBe(answerText)
    await stored(1)
    const generating = new AbortController()
    const left = sdk.generate({ prompt: 'two', abortSignal: generating.signal })
    setTimeout(() => generating.abort(), 5)
    await expect(left).rejects.toThrow()
    await stored(2)
    expect(provider.calls).toHaveLength(2)
  })

  it('ends a call that hangs after its caller has left, so that nobody joins it for ever', async () => {
    await cache.close()
    cache = createResponseCache({ onAbandon: 'cancel' })
    sdk = sdks[name](cache, provider.url)
    provider.delayMs = 60_000
    for (const ask of [sdk.generate, sdk.stream]) {
      const controller = new AbortController()
      const asked = provider.calls.length
      const left = ask({ abortSignal: controller.signal }).catch(() => {})
      await until(() => provider.calls.length === asked + 1, 2_000)
      controller.abort()
      await left
      await until(() => cache.stats().errors === asked + 1, 2_000)
    }
    provider.delayMs = 0
    expect((await sdk.generate()).text).toBe(answerText)
    expect(provider.calls).toHaveLength(3)
  })

  it('passes a stream on that is too large to keep', async () => {
    sdk = sdks[name](cache, provider.url, { maxAnswerBytes: 200 })
    expect((await sdk.stream()).text).toBe(answerText)
    expect((await sdk.stream()).text).toBe(answerText)
    expect(provider.calls).toHaveLength(2)
    expect(cache.stats().stored).toBe(0)
  })
})

describe.each(['ai 5', 'ai 6', 'ai 7'] as const)('answers in other words (%s)', (name) => {
  it('are served to generate and to stream once they are proved, and say so', async () => {
    await using provider = await startStandIn()
    const cache = createResponseCache()
    const semantic = createSemanticCache({
      embed: lexicalEmbedder(),
      model: 'lexical',
      maxErrorRate: 0.2,
      confidence: 0.9,
      auditRate: 0.001,
      random: seededRandom(1),
    })
    const sdk = sdks[name](cache, provider.url, { semantic })
    for (let at = 0; semantic.stats().certificate === undefined && at < 60; at++) {
      // Every other time as a stream, so that both ways learn.
      const ask = at % 2 === 0 ? sdk.generate : sdk.stream
      for (const prompt of [
        `How to reset account ${at}?`,
        `Please tell me in short words how to reset account ${at}`,
      ]) {
        await ask({ prompt })
        await until(() => cache.stats().stored === provider.calls.length, 2_000)
        // What follows the storing in the same turn is done.
        await new Promise(setImmediate)
        await semantic.settled()
      }
    }
    expect(semantic.stats().certificate).toBeDefined()
    await sdk.generate({ prompt: 'How to order a new card for the office?' })
    await semantic.settled()
    const asked = provider.calls.length
    const prompt = 'Please tell me in short words how to order a new card for the office'
    for (const answer of [await sdk.generate({ prompt }), await sdk.stream({ prompt })]) {
      expect(answer.text).toBe(answerText)
      expect(answer.finishReason).toBe('stop')
      expect(answer.metadata).toMatchObject({ cache: 'semantic', hitId: expect.any(String) })
    }
    expect(provider.calls).toHaveLength(asked)
    await sdk.generate({ prompt, temperature: 0.1 })
    expect(provider.calls).toHaveLength(asked + 1)
    await semantic.close()
    await cache.close()
  })
})

it('says at once what is wrong with its cache', () => {
  expect(() => aiSdkMiddleware({} as ResponseCache)).toThrow(
    expect.objectContaining({ code: 'INVALID_OPTION', field: 'cache' }),
  )
})
