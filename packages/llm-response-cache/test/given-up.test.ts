import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import OpenAI from 'openai'
import { afterEach, describe, expect, it } from 'vitest'
import { createCache, createResponseCache, type ResponseCache } from '../src/index.js'
import { chatCall, chatUrl, completion, fakeProvider, settled } from './fake.js'

describe('a call that somebody has given up', () => {
  let server: Server | undefined
  let cache: ResponseCache | undefined
  afterEach(async () => {
    await cache?.close()
    server?.closeAllConnections()
    server?.close()
  })

  it.each(['finish', 'cancel'] as const)(
    "costs one caller: the SDK's retry is a new call (%s)",
    async (onAbandon) => {
      let connections = 0
      server = createServer((_, response) => {
        // The first connection hangs, all others answer at once.
        if (++connections === 1) return
        response.setHeader('content-type', 'application/json').end(JSON.stringify(completion('fine')))
      })
      await new Promise<void>((resolve) => server?.listen(0, resolve))
      const { port } = server.address() as AddressInfo
      cache = createResponseCache({ onAbandon })
      const openai = new OpenAI({
        apiKey: 'k',
        baseURL: `http://127.0.0.1:${port}/v1`,
        timeout: 600,
        maxRetries: 2,
        fetch: cache.fetch(),
      })
      const ask = () =>
        openai.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'hi' }] })
      expect((await ask()).choices[0]?.message.content).toBe('fine')
      expect((await ask()).choices[0]?.message.content).toBe('fine')
      expect(connections).toBe(2)
    },
  )

  it('is not begun for a signal that was aborted before', async () => {
    cache = createResponseCache()
    const provider = fakeProvider(() => Response.json(completion('x')))
    const cached = cache.fetch({ fetch: provider.fetch })
    const signal = AbortSignal.abort(new Error('left'))
    await expect(cached(chatUrl, { ...chatCall('hi'), signal })).rejects.toThrow('left')
    expect(provider.calls).toHaveLength(0)
  })

  it('hangs for its own caller alone, in wrap', async () => {
    cache = createResponseCache({ stallTimeout: '300ms' })
    let calls = 0
    const ask = cache.wrap(
      async () => (++calls === 1 ? new Promise<string>(() => {}) : Promise.resolve('fine')),
      { name: 'ask' },
    )
    const first = ask()
    const second = ask()
    await expect(first).rejects.toMatchObject({ code: 'PROVIDER_STALLED' })
    expect(await second).toBe('fine')
  })
})

describe('callers who give up one after another', () => {
  it.each([
    ['before there is an answer', false],
    ['half-way through a stream', true],
  ])('pile up no more calls than maxAbandoned, %s', async (_, isStream) => {
    const cache = createResponseCache({ maxAbandoned: 3 })
    let underWay = 0
    let calls = 0
    const provider = fakeProvider((_body, _call, signal) => {
      calls++
      underWay++
      if (!isStream) {
        return new Promise<Response>((_, reject) => {
          signal?.addEventListener('abort', () => {
            underWay--
            reject(signal.reason)
          })
        })
      }
      const stream = new ReadableStream<Uint8Array>({
        start: (controller) => controller.enqueue(new TextEncoder().encode('data: {"choices":[]}\n\n')),
        cancel: () => {
          underWay--
        },
      })
      return new Response(stream, { headers: { 'content-type': 'text/event-stream' } })
    })
    const cached = cache.fetch({ fetch: provider.fetch })
    for (let at = 1; at <= 8; at++) {
      const leaving = new AbortController()
      const call = { ...chatCall(`question ${at}`, {}, { stream: isStream }), signal: leaving.signal }
      const answer = cached(chatUrl, call).then((response) => response.text())
      answer.catch(() => {})
      await expect.poll(() => calls).toBe(at)
      await settled()
      leaving.abort(new Error('left'))
      await expect(answer).rejects.toThrow('left')
      await expect.poll(() => underWay).toBe(Math.min(at, 3))
    }
    await cache.close()
  })

  it('a call that somebody joins again is not one of them', async () => {
    const cache = createResponseCache({ maxAbandoned: 0 })
    const left = new AbortController()
    let answer = (_: string) => {}
    const slow = () =>
      new Promise<string>((resolve) => {
        answer = resolve
      })
    const provider = fakeProvider(async () => Response.json(completion(await slow())))
    const cached = cache.fetch({ fetch: provider.fetch })
    const staying = cached(chatUrl, chatCall('hi'))
    const leaving = cached(chatUrl, { ...chatCall('hi'), signal: left.signal })
    await expect.poll(() => provider.calls).toHaveLength(1)
    left.abort(new Error('left'))
    await expect(leaving).rejects.toThrow('left')
    answer('whole')
    expect(await (await staying).text()).toContain('whole')
    await cache.close()
  })
})

