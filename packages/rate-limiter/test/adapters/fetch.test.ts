import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { afterEach, describe, expect, it } from 'vitest'
import { concurrency, createRateLimiter, type LimitedFetchOptions, slidingWindow } from '../../src/index.js'

type Answer = (request: IncomingMessage, response: ServerResponse, body: string) => void

const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

/** A provider that gives these answers in turn, and then repeats the last one. */
function provider(...answers: Answer[]): Promise<{ url: string; calls: { atMs: number; body: string }[] }> {
  const calls: { atMs: number; body: string }[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      const answer = answers[Math.min(calls.length, answers.length - 1)]
      calls.push({ atMs: performance.now(), body })
      answer?.(request, response, body)
    })
  })
  closing.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      resolve({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, calls })
    })
  })
}

const json =
  (body: unknown, headers: Record<string, string> = {}, status = 200): Answer =>
  (_, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(JSON.stringify(body))
  }

const events =
  (...data: unknown[]): Answer =>
  (_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const one of data) response.write(`data: ${typeof one === 'string' ? one : JSON.stringify(one)}\n\n`)
    response.end()
  }

const chat = {
  id: 'c',
  object: 'chat.completion',
  created: 1,
  model: 'm',
  choices: [
    { index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'hi', refusal: null } },
  ],
  usage: { prompt_tokens: 30, completion_tokens: 12, total_tokens: 42 },
}
const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: 'user', content: 'hello' }]

const make = (requests = 10) =>
  createRateLimiter({
    limits: {
      requests: slidingWindow(requests, '1m'),
      tokens: slidingWindow(10_000, '1m'),
      parallel: concurrency(2),
    },
  })
const tokensLeft = async (limiter: ReturnType<typeof make>) =>
  (await limiter.peek('openai', { tokens: 0 })).remaining

