import { connect } from '@evenkeel/core'
import { startCluster, until } from '@evenkeel/test-servers'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readEvents, splitEvents } from '../src/fetch/events.js'
import { createResponseCache, type ResponseCache } from '../src/index.js'
import { chatCall, chatStream, chatUrl, completion, fakeProvider, settled, sse } from './fake.js'
import { type Provider, startProvider } from './provider.js'

describe('trouble', () => {
  let cache: ResponseCache

  beforeEach(() => {
    cache = createResponseCache({ maxEntryBytes: 20_000_000 })
  })
  afterEach(() => cache.close())

  const told = (response: Response) => response.headers.get('x-evenkeel-cache')

  it('a request of 10 MB has a key, and one of 17 MB passes by', async () => {
    const provider = fakeProvider(() => Response.json(completion('x')))
    const cached = cache.fetch({ optionsByHeader: true, fetch: provider.fetch })
    const large = 'ü'.repeat(5 << 20)
    const first = await cached(chatUrl, chatCall(large))
    expect(told(first)).toBe('miss')
    await first.text()
    await until(() => cache.stats().stored === 1, 5_000)
    expect(told(await cached(chatUrl, chatCall(large)))).toBe('hit')
    expect(told(await cached(chatUrl, chatCall('x'.repeat(17 << 20))))).toBe('bypass')
  })

  it('an upstream that lies about what it sends is passed on, and not kept', async () => {
    const lies: [string, string][] = [
      ['text/event-stream', JSON.stringify(completion('x'))],
      ['application/json', chatStream('x')],
      ['application/json', ''],
      ['application/json', 'null'],
      ['application/json', '{"choices":[{"finish_reason":"stop"}],"error":{"message":"quota"}}'],
      ['text/html', '<html>'],
      ['', JSON.stringify(completion('x'))],
    ]
    for (const [contentType, body] of lies) {
      const provider = fakeProvider(() => new Response(body, { headers: { 'content-type': contentType } }))
      const response = await cache.fetch({ optionsByHeader: true, fetch: provider.fetch })(
        chatUrl,
        chatCall(`lie ${contentType} ${body}`),
      )
      expect(await response.text()).toBe(body)
      await settled()
    }
    expect(cache.stats().stored).toBe(0)
  })

  it('events split anywhere, with any line ends and with comments, read the same', () => {
    const events = [
      { event: undefined, data: '{"a":"ü"}' },
      { event: 'ping', data: '{}' },
      { event: undefined, data: 'one\ntwo' },
    ]
    const lineEnds = fc.constantFrom('\n', '\r\n', '\r')
    fc.assert(
      fc.property(fc.array(lineEnds, { minLength: 8, maxLength: 8 }), fc.boolean(), (ends, withComments) => {
        // A lone CR before an LF would be one line end, not two.
        fc.pre(ends.every((end, at) => !(end === '\r' && ends[(at + 1) % 8] === '\n')))
        let at = 0
        const line = (text: string) => text + ends[at++ % 8]
        const text = events
          .map(({ event, data }) => {
            const lines = [
              ...(withComments ? [': keep-alive'] : []),
              ...(event === undefined ? [] : [`event: ${event}`]),
              ...data.split('\n').map((own) => `data: ${own}`),
              '',
            ]
            return lines.map(line).join('')
          })
          .join('')
        expect(readEvents(text)).toEqual(events)
      }),
    )
    expect(splitEvents('data: a\r\n\r\ndata: b\n\nrest')).toEqual(['data: a', 'data: b', 'rest'])
  })

  it('a chunk that ends within a character or an event is no damage', async () => {
    const bytes = Buffer.from(chatStream('Grüße 🙂 und mehr'))
    for (const size of [1, 2, 3, 7]) {
      const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
        bytes.subarray(at * size, (at + 1) * size),
      )
      const provider = fakeProvider(() => sse(...pieces))
      const cached = cache.fetch({ optionsByHeader: true, fetch: provider.fetch })
      const call = chatCall(`size ${size}`, {}, { stream: true })
      expect(await (await cached(chatUrl, call)).text()).toBe(bytes.toString())
      await settled()
      expect(told(await cached(chatUrl, call))).toBe('hit')
    }
  })

  it('an upstream that falls silent is given up after stallTimeout', async () => {
    const impatient = createResponseCache({ stallTimeout: 50 })
    const silent = fakeProvider(
      () =>
        new Response(
          new ReadableStream<Uint8Array>({
            start: (controller) => controller.enqueue(new Uint8Array(Buffer.from('data: {}\n\n'))),
          }),
          { headers: { 'content-type': 'text/event-stream' } },
        ),
    )
    const response = await impatient.fetch({ optionsByHeader: true, fetch: silent.fetch })(
      chatUrl,
      chatCall('x', {}, { stream: true }),
    )
    await expect(response.text()).rejects.toMatchObject({ code: 'PROVIDER_STALLED' })
    const mute = fakeProvider(() => new Promise<Response>(() => {}))
    const abortable = impatient.fetch({
      fetch: (_, init) =>
        Promise.race([
          mute.fetch(chatUrl, init),
          new Promise<Response>((__, reject) =>
            init?.signal?.addEventListener('abort', () => reject(init.signal?.reason)),
          ),
        ]),
    })
    await expect(abortable(chatUrl, chatCall('y'))).rejects.toMatchObject({ code: 'PROVIDER_STALLED' })
    expect(impatient.stats().errors).toBe(1)
  })

  it('an UnkeyableError is told before anything is called', async () => {
    let calls = 0
    const wrapped = cache.wrap(async (_: unknown) => ++calls, { name: 'f' })
    for (const bad of [Number.NaN, () => 1, new Map(), Symbol('s')]) {
      await expect(wrapped(bad)).rejects.toMatchObject({ name: 'UnkeyableError' })
    }
    expect(calls).toBe(0)
  })
})