describe('whatever a call does between taking and giving back', () => {
  type Step = 'answers' | 'throws' | 'gives what can not be kept' | 'can not be written' | 'hangs' | 'leaves'
  const steps: readonly Step[] = [
    'answers',
    'throws',
    'gives what can not be kept',
    'can not be written',
    'hangs',
    'leaves',
  ]

  it('its key is free for the next one within its bound', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...steps), { minLength: 1, maxLength: 5 }),
        async (script) => {
          const cache = createCache<unknown>({
            kind: 'scripted',
            stallTimeout: 20,
            codec: {
              encode: (value) => {
                if (value === 'unwritable') throw new Error('can not be written')
                return JSON.stringify(value)
              },
              decode: (text): unknown => JSON.parse(text),
            },
          })
          const load = (step: Step) => async (): Promise<unknown> => {
            await settled()
            if (step === 'throws') throw new Error('failed')
            if (step === 'hangs') return new Promise(() => {})
            if (step === 'gives what can not be kept') return undefined
            return step === 'can not be written' ? 'unwritable' : 'x'
          }
          await Promise.allSettled(
            script.map((step) => cache.getOrSet('k', load(step), { refresh: step === 'leaves' })),
          )
          // Whatever happened before, a new call gets its own answer, and waits for no other call.
          expect(await cache.getOrSet('k', async () => 'last', { refresh: true })).toBe('last')
          await cache.close()
        },
      ),
      { numRuns: 60 },
    )
  })

  it('and so it is over HTTP, whoever leaves when', async () => {
    const outcome = fc.constantFrom('answers', 'rejects', 'fails', 'hangs', 'breaks off')
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(outcome, fc.boolean()), { minLength: 1, maxLength: 4 }),
        async (script) => {
          const cache = createResponseCache({ stallTimeout: 20 })
          const answers = script.map(([how]) => how)
          const provider = fakeProvider((_, call) => answer(answers[call - 1] ?? 'answers'))
          const cached = cache.fetch({ fetch: provider.fetch })
          await Promise.allSettled(
            script.map(async ([, leaves]) => {
              const controller = new AbortController()
              if (leaves) setTimeout(() => controller.abort(), 2)
              return (await cached(chatUrl, { ...chatCall('hi'), signal: controller.signal })).text()
            }),
          )
          answers.length = 0
          answers.push(...Array.from({ length: 20 }, () => 'answers' as const))
          const response = await cached(chatUrl, chatCall('hi'))
          expect([200, 500]).toContain(response.status)
          await cache.close()
        },
      ),
      { numRuns: 40 },
    )
  })
})

function answer(how: string): Response | Promise<Response> {
  switch (how) {
    case 'rejects':
      throw new TypeError('fetch failed')
    case 'fails':
      return Response.json({ error: { message: 'no' } }, { status: 500 })
    case 'hangs':
      return new Promise<Response>(() => {})
    case 'breaks off': {
      const body = new ReadableStream<Uint8Array>({
        start: (controller) => {
          controller.enqueue(new TextEncoder().encode('{"choices":'))
          controller.error(new Error('reset'))
        },
      })
      return new Response(body, { headers: { 'content-type': 'application/json' } })
    }
    default:
      return Response.json(completion('fine'))
  }
}