describe('a limited fetch under the OpenAI client', () => {
  const client = (url: string, limiter: ReturnType<typeof make>, maxRetries = 0) =>
    new OpenAI({
      apiKey: 'k',
      baseURL: url,
      maxRetries,
      fetch: limiter.fetch({ subject: 'openai', defaultOutputTokens: 500 }),
    })

  it('reserves an estimate and settles what the answer says', async () => {
    const limiter = make()
    let left = 0
    const { url } = await provider(async (...args) => {
      left = await tokensLeft(limiter)
      json(chat)(...args)
    })
    const answer = await client(url, limiter).chat.completions.create({
      model: 'm',
      messages,
      max_completion_tokens: 200,
    })
    expect(answer.choices[0]?.message.content).toBe('hi')
    expect(left).toBeLessThanOrEqual(9_800)
    expect(left).toBeGreaterThan(9_700)
    await expect.poll(() => tokensLeft(limiter)).toBe(9_958)
    expect((await limiter.peek('openai', { requests: 0 })).remaining).toBe(9)
  })

  it('waits out a 429 with its retry-after, and so do all other calls', async () => {
    const limiter = make()
    const tooMany = json({ error: { message: 'slow down' } }, { 'retry-after-ms': '400' }, 429)
    const { url, calls } = await provider(tooMany, json(chat))
    const openai = client(url, limiter)
    const first = openai.chat.completions.create({ model: 'm', messages })
    await expect.poll(() => calls).toHaveLength(1)
    await expect.poll(async () => (await limiter.peek('openai', { requests: 1 })).blocked).toBe(true)
    const second = openai.chat.completions.create({ model: 'm', messages })
    expect((await first).usage?.total_tokens).toBe(42)
    await second
    expect(calls).toHaveLength(3)
    for (const { atMs } of calls.slice(1)) expect(atMs - (calls[0]?.atMs ?? 0)).toBeGreaterThan(395)
    // The refused call was not charged.
    expect((await limiter.peek('openai', { requests: 0 })).remaining).toBe(8)
  })

  it.each([
    ['a time in seconds', () => `${Math.ceil(Date.now() / 1_000) + 30}`],
    ['a time in milliseconds', () => `${Date.now() + 30_000}`],
    ['a duration', () => '30s'],
    ['seconds', () => '30'],
  ])('keeps to what a refusal says is left, although its own units come back: %s', async (_, resetOf) => {
    for (const status of [429, 400]) {
      const reset = resetOf()
      const left = { 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-remaining-tokens': '0' }
      const resets = { 'x-ratelimit-reset-requests': reset, 'x-ratelimit-reset-tokens': reset }
      const { url } = await provider(json({ error: { message: 'no' } }, { ...left, ...resets }, status))
      const limiter = make()
      const limited = limiter.fetch({ subject: 'openai' })
      const body = JSON.stringify({ model: 'm', messages })
      expect((await limited(`${url}/v1/chat/completions`, { method: 'POST', body })).status).toBe(status)
      const { allowed, retryAfterMs } = await limiter.check('openai', { requests: 1, tokens: 1 })
      expect(allowed).toBe(false)
      expect(retryAfterMs).toBeGreaterThan(20_000)
      expect(retryAfterMs).toBeLessThanOrEqual(31_000)
    }
  })

  it('keeps to what an answer says is left, although it used less than was reserved for it', async () => {
    const left = { 'x-ratelimit-remaining-tokens': '100', 'x-ratelimit-reset-tokens': '30s' }
    const { url } = await provider(json(chat, left))
    const limiter = make()
    const limited = limiter.fetch({ subject: 'openai' })
    const body = JSON.stringify({ model: 'm', messages })
    const answer = await limited(`${url}/v1/chat/completions`, { method: 'POST', body })
    expect(await answer.json()).toMatchObject({ usage: { total_tokens: 42 } })
    const { remaining } = await limiter.peek('openai', { tokens: 0 })
    expect(remaining).toBeLessThanOrEqual(101)
    expect(remaining).toBeGreaterThan(90)
  })

  it('passes a 429 on when it was told not to try again', async () => {
    const limiter = make()
    const { url, calls } = await provider(json({ error: { message: 'no' } }, { 'retry-after': '1' }, 429))
    const fetching = limiter.fetch({ subject: 'openai', retries: 0 })
    expect((await fetching(`${url}/x`, { method: 'POST', body: '{}' })).status).toBe(429)
    expect(calls).toHaveLength(1)
  })

  it('streams without holding anything up, and settles at the end', async () => {
    const limiter = make()
    let finish = () => {}
    const finished = new Promise<void>((resolve) => {
      finish = resolve
    })
    const piece = (content: string) => ({
      id: 'c',
      object: 'chat.completion.chunk',
      created: 1,
      model: 'm',
      choices: [{ index: 0, delta: { content }, finish_reason: null }],
    })
    const { url } = await provider((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(`data: ${JSON.stringify(piece('a'))}\n\n`)
      void finished.then(() => {
        response.write(`data: ${JSON.stringify({ ...piece('b'), usage: chat.usage })}\n\ndata: [DONE]\n\n`)
        response.end()
      })
    })
    const stream = await client(url, limiter).chat.completions.create({ model: 'm', messages, stream: true })
    let text = ''
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? ''
      // The first chunk has arrived while the provider still writes, and the slot is held.
      if (text === 'a') {
        expect((await limiter.peek('openai', { parallel: 0 })).remaining).toBe(1)
        finish()
      }
    }
    expect(text).toBe('ab')
    await expect.poll(() => tokensLeft(limiter)).toBe(9_958)
    expect((await limiter.peek('openai', { parallel: 0 })).remaining).toBe(2)
  })

  it('gives back the slot of a stream that its reader gives up', async () => {
    const limiter = make()
    const { url } = await provider((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write('data: {}\n\n')
    })
    const response = await limiter.fetch({ subject: 'openai' })(url)
    const reader = response.body?.getReader()
    await reader?.read()
    await reader?.cancel()
    await expect.poll(async () => (await limiter.peek('openai', { parallel: 0 })).remaining).toBe(2)
  })

  it('charges no tokens for a call that sends nothing', async () => {
    const limiter = make(100)
    const { url } = await provider(json({ data: [] }))
    const limited = limiter.fetch({ subject: 'openai' })
    for (let count = 0; count < 20; count++) await (await limited(`${url}/v1/batches/b1`)).json()
    expect(await tokensLeft(limiter)).toBe(10_000)
  })

  it('gives back the slot of an answer that its caller drops unread and keeps', async () => {
    const limiter = make(100)
    const { url } = await provider(json({ error: { message: 'broken' } }, {}, 500))
    const limited = limiter.fetch({ subject: 'openai', timeout: '1s' })
    const kept: Response[] = []
    for (let count = 0; count < 6; count++) kept.push(await limited(url, { method: 'POST', body: '{}' }))
    expect(kept.map(({ status }) => status)).toEqual(Array(6).fill(500))
    expect((await limiter.peek('openai', { parallel: 0 })).remaining).toBe(2)
    // An error answer uses no tokens, and can still be read.
    expect(await tokensLeft(limiter)).toBe(10_000)
    expect(await kept[0]?.json()).toEqual({ error: { message: 'broken' } })
    expect(kept[0]?.url).toBe(`${url}/`)
  })

  it('charges nothing for a call that could not be made', async () => {
    const limiter = make()
    const failing = limiter.fetch({
      subject: 'openai',
      fetch: () => Promise.reject(new TypeError('fetch failed')),
    })
    await expect(failing('http://127.0.0.1:1/')).rejects.toThrow('fetch failed')
    expect((await limiter.peek('openai', { requests: 0 })).remaining).toBe(10)
  })

  it('fails at once where a call would have to wait too long', async () => {
    const limiter = make(1)
    const { url, calls } = await provider(json(chat))
    const openai = client(url, limiter)
    await openai.chat.completions.create({ model: 'm', messages })
    const failure = await openai.chat.completions
      .create({ model: 'm', messages })
      .catch((error: unknown) => error)
    expect(failure).toMatchObject({ cause: { code: 'RATE_LIMITED' } })
    expect(calls).toHaveLength(1)
  })
})

