import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { answerTo, promptOf, type Said } from '../src/decoder/text.js'
import { type Running, start } from '../src/demo/processes.js'
import { createApp } from '../src/server/app.js'
import { createGateway, type Gateway } from '../src/server/gateway.js'

const built = new URL('../dist/', import.meta.url)
const tokens = 12

describe('the gateway', () => {
  let decoder: Running
  let gateway: Gateway
  let app: ReturnType<typeof createApp>

  beforeAll(async () => {
    decoder = await start('decoder', 'decoder', ['--pace', '1'], {}, built)
    gateway = await createGateway({
      ...{ redisUrl: undefined, namespace: 'test', instances: 1 },
      ...{ requestsPerMinute: 10, tokensPerMinute: 100_000, operatorToken: 'operator' },
      nodeHosts: ['127.0.0.1'],
    })
    app = createApp(gateway)
    await gateway.pool.register({ id: 'decoder', endpoint: decoder.url, capacity: 8 })
  })

  afterAll(async () => {
    await gateway?.close()
    await decoder?.stop()
  })

  const openai = (apiKey: string) =>
    new OpenAI({
      ...{ apiKey, baseURL: 'http://gateway.test/v1', maxRetries: 0 },
      fetch: async (url, init) => app.request(String(url), init),
    })
  const post = (body: unknown, headers: Record<string, string> = {}) =>
    app.request('/v1/chat/completions', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })
  const answered = (messages: readonly Said[]) => [...answerTo(promptOf(messages), tokens)].join('')
  const user = (content: string) => ({ role: 'user' as const, content })

  it('keeps a conversation whose answers are streamed and not', async () => {
    const client = openai('talker')
    const said: Said[] = []
    for (const [index, stream] of [false, true, true, false].entries()) {
      const question = user(`turn ${index}`)
      const request = { model: 'demo', messages: [question], max_tokens: tokens }
      const options = { headers: { 'x-conversation-id': 'talk' } }
      let text = ''
      if (stream) {
        const chunks = await client.chat.completions.create({ ...request, stream: true }, options)
        for await (const { choices } of chunks) text += choices[0]?.delta.content ?? ''
      } else {
        const { choices } = await client.chat.completions.create(request, options)
        text = choices[0]?.message.content ?? ''
      }
      said.push(question)
      expect(text).toBe(answered(said))
      said.push({ role: 'assistant', content: text })
    }
  })

  it("keeps one key's conversations from another's", async () => {
    const ask = (key: string) =>
      openai(key).chat.completions.create(
        { model: 'demo', messages: [user(`I am ${key}`)], max_tokens: tokens },
        { headers: { 'x-conversation-id': 'same-name' } },
      )
    await ask('alice')
    const { choices } = await ask('bob')
    expect(choices[0]?.message.content).toBe(answered([user('I am bob')]))
  })

  it('answers the second of equal requests from the cache', async () => {
    const request = { model: 'demo', messages: [user('cached?')], max_tokens: tokens }
    const first = await openai('one').chat.completions.create(request).withResponse()
    const second = await openai('two').chat.completions.create(request).withResponse()
    expect(first.response.headers.get('x-evenkeel-cache')).toBe('miss')
    expect(second.response.headers.get('x-evenkeel-cache')).toBe('hit')
    expect(second.data).toEqual(first.data)
  })

  it("gives embeddings as OpenAI's client asks for them", async () => {
    const { data } = await openai('indexer').embeddings.create({
      model: 'demo-embed',
      input: ['a', 'b', 'a'],
    })
    expect(data).toHaveLength(3)
    expect(data[0]?.embedding).toHaveLength(8)
    expect(data[2]?.embedding).toEqual(data[0]?.embedding)
    expect(data[1]?.embedding).not.toEqual(data[0]?.embedding)
  })

  it('refuses with 429 and says when to come back', async () => {
    const body = { model: 'demo', messages: [user('again')], max_tokens: tokens }
    const authorization = 'Bearer greedy'
    for (let count = 0; count < 10; count++) expect((await post(body, { authorization })).status).toBe(200)
    const refused = await post(body, { authorization })
    expect(refused.status).toBe(429)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    expect((await post(body, { authorization: 'Bearer other' })).status).toBe(200)
  })

  it.each([
    ['{'],
    [{}],
    [{ messages: 'hello' }],
    [{ messages: [null] }],
    [{ messages: [], max_tokens: 'many' }],
  ])('refuses %j with 400', async (body) => {
    const response = await post(body, { authorization: `Bearer bad ${JSON.stringify(body)}` })
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ error: { type: 'invalid_request_error' } })
  })

  it('tells its health, and its counts to Prometheus', async () => {
    const health = await app.request('/health')
    expect(await health.json()).toMatchObject({
      status: 'healthy',
      redis: 'none',
      nodes: [{ id: 'decoder' }],
    })
    const metrics = await app.request('/metrics')
    expect(metrics.headers.get('content-type')).toContain('text/plain; version=0.0.4')
    const text = await metrics.text()
    expect(text).toMatch(/^gateway_requests_total\{route="chat",outcome="hit".*\} [1-9]/m)
    expect(text).toMatch(/^gateway_request_duration_bucket\{route="chat".*le="0\.5"\} [1-9]/m)
    expect(text).not.toContain('Bearer')
    expect(text).not.toContain('cached?')
  })

  it('shows its cache to the operator, and clears it for nobody else', async () => {
    const ask = (method: string, path: string, token = 'operator') =>
      app.request(path, { method, headers: { authorization: `Bearer ${token}` } })
    expect((await ask('GET', '/cache/stats', 'other')).status).toBe(403)
    expect((await ask('DELETE', '/cache', '')).status).toBe(403)
    expect(await (await ask('GET', '/cache/stats')).json()).toMatchObject({
      llm_response: { stored: expect.any(Number), moneySaved: expect.any(Number) },
    })
    expect(await (await ask('DELETE', '/cache')).json()).toEqual({ cleared: { llm_response: 'all' } })
  })
})
