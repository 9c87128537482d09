import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { forms, type Project, project } from './harness/index.js'
import { answer, right, type StandInProvider, startProvider, tryOut } from './stand-in-provider.js'

const ask = `
  const ask = async (content: string, streamed: boolean, signal?: AbortSignal) => {
    const asked = { model: 'm', max_tokens: 100, messages: [{ role: 'user' as const, content }] }
    if (!streamed) {
      const [block] = (await client.messages.create(asked, { signal })).content
      return block?.type === 'text' ? block.text : undefined
    }
    let text = ''
    for await (const event of await client.messages.create({ ...asked, stream: true }, { signal })) {
      if (event.type === 'content_block_delta' && event.delta.type === 'text_delta') text += event.delta.text
    }
    return text
  }`

const byFetch = tryOut(`
  import Anthropic from '@anthropic-ai/sdk'
  ---
  const client = new Anthropic({ apiKey: 'k', baseURL: url, maxRetries: 0, fetch: fetched })
  ${ask}`)

const byMiddleware = `
  import Anthropic from '@anthropic-ai/sdk'
  import { createResponseCache } from '@evenkeel/llm-response-cache'
  import { anthropicMiddleware } from '@evenkeel/llm-response-cache/anthropic'
  const cache = createResponseCache()
  const middleware = [anthropicMiddleware(cache)]
  const client = new Anthropic({ apiKey: 'k', baseURL: process.env.PROVIDER_URL, maxRetries: 0, middleware })
  ${ask}
  const texts = [await ask('three', false), await ask('three', false), await ask('three', true)]
  const { hits, misses } = cache.stats()
  await cache.close()
  console.log(JSON.stringify({ texts, hits, misses }))`

describe('the SDK of Anthropic behind the cache', () => {
  let provider: StandInProvider
  let app: Project

  beforeAll(async () => {
    provider = await startProvider()
    app = await project('cache-anthropic', {
      packages: ['@evenkeel/llm-response-cache'],
      dependencies: { '@anthropic-ai/sdk': '1.14.0' },
    })
  })
  afterAll(() => provider[Symbol.asyncDispose]())

  it.each(forms)('by its fetch, %s', async (form) => {
    const held = provider.callsFor('hold')
    const { value } = await app.run(byFetch, { form, env: { PROVIDER_URL: provider.url } })
    expect(value).toEqual({ ...right, left: expect.stringMatching(/Error$/), stayed: answer })
    expect(provider.callsFor('hold') - held).toBe(1)
  })

  it.each(forms)('by its middleware, %s', async (form) => {
    const { value } = await app.run(byMiddleware, { form, env: { PROVIDER_URL: provider.url } })
    expect(value).toEqual({ texts: [answer, answer, answer], hits: 2, misses: 1 })
  })
})