describe('over HTTP', () => {
  let provider: Provider
  let cache: ResponseCache

  beforeEach(async () => {
    provider = await startProvider()
    cache = createResponseCache()
  })
  afterEach(async () => {
    await cache.close()
    await provider[Symbol.asyncDispose]()
  })
  const url = () => `${provider.baseURL}/chat/completions`
  const call = (content: string) => chatCall(content, {}, { stream: true })

  it('a caller who leaves before the answer began leaves no call behind that hangs', async () => {
    provider.delayMs = 60
    const abort = new AbortController()
    const leaving = cache.fetch({ optionsByHeader: true })(url(), { ...call('hi'), signal: abort.signal })
    await until(() => provider.calls === 1, 5_000)
    abort.abort()
    await expect(leaving).rejects.toThrow()
    await until(() => cache.stats().stored === 1, 5_000)
    expect(
      (await cache.fetch({ optionsByHeader: true })(url(), call('hi'))).headers.get('x-evenkeel-cache'),
    ).toBe('hit')
  })

  it('a call whose callers have all left is ended, where the host wants that', async () => {
    const strict = createResponseCache({ onAbandon: 'cancel' })
    provider.delayMs = 20
    const response = await strict.fetch({ optionsByHeader: true })(url(), call('hi'))
    await response.body?.cancel()
    await until(() => provider.aborted === 1, 5_000)
    expect(strict.stats().stored).toBe(0)
    await strict.close()
  })

  it('a reader who is slower than the provider holds up nobody else, in bounded memory', async () => {
    provider.mode = 'endless'
    const small = createResponseCache({ maxEntryBytes: 100_000 })
    const response = await small.fetch({ optionsByHeader: true })(url(), call('hi'))
    const reader = response.body?.getReader()
    await reader?.read()
    const before = process.memoryUsage().arrayBuffers
    await new Promise((resolve) => setTimeout(resolve, 300))
    // What the provider could send meanwhile is many times this.
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(5_000_000)
    await reader?.cancel()
    await until(() => provider.aborted === 1, 5_000)
    await small.close()
  })
})

describe('on a Cluster', () => {
  it('answers are found by all, one call serves all, tags and patterns reach every node', async () => {
    const cluster = await startCluster()
    const connections = await Promise.all(
      [1, 2].map(() => connect({ cluster: { nodes: cluster.rootNodes } })),
    )
    const [one, two] = connections.map((redis) => createResponseCache({ redis })) as [
      ResponseCache,
      ResponseCache,
    ]
    const provider = fakeProvider(async (_, count) => {
      await new Promise((resolve) => setTimeout(resolve, 60))
      return Response.json(completion(`answer ${count}`))
    })
    const ask = async (cache: ResponseCache, content: string, headers = {}) => {
      const cached = cache.fetch({ optionsByHeader: true, fetch: provider.fetch })
      const response = await cached(chatUrl, chatCall(content, headers))
      await response.text()
      return response.headers.get('x-evenkeel-cache')
    }
    const both = await Promise.all([ask(one, 'shared'), ask(two, 'shared')])
    // The second follows the first, or comes when it has just ended.
    expect(both).toContain('miss')
    expect(provider.calls).toHaveLength(1)
    await Promise.all(
      Array.from({ length: 30 }, (_, index) => ask(one, `q${index}`, { 'x-evenkeel-tags': 't' })),
    )
    await until(() => one.stats().stored + two.stats().stored === 31, 5_000)
    expect(await ask(two, 'q7')).toBe('hit')
    expect(await one.clear({ tag: 't' })).toBe(30)
    await until(async () => (await ask(two, 'q7')) === 'miss', 5_000)
    for (const cache of [one, two]) await cache.close()
    for (const redis of connections) await redis.close()
    await cluster.close()
  })
})
