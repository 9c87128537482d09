import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { forms, type Project, project } from './harness/index.js'
import { answer, right, type StandInProvider, startProvider, tryOut } from './stand-in-provider.js'

const langchain = tryOut(`
  import { ChatOpenAI } from '@langchain/openai'
  ---
  const configuration = { baseURL: url + '/v1', fetch: fetched }
  const model = new ChatOpenAI({ model: 'm', apiKey: 'k', maxRetries: 0, configuration })
  const ask = async (prompt: string, streamed: boolean, signal?: AbortSignal) => {
    if (!streamed) return (await model.invoke(prompt, { signal })).text
    let text = ''
    for await (const chunk of await model.stream(prompt, { signal })) text += chunk.text
    return text
  }`)

const langchainCache = `
  import { ChatOpenAI } from '@langchain/openai'
  import { createResponseCache } from '@evenkeel/llm-response-cache'
  import { langchainCache } from '@evenkeel/llm-response-cache/langchain'
  const cache = createResponseCache()
  const configuration = { baseURL: process.env.PROVIDER_URL + '/v1' }
  const model = new ChatOpenAI({ model: 'm', apiKey: 'k', maxRetries: 0, configuration, cache: langchainCache(cache) })
  const texts = [(await model.invoke('three')).text, (await model.invoke('three')).text]
  const { hits } = cache.stats()
  await cache.close()
  console.log(JSON.stringify({ texts, hits }))`

const mistral = tryOut(`
  import { Mistral, HTTPClient } from '@mistralai/mistralai'
  ---
  const httpClient = new HTTPClient({ fetcher: fetched })
  const client = new Mistral({ apiKey: 'k', serverURL: url, httpClient, retryConfig: { strategy: 'none' } })
  const ask = async (content: string, streamed: boolean, signal?: AbortSignal) => {
    const asked = { model: 'm', messages: [{ role: 'user' as const, content }] }
    const options = signal === undefined ? {} : { fetchOptions: { signal } }
    if (!streamed) return (await client.chat.complete(asked, options)).choices?.[0]?.message?.content
    let text = ''
    for await (const event of await client.chat.stream(asked, options)) {
      text += event.data.choices[0]?.delta.content ?? ''
    }
    return text
  }`)

const ollama = tryOut(
  `
  import { Ollama } from 'ollama'
  ---
  const client = new Ollama({ host: url, fetch: fetched })
  const ask = async (content: string, streamed: boolean) => {
    const asked = { model: 'm', messages: [{ role: 'user', content }] }
    if (!streamed) return (await client.chat({ ...asked, stream: false })).message.content
    let text = ''
    for await (const piece of await client.chat({ ...asked, stream: true })) text += piece.message.content
    return text
  }`,
  // Its client can only abort all of its streams together, and no single call.
  { abort: false },
)

describe('LangChain and the SDKs of Mistral and Ollama behind the cache', () => {
  let provider: StandInProvider
  let app: Project

  beforeAll(async () => {
    provider = await startProvider()
    app = await project('cache-others', {
      packages: ['@evenkeel/llm-response-cache'],
      dependencies: {
        '@langchain/openai': '1.5.8',
        '@langchain/core': '1.2.13',
        '@mistralai/mistralai': '2.7.0',
        ollama: '0.6.4',
      },
    })
  })
  afterAll(() => provider[Symbol.asyncDispose]())

  const sdks = { langchain, mistral }
  const cases = Object.entries(sdks).flatMap(([name, script]) =>
    forms.map((form) => ({ name, form, script })),
  )

  it.each(cases)('$name, $form', async ({ form, script }) => {
    const held = provider.callsFor('hold')
    const env = { PROVIDER_URL: provider.url }
    const { value } = await app.run(script ?? '', {
      form: form === 'cjs' ? 'cjs' : 'esm',
      env,
      stderr: 'allowed',
    })
    expect(value).toEqual({ ...right, left: expect.stringMatching(/Error$/), stayed: answer })
    expect(provider.callsFor('hold') - held).toBe(1)
  })

  it.each(forms)('ollama, whose streams are lines, %s', async (form) => {
    const { value } = await app.run(ollama, { form, env: { PROVIDER_URL: provider.url } })
    expect(value).toEqual(right)
  })

  it.each(forms)('LangChain’s own cache, %s', async (form) => {
    const { value } = await app.run(langchainCache, { form, env: { PROVIDER_URL: provider.url } })
    expect(value).toEqual({ texts: [answer, answer], hits: 1 })
  })
})
