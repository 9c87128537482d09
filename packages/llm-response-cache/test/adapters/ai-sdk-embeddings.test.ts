import { setTimeout as pause } from 'node:timers/promises'
import * as ai6 from 'ai'
import * as ai7 from 'ai-7'
import { describe, expect, it } from 'vitest'
import { aiSdkEmbeddingMiddleware } from '../../src/adapters/ai-sdk/index.js'
import { createResponseCache } from '../../src/index.js'

interface Embed {
  readonly values: string[]
  readonly providerOptions?: object | undefined
  readonly abortSignal?: AbortSignal | undefined
}

/** A model of the SDK's own interface: a text's vector is its length. */
function modelOf(version: 'v3' | 'v4') {
  const calls: Embed[] = []
  let before = async () => {}
  const model = {
    specificationVersion: version,
    provider: 'stand-in',
    modelId: 'lengths',
    maxEmbeddingsPerCall: 3,
    supportsParallelCalls: true,
    doEmbed: async (params: Embed) => {
      calls.push(params)
      await before()
      return {
        embeddings: params.values.map((text) => [text.length, 0.5]),
        usage: { tokens: params.values.length },
        providerMetadata: { standIn: { call: calls.length } },
        response: { headers: { 'x-call': String(calls.length) } },
        warnings: [],
      }
    },
  }
  return { model, calls, wait: (wait: () => Promise<void>) => (before = wait) }
}

describe.each([
  ['ai 6', ai6, 'v3'],
  ['ai 7', ai7 as unknown as typeof ai6, 'v4'],
] as const)('embeddings of %s', (_, ai, version) => {
  const faceOf = (options: Parameters<typeof aiSdkEmbeddingMiddleware>[1] = {}) => {
    const standIn = modelOf(version)
    const cache = createResponseCache()
    const model = ai.wrapEmbeddingModel({
      model: standIn.model as unknown as Parameters<typeof ai.wrapEmbeddingModel>[0]['model'],
      middleware: aiSdkEmbeddingMiddleware(cache, options),
    })
    const asked = () => standIn.calls.map(({ values }) => values)
    return { ...standIn, cache, model, asked }
  }

  it('ask for what is not known, text by text, and equal texts once', async () => {
    const { model, asked } = faceOf()
    const first = await ai.embedMany({ model, values: ['a', 'bb', 'a'] })
    expect(first.embeddings).toEqual([
      [1, 0.5],
      [2, 0.5],
      [1, 0.5],
    ])
    expect(asked()).toEqual([['a', 'bb']])
    expect(first.usage).toEqual({ tokens: 2 })
    const second = await ai.embedMany({ model, values: ['ccc', 'bb', 'a'] })
    expect(second.embeddings.map(([length]) => length)).toEqual([3, 2, 1])
    expect(asked()).toEqual([['a', 'bb'], ['ccc']])
    const third = await ai.embed({ model, value: 'ccc' })
    expect(third.embedding).toEqual([3, 0.5])
    expect(third.usage).toEqual({ tokens: 0 })
    expect(third.providerMetadata?.evenkeel).toEqual({ cached: 1, asked: 0 })
    expect(asked()).toHaveLength(2)
  })

  it('tell models and options apart, and pass by what is not known to be about each text alike', async () => {
    const { model, asked, cache } = faceOf()
    const providerOptions = (options: Record<string, ai6.JSONValue>) => ({ standIn: options })
    await ai.embed({ model, value: 'a' })
    await ai.embed({ model, value: 'a', providerOptions: providerOptions({ dimensions: 2 }) })
    await ai.embed({ model, value: 'a', providerOptions: providerOptions({ dimensions: 2 }) })
    expect(asked()).toHaveLength(2)
    for (const options of [{ content: [[{ text: 'a picture' }]] }, { dimensions: [2] }]) {
      for (let count = 0; count < 2; count++) {
        await ai.embed({ model, value: 'a', providerOptions: providerOptions(options as never) })
      }
    }
    expect(asked()).toHaveLength(6)
    await ai.embed({ model, value: 'a', providerOptions: { evenkeel: { useCache: false } } })
    expect(asked()).toHaveLength(7)
    expect(cache.stats().bypassed).toBe(5)
    const misspelt = ai.embed({ model, value: 'a', providerOptions: { evenkeel: { tennant: 'x' } } })
    await expect(misspelt).rejects.toThrow(/did you mean 'tenant'/)
    await ai.embed({ model, value: 'a', providerOptions: { evenkeel: { tenant: 'another' } } })
    expect(asked()).toHaveLength(8)
  })

  it('share a call among those who ask at once; one who leaves ends his wait alone', async () => {
    const { model, asked, wait, calls } = faceOf()
    let goOn = () => {}
    wait(() => new Promise((resolve) => (goOn = resolve)))
    const leaving = new AbortController()
    const left = ai.embed({ model, value: 'a', abortSignal: leaving.signal, maxRetries: 0 })
    left.catch(() => {})
    while (calls.length === 0) await pause(1)
    const other = ai.embed({ model, value: 'a', maxRetries: 0 })
    leaving.abort()
    await expect(left).rejects.toThrow(/abort/)
    expect(calls[0]?.abortSignal).toBeUndefined()
    goOn()
    expect((await other).embedding).toEqual([1, 0.5])
    expect(asked()).toHaveLength(1)
  })

  it('tell a failure to every caller, and keep nothing of it', async () => {
    const { model, asked, wait } = faceOf({ ttl: '1m' })
    wait(() => Promise.reject(new Error('no more')))
    await expect(ai.embed({ model, value: 'a', maxRetries: 0 })).rejects.toThrow('no more')
    wait(async () => {})
    expect((await ai.embed({ model, value: 'a' })).embedding).toEqual([1, 0.5])
    expect(asked()).toHaveLength(2)
  })
})

it('an embedding middleware refuses what is no cache, and options that are none', () => {
  expect(() => aiSdkEmbeddingMiddleware({} as never)).toThrow(/^cache: expected/)
  expect(() => aiSdkEmbeddingMiddleware(createResponseCache(), { ttl: -1 })).toThrow(/^ttl: expected/)
  expect(() => aiSdkEmbeddingMiddleware(createResponseCache(), { tll: 1 } as never)).toThrow(/'ttl'/)
})