describe('a limited fetch under the Anthropic client', () => {
  it('settles input and output apart, from a stream', async () => {
    const limiter = createRateLimiter({
      limits: {
        input: slidingWindow(10_000, '1m', { unit: 'input-tokens' }),
        output: slidingWindow(10_000, '1m', { unit: 'output-tokens' }),
      },
    })
    const { url } = await provider(
      events(
        {
          type: 'message_start',
          message: {
            id: 'm',
            type: 'message',
            role: 'assistant',
            model: 'x',
            content: [],
            stop_reason: null,
            stop_sequence: null,
            usage: { input_tokens: 25, output_tokens: 1, cache_read_input_tokens: 900 },
          },
        },
        { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
        { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'hi' } },
        { type: 'content_block_stop', index: 0 },
        { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 15 } },
        { type: 'message_stop' },
      ),
    )
    const anthropic = new Anthropic({
      apiKey: 'k',
      baseURL: url,
      maxRetries: 0,
      fetch: limiter.fetch({ subject: 'anthropic' }),
    })
    const stream = anthropic.messages.stream({
      model: 'x',
      max_tokens: 300,
      messages: [{ role: 'user', content: 'hello' }],
    })
    await stream.done().catch(() => {})
    const remaining = async () => {
      const { limits } = await limiter.peek('anthropic', { input: 0, output: 0 })
      return [limits.input?.remaining, limits.output?.remaining]
    }
    await expect.poll(remaining).toEqual([9_975, 9_985])
  })

  it.each([{ retries: -1 }, { timeout: 'soon' }, { defaultOutputTokens: 0.5 }, { subjects: 'x' }])(
    'refuses wrong options: %j',
    (options) => {
      const limiter = createRateLimiter({ limits: { requests: slidingWindow(1, '1m') } })
      expect(() => limiter.fetch(options as LimitedFetchOptions<'requests'>)).toThrow(/expected/)
    },
  )
})
