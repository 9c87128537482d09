import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { forms, type Project, project } from './harness/index.js'
import { answer, right, type StandInProvider, startProvider, tryOut } from './stand-in-provider.js'

const ask = (model: string) => `
  const ask = async (prompt: string, streamed: boolean, abortSignal?: AbortSignal) => {
    const asked = { model: ${model}, prompt, abortSignal, maxRetries: 0 }
    if (!streamed) return (await generateText(asked)).text
    let text = ''
    for await (const delta of streamText(asked).textStream) text += delta
    return text
  }`

/** By a protocol: `chat`, or `responses`, which the provider speaks by default. */
const byFetch = (version: number, provider: string, protocol: string) =>
  tryOut(`
  import { generateText, streamText } from 'ai-${version}'
  import { createOpenAI } from '${provider}'
  ---
  const openai = createOpenAI({ apiKey: 'k', baseURL: url + '/v1', fetch: fetched })
  ${ask(`openai.${protocol}('m')`)}`)

const byMiddleware = (version: number, provider: string) => `
  import { generateText, streamText, wrapLanguageModel } from 'ai-${version}'
  import { createOpenAI } from '${provider}'
  import { createResponseCache } from '@evenkeel/llm-response-cache'
  import { aiSdkMiddleware } from '@evenkeel/llm-response-cache/ai-sdk'
  const cache = createResponseCache()
  const openai = createOpenAI({ apiKey: 'k', baseURL: process.env.PROVIDER_URL + '/v1' })
  const model = wrapLanguageModel({ model: openai.chat('m'), middleware: aiSdkMiddleware(cache) })
  ${ask('model')}
  const texts = [await ask('three', true), await ask('three', true), await ask('three', false)]
  const { hits, misses } = cache.stats()
  await cache.close()
  console.log(JSON.stringify({ texts, hits, misses }))`

describe('the AI SDK behind the cache', () => {
  let provider: StandInProvider
  let app: Project

  beforeAll(async () => {
    provider = await startProvider()
    app = await project('cache-ai-sdk', {
      packages: ['@evenkeel/llm-response-cache'],
      dependencies: {
        'ai-5': 'npm:ai@5.0.277',
        'ai-6': 'npm:ai@6.0.326',
        'ai-7': 'npm:ai@7.0.173',
        zod: '4.6.7',
        'openai-for-5': 'npm:@ai-sdk/openai@2.0.131',
        'openai-for-6': 'npm:@ai-sdk/openai@3.0.141',
        'openai-for-7': 'npm:@ai-sdk/openai@4.0.118',
      },
    })
  })
  afterAll(() => provider[Symbol.asyncDispose]())

  const versions = [5, 6, 7].flatMap((version) => forms.map((form) => [version, form] as const))

  it.each(versions)('ai %i by its fetch, %s', async (version, form) => {
    const env = { PROVIDER_URL: provider.url }
    for (const protocol of ['chat', 'responses']) {
      const held = provider.callsFor('hold')
      const script = byFetch(version, `openai-for-${version}`, protocol)
      const { value } = await app.run(script, { form, env, stderr: 'allowed' })
      expect(value).toEqual({ ...right, left: expect.stringMatching(/Error$/), stayed: answer })
      expect(provider.callsFor('hold') - held).toBe(1)
    }
  })

  it.each(versions)('ai %i by the middleware, %s', async (version, form) => {
    const script = byMiddleware(version, `openai-for-${version}`)
    const { value } = await app.run(script, { form, env: { PROVIDER_URL: provider.url }, stderr: 'allowed' })
    expect(value).toEqual({ texts: [answer, answer, answer], hits: 2, misses: 1 })
  })
})
