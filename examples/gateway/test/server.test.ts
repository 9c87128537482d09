import { once } from 'node:events'
import type { Server } from 'node:http'
import { connect } from 'node:net'
import OpenAI from 'openai'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { answerTo, promptOf, type Said } from '../src/decoder/text.js'
import { type Running, start } from '../src/demo/processes.js'
import { createApp } from '../src/server/app.js'
import type { GatewayEvents } from '../src/server/events.js'
import { createGateway, type Gateway } from '../src/server/gateway.js'
import { createGatewayServer, createOperatorServer, listen } from '../src/server/server.js'

const built = new URL('../dist/', import.meta.url)
const tokens = 12

async function listening(server: Server): Promise<string> {
  return `http://127.0.0.1:${await listen(server)}`
}

describe('the gateway', () => {
  let decoder: Running
  let gateway: Gateway
  let server: Server
  let operators: Server
  let url: string

  beforeAll(async () => {
    decoder = await start('decoder', 'decoder', ['--pace', '1'], {}, built)
    gateway = await createGateway({
      requestsPerMinute: 10,
      tokensPerMinute: 20_000,
      maxOutputTokens: 1_000,
      maxBodyBytes: 100_000,
      operatorToken: 'operator',
      nodeHosts: ['127.0.0.1'],
    })
    // `maxWaitMs` is not set here, because on a busy machine the gateway would refuse requests. Another test covers it.
    server = createGatewayServer(gateway)
    operators = createOperatorServer(gateway)
    url = await listening(server)
    await gateway.pool.register({ id: 'decoder', endpoint: decoder.url, capacity: 8 })
  })

  afterAll(async () => {
    server?.closeAllConnections()
    server?.close()
    operators?.close()
    await gateway?.close()
    await decoder?.stop()
  })

  const openai = (apiKey: string) => new OpenAI({ apiKey, baseURL: `${url}/v1`, maxRetries: 0 })
  const post = (body: unknown, headers: Record<string, string> = {}, path = '/v1/chat/completions') =>
    fetch(`${url}${path}`, {
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

  it("answers the second of a key's equal requests from the cache, and another key's not", async () => {
    const request = { model: 'demo', messages: [user('cached?')], max_tokens: tokens }
    const first = await openai('one').chat.completions.create(request).withResponse()
    const second = await openai('one').chat.completions.create(request).withResponse()
    const other = await openai('two').chat.completions.create(request).withResponse()
    expect(first.response.headers.get('x-evenkeel-cache')).toBe('miss')
    expect(second.response.headers.get('x-evenkeel-cache')).toBe('hit')
    expect(second.data).toEqual(first.data)
    expect(other.response.headers.get('x-evenkeel-cache')).toBe('miss')
  })

  it("does not let a caller look into the cache by its request's own headers", async () => {
    const request = { model: 'demo', messages: [user('asked by one')], max_tokens: tokens }
    await openai('one').chat.completions.create(request)
    const probe = await post(request, { authorization: 'Bearer spy', 'cache-control': 'only-if-cached' })
    expect([probe.status, probe.headers.get('x-evenkeel-cache')]).toEqual([200, 'miss'])
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

  it('takes no request without a key', async () => {
    const refused = await post({ model: 'demo', messages: [user('who?')] })
    expect(refused.status).toBe(401)
    expect(await refused.json()).toMatchObject({
      error: { type: 'invalid_request_error', message: expect.stringContaining('API key'), param: null },
    })
  })

  const chat = { model: 'demo', messages: [user('hello')] }
  it.each([
    ['{', null, null],
    ['[1]', null, null],
    [{ messages: [user('hello')] }, null, null],
    [{ model: 7, messages: [user('hello')] }, 'model', 'invalid_type'],
    [{ model: 'demo' }, 'messages', 'missing_required_parameter'],
    [{ model: 'demo', messages: 'hello' }, 'messages', 'invalid_type'],
    [{ model: 'demo', messages: [] }, 'messages', 'empty_array'],
    [{ model: 'demo', messages: [null] }, 'messages[0]', 'invalid_type'],
    [{ model: 'demo', messages: [{ role: 'user' }] }, 'messages[0].content', 'missing_required_parameter'],
    [{ model: 'demo', messages: [{ content: 'x' }] }, 'messages[0].role', 'missing_required_parameter'],
    [{ model: 'demo', messages: [{ role: 'king', content: 'x' }] }, 'messages[0].role', 'invalid_value'],
    [{ model: 'demo', messages: [{ role: 'user', content: 7 }] }, 'messages[0].content', 'invalid_type'],
    [{ ...chat, max_tokens: 'many' }, 'max_tokens', 'invalid_type'],
    [{ ...chat, max_tokens: -1 }, 'max_tokens', 'integer_below_min_value'],
    [{ ...chat, max_tokens: 0.5 }, 'max_tokens', 'invalid_type'],
    [{ ...chat, max_completion_tokens: 100_000 }, 'max_completion_tokens', null],
    [{ ...chat, max_tokens: 5, max_completion_tokens: 5 }, 'max_tokens', 'invalid_parameter_combination'],
    [{ ...chat, n: 0 }, 'n', 'integer_below_min_value'],
    [{ ...chat, n: 1_000 }, 'n', 'integer_above_max_value'],
    [{ ...chat, temperature: 3 }, 'temperature', 'decimal_above_max_value'],
    [{ ...chat, stream: 'yes' }, 'stream', 'invalid_type'],
    [{ ...chat, stream_options: { include_usage: true } }, 'stream_options', null],
  ])('refuses %j with 400, as OpenAI does', async (body, param, code) => {
    const response = await post(body, { authorization: `Bearer bad-${Math.random()}` })
    expect(response.status).toBe(400)
    expect(await response.json()).toEqual({
      error: { type: 'invalid_request_error', message: expect.any(String), param, code },
    })
  })

  it.each([[''], [[]], [{}], [['a', 7]], [['']]])('refuses to embed %j', async (input) => {
    const authorization = `Bearer bad-${Math.random()}`
    const response = await post({ model: 'demo-embed', input }, { authorization }, '/v1/embeddings')
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ error: { type: 'invalid_request_error', param: 'input' } })
  })

  it('charges what a request may use: as many answers, as long as they may be', async () => {
    const used = async (more: object) => {
      const { headers } = await post(
        { model: 'demo', messages: [user('how much?')], ...more },
        { authorization: `Bearer budget-${Math.random()}` },
      )
      return 20_000 - Number(headers.get('x-ratelimit-remaining-tokens'))
    }
    const short = await used({ max_tokens: 10 })
    expect(await used({ max_tokens: 110 })).toBe(short + 100)
    expect(await used({ max_completion_tokens: 110 })).toBeGreaterThanOrEqual(short + 100)
    expect(await used({ max_tokens: 110, n: 3 })).toBeGreaterThanOrEqual(short + 320)
    // The gateway sets a bound on requests without one.
    expect(await used({})).toBeGreaterThanOrEqual(short + 1_000)
    const url = `data:image/png;base64,${'A'.repeat(50_000)}`
    const image = { role: 'user', content: [{ type: 'image_url', image_url: { url } }] }
    const shown = await used({ messages: [image], max_tokens: 10 })
    expect(shown).toBeGreaterThanOrEqual(1_600)
    expect(shown).toBeLessThan(1_700)
  })

  it('refuses what the limit can never admit, and not by a wait', async () => {
    const request = { ...chat, max_tokens: 1_000, n: 50 }
    const refused = await post(request, { authorization: 'Bearer rich' })
    expect(refused.status).toBe(400)
    expect(await refused.json()).toMatchObject({ error: { code: 'request_too_large' } })
  })

  it('refuses a body that is too large with 413, told by its length or not', async () => {
    const text = JSON.stringify({ model: 'demo', messages: [user('x'.repeat(200_000))] })
    const authorization = 'Bearer large'
    expect((await post(text, { authorization })).status).toBe(413)
    const { port } = new URL(url)
    const socket = connect(Number(port), '127.0.0.1')
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: ${authorization}\r\ntransfer-encoding: chunked\r\n\r\n`,
    )
    socket.write(`${text.length.toString(16)}\r\n${text}\r\n`)
    const [answer] = await once(socket, 'data')
    socket.destroy()
    expect(String(answer)).toMatch(/^HTTP\/1.1 413 /)
  })

  it('answers what it does not know with 404 and 405, in the same form', async () => {
    const unknown = await fetch(`${url}/v1/nothing`, { method: 'POST' })
    expect(unknown.status).toBe(404)
    expect(await unknown.json()).toMatchObject({ error: { type: 'invalid_request_error' } })
    expect((await fetch(`${url}/v1/chat/completions`)).status).toBe(405)
  })

  it('sheds what it can not serve with 503 and Retry-After, and lives on', async () => {
    gateway.inFlight.count += 1_000
    const shed = await post(chat, { authorization: 'Bearer shed' })
    gateway.inFlight.count -= 1_000
    expect([shed.status, shed.headers.get('retry-after')]).toEqual([503, '1'])
    expect(await shed.json()).toMatchObject({ error: { type: 'server_error', code: 'overloaded' } })
    expect((await fetch(`${url}/health`)).status).toBe(200)
  })

  it('begins nothing for a caller who has left by then', async () => {
    const requests = vi.fn()
    const given = vi.fn()
    gateway.events.on('request', requests)
    const stop = gateway.pool.on('given', given)
    const body = JSON.stringify(chat)
    const heads = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer left\r\ncontent-length: ${body.length}\r\n\r\n${body}`
    const { port } = new URL(url)
    await Promise.all(
      Array.from({ length: 20 }, async () => {
        const socket = connect(Number(port), '127.0.0.1')
        socket.end(heads)
        await once(socket.resume(), 'close')
      }),
    )
    gateway.events.off('request', requests)
    stop()
    expect(requests).not.toHaveBeenCalled()
    expect(given).not.toHaveBeenCalled()
    expect(gateway.inFlight.count).toBe(0)
  })

  it("ends a decoder's work when its caller leaves", async () => {
    const ended = new Promise<string>((resolve) => {
      gateway.events.once('dispatched', ({ outcome }) => resolve(outcome))
    })
    const given = once(gateway.events, 'dispatch')
    const leaving = new AbortController()
    const asked = openai('leaving').chat.completions.create(
      { ...chat, messages: [user('long')], max_tokens: 1_000 },
      { signal: leaving.signal },
    )
    await given
    leaving.abort()
    await expect(asked).rejects.toThrow()
    expect(await ended).toBe('left')
    await expect.poll(() => gateway.inFlight.count).toBe(0)
  })

  it('counts a stream as under way until it was read', async () => {
    const stream = await openai('slow-reader').chat.completions.create({
      ...chat,
      max_tokens: 40,
      stream: true,
    })
    expect(gateway.inFlight.count).toBe(1)
    for await (const _ of stream);
    await expect.poll(() => gateway.inFlight.count).toBe(0)
  })

  it('tells who watches what happens to a request', async () => {
    const told: [string, object][] = []
    const names = ['request', 'limit', 'cache', 'dispatch', 'dispatched', 'memory', 'answer'] as const
    const stops = names.map((name) => {
      const listener = (event: GatewayEvents[typeof name][0]) => void told.push([name, event])
      gateway.events.on(name, listener as never)
      return () => gateway.events.off(name, listener as never)
    })
    await openai('watched').chat.completions.create(
      { ...chat, messages: [user('watch me')], max_tokens: 3 },
      { headers: { 'x-conversation-id': 'watched' } },
    )
    for (const stop of stops) stop()
    expect(told.map(([name]) => name)).toEqual([
      ...['request', 'limit', 'memory', 'limit', 'dispatch', 'dispatched', 'cache', 'answer'],
    ])
    const event = Object.fromEntries(told)
    expect(event.cache).toMatchObject({ outcome: 'miss' })
    expect(event.dispatched).toMatchObject({ node: 'decoder', outcome: 'ok' })
    expect(event.answer).toMatchObject({ route: 'chat', status: 200, outcome: 'miss' })
    expect(JSON.stringify(told)).not.toContain('watched"}')
  })

  it('gives a decoder no header of the caller, and the caller none of the decoder', async () => {
    const { response } = await openai('private').chat.completions.create(chat).withResponse()
    expect(response.headers.get('set-cookie')).toBeNull()
    expect(
      [...response.headers.keys()].filter((name) => !/^(x-|content-|date|connection|keep-alive)/.test(name)),
    ).toEqual([])
  })

  const asOperator = { headers: { authorization: 'Bearer operator' } }

  it('tells everybody whether it lives, and the operator of what it is made', async () => {
    expect(await (await fetch(`${url}/health`)).json()).toEqual({ status: 'healthy' })
    expect((await fetch(`${url}/health/parts`)).status).toBe(403)
    expect((await fetch(`${url}/metrics`)).status).toBe(403)
    expect(await (await fetch(`${url}/health/parts`, asOperator)).json()).toMatchObject({
      status: 'healthy',
      redis: 'none',
      nodes: [{ id: 'decoder' }],
    })
  })

  it('tells Prometheus its own counts and those of the packages', async () => {
    const metrics = await fetch(`${url}/metrics`, asOperator)
    expect(metrics.headers.get('content-type')).toContain('text/plain; version=0.0.4')
    const text = await metrics.text()
    expect(text).toMatch(/^gateway_requests_total\{route="chat",outcome="hit".*\} [1-9]/m)
    expect(text).toMatch(/^gateway_request_duration_bucket\{route="chat".*le="0\.5"\} [1-9]/m)
    for (const name of ['rate_limiter', 'response_cache', 'agent_memory', 'decoder_pool']) {
      expect(text).toMatch(new RegExp(`^evenkeel_${name}_`, 'm'))
    }
    expect(text).not.toContain('Bearer')
    expect(text).not.toContain('cached?')
  })

  it('has a port of their own for operators, whose metrics need no token and whose changes do', async () => {
    const own = await listening(operators)
    expect((await fetch(`${own}/metrics`)).status).toBe(200)
    expect((await fetch(`${own}/health/parts`)).status).toBe(200)
    expect((await fetch(`${own}/cache`, { method: 'DELETE' })).status).toBe(403)
    expect((await fetch(`${own}/v1/chat/completions`, { method: 'POST' })).status).toBe(404)
  })

  it('shows its cache to the operator, and clears it for nobody else', async () => {
    const ask = (method: string, path: string, token = 'operator') =>
      fetch(`${url}${path}`, { method, headers: { authorization: `Bearer ${token}` } })
    expect((await ask('GET', '/cache/stats', 'other')).status).toBe(403)
    expect((await ask('DELETE', '/cache', '')).status).toBe(403)
    expect(await (await ask('GET', '/cache/stats')).json()).toMatchObject({
      llm_response: { stored: expect.any(Number), moneySaved: expect.any(Number) },
    })
    expect(await (await ask('DELETE', '/cache')).json()).toEqual({ cleared: { llm_response: 'all' } })
  })

  it('is a fetch-style handler as well', async () => {
    const app = createApp(gateway)
    const ask = (body: object) =>
      app.request('/v1/chat/completions', {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: 'Bearer mounted' },
        body: JSON.stringify(body),
      })
    const asked = { ...chat, max_tokens: tokens }
    expect(await (await ask(asked)).json()).toMatchObject({ object: 'chat.completion' })
    expect(await (await ask({ ...asked, stream: true })).text()).toContain('data: [DONE]')
    expect((await ask({})).status).toBe(400)
    expect((await app.request('/health')).status).toBe(200)
    await expect.poll(() => gateway.inFlight.count).toBe(0)
  })
})

describe('a gateway with a list of keys', () => {
  it('takes those, and shares answers within their organisation alone', async () => {
    await using decoder = await disposable(await start('decoder', 'decoder', ['--pace', '1'], {}, built))
    const apiKeys = new Map([
      ['key-1', 'acme'],
      ['key-2', 'acme'],
      ['key-3', 'other'],
    ])
    const gateway = await createGateway({ apiKeys, nodeHosts: ['127.0.0.1'] })
    try {
      await gateway.pool.register({ id: 'decoder', endpoint: decoder.url, capacity: 8 })
      const app = createApp(gateway)
      const ask = async (key: string) => {
        const { status, headers } = await app.request('/v1/chat/completions', {
          method: 'POST',
          headers: { authorization: `Bearer ${key}` },
          body: JSON.stringify({
            model: 'demo',
            messages: [{ role: 'user', content: 'same?' }],
            max_tokens: 4,
          }),
        })
        return `${status} ${headers.get('x-evenkeel-cache')}`
      }
      expect(await ask('key-1')).toBe('200 miss')
      expect(await ask('key-2')).toBe('200 hit')
      expect(await ask('key-3')).toBe('200 miss')
      expect(await ask('key-4')).toBe('401 null')
    } finally {
      await gateway.close()
    }
  })
})

function disposable(running: Running) {
  return { ...running, [Symbol.asyncDispose]: () => running.stop() }
}
