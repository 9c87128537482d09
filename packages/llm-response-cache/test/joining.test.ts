import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createResponseCache, type ResponseCache } from '../src/index.js'
import { globMatcher } from '../src/stores/glob.js'
import { chatCall, chatStream, chatUrl, completion, fakeProvider, settled, sse } from './fake.js'

let cache: ResponseCache
beforeEach(() => {
  cache = createResponseCache()
})
afterEach(() => cache.close())

const told = (response: Response) => response.headers.get('x-evenkeel-cache')

describe('callers are joined only if nothing makes them different', () => {
  it.each([401, 403, 404, 429, 503])("one key's %i is not another key's", async (status) => {
    const provider = fakeProvider(async (_, call) => {
      await settled()
      return call === 1 ? Response.json({ error: {} }, { status }) : Response.json(completion('fine'))
    })
    const cached = cache.fetch({ fetch: provider.fetch })
    const ask = (key: string) => cached(chatUrl, chatCall('hi', { authorization: `Bearer ${key}` }))
    const [revoked, good] = await Promise.all([ask('revoked'), ask('good')])
    expect([revoked.status, good.status]).toEqual([status, 200])
  })

  it('one key gets one failure, with the time to wait', async () => {
    const provider = fakeProvider(async () => {
      await settled()
      return Response.json({ error: {} }, { status: 503, headers: { 'retry-after': '7' } })
    })
    const cached = cache.fetch({ fetch: provider.fetch })
    const both = await Promise.all([1, 2].map(() => cached(chatUrl, chatCall('hi', { 'x-api-key': 'k' }))))
    expect(both.map(({ status, headers }) => [status, headers.get('retry-after')])).toEqual([
      [503, '7'],
      [503, '7'],
    ])
    expect(provider.calls).toHaveLength(1)
  })

  it('a tenant, a refresh and a call without the cache have calls of their own', async () => {
    const provider = fakeProvider(async (_, call) => {
      await settled()
      return Response.json(completion(`answer ${call}`))
    })
    const cached = cache.fetch({ fetch: provider.fetch })
    const ask = () => cached(chatUrl, chatCall('hi'))
    const answers = await Promise.all(
      [
        cache.with({ tenant: 'a' }, ask),
        cache.with({ tenant: 'b' }, ask),
        cache.with({ tenant: 'a', refresh: true }, ask),
        cache.with({ tenant: 'a', useCache: false }, ask),
      ].map(async (response) => (await response).text()),
    )
    // The first may get the refresh's answer, which is newer than what it asked for; no other two share an answer.
    expect(new Set(answers.slice(1)).size).toBe(3)
    expect(() => cache.with({ namespace: 'a' } as never, ask)).toThrow(/namespace/)
  })

  it('an object does not wait for a bare stream, of which it can not be made', async () => {
    let close = () => {}
    const provider = fakeProvider((body) => {
      if (body.stream !== true) return Response.json(completion('object'))
      const stream = new ReadableStream<Uint8Array>({
        start: (controller) => {
          controller.enqueue(new TextEncoder().encode(chatStream('slow').slice(0, 40)))
          close = () => controller.close()
        },
      })
      return new Response(stream, { headers: { 'content-type': 'text/event-stream' } })
    })
    const cached = cache.fetch({ fetch: provider.fetch })
    await cached(chatUrl, chatCall('hi', {}, { stream: true }))
    const object = await cached(chatUrl, chatCall('hi'))
    expect(((await object.json()) as { choices: unknown[] }).choices).toHaveLength(1)
    close()
  })

  it('who asks without usage is not sent it, and who asks is, on the old endpoint too', async () => {
    const url = 'https://api.example.com/v1/completions'
    const events = (withUsage: boolean) => [
      'data: {"id":"1","choices":[{"index":0,"text":"Hi","finish_reason":"stop"}]}\n\n',
      ...(withUsage
        ? ['data: {"id":"1","choices":[],"usage":{"prompt_tokens":1,"total_tokens":2}}\n\n']
        : []),
      'data: [DONE]\n\n',
    ]
    const provider = fakeProvider((body) =>
      sse(...events(JSON.stringify(body).includes('include_usage":true'))),
    )
    const cached = cache.fetch({ fetch: provider.fetch })
    for (const include_usage of [false, true, true, false]) {
      const body = JSON.stringify({
        model: 'm',
        prompt: 'x',
        stream: true,
        stream_options: { include_usage },
      })
      const text = await (await cached(url, { method: 'POST', body })).text()
      expect(text.includes('"usage"')).toBe(include_usage)
      await settled()
    }
    expect(provider.calls).toHaveLength(2)
  })
})

describe('callers are not trusted', () => {
  it('their headers choose nothing, unless the host lets them; the tenant never', async () => {
    const provider = fakeProvider((_, call) => Response.json(completion(`secret ${call}`)))
    const secret = cache.fetch({ fetch: provider.fetch, tenant: 'a' })
    await secret(chatUrl, chatCall('hi'))
    await settled()
    const headers = {
      'x-evenkeel-tenant': 'a',
      'x-evenkeel-namespace': 'a',
      'cache-control': 'only-if-cached',
    }
    const other = await cache.fetch({ fetch: provider.fetch, tenant: 'b' })(chatUrl, chatCall('hi', headers))
    expect([told(other), await other.text()]).toEqual(['miss', expect.stringContaining('secret 2')])
    const allowed = cache.fetch({ fetch: provider.fetch, tenant: 'c', optionsByHeader: true })
    expect((await allowed(chatUrl, chatCall('hi', headers))).status).toBe(504)
  })

  it("of one caller's answer nothing tells another of his account", async () => {
    const own = {
      'openai-organization': 'org-a',
      'set-cookie': 's=1',
      'x-litellm-key-spend': '3',
      'x-request-id': 'r',
      'x-user-id': 'a',
      location: '/a',
      'www-authenticate': 'x',
      'clear-site-data': '*',
      authorization: 'x',
    }
    const provider = fakeProvider(async () => {
      await settled()
      return Response.json(completion('x'), { headers: own })
    })
    const cached = cache.fetch({ fetch: provider.fetch })
    const [first, joined] = await Promise.all([1, 2].map(() => cached(chatUrl, chatCall('hi'))))
    expect(first?.headers.get('openai-organization')).toBe('org-a')
    const names = [...(joined?.headers.keys() ?? [])]
    expect(names.sort()).toEqual(['content-type', 'x-evenkeel-cache'])
  })

  it('made-up models fill neither the statistics nor the place of a real one', async () => {
    const provider = fakeProvider((body) =>
      body.model === 'real' ? Response.json(completion('x')) : Response.json({ error: {} }, { status: 404 }),
    )
    const cached = cache.fetch({ fetch: provider.fetch })
    for (let at = 0; at < 300; at++) await cached(chatUrl, chatCall('hi', {}, { model: `made up ${at}` }))
    await cached(chatUrl, chatCall('hi', {}, { model: 'real' }))
    await cached(chatUrl, chatCall('hi', {}, { model: 'x'.repeat(100_000) }))
    const { byModel } = cache.stats()
    expect(Object.keys(byModel).sort()).toEqual(['other', 'real', 'unknown'])
    expect(inspect(cache.stats()).length).toBeLessThan(3_000)
  })

  it('a pattern takes no longer for being odd', () => {
    const odd = globMatcher(`${'*a'.repeat(30)}*b`)
    expect(odd('a'.repeat(5_000))).toBe(false)
    expect(globMatcher('[z-a]x')('mx')).toBe(true)
    expect(globMatcher('a\\*b?[^c]')('a*bXd')).toBe(true)
  })
})

describe('wrap', () => {
  it('refuses what it can not tell apart', async () => {
    const read = cache.wrap(async (file: unknown) => String(file), { name: 'read' })
    for (const file of [new Blob(['a']), new URLSearchParams('a'), new Headers(), new ReadableStream()]) {
      await expect(read(file)).rejects.toMatchObject({ code: 'UNKEYABLE' })
    }
  })

  it('gives each caller what the function gave, where JSON would change it', async () => {
    const bytes = cache.wrap(async () => Buffer.from('abc'), { name: 'bytes' })
    for (let turn = 0; turn < 2; turn++) expect((await bytes()).toString()).toBe('abc')
    const dated = cache.wrap(async () => new Date(5), {
      name: 'dated',
      codec: { encode: (date) => date.toISOString(), decode: (text) => new Date(text) },
    })
    for (let turn = 0; turn < 2; turn++) expect(await dated()).toEqual(new Date(5))
    expect((await dated.detailed()).outcome).toBe('hit')
  })

  it('keeps functions of one name apart, and the parameters that a key does not look at', async () => {
    cache.wrap(async function create() {})
    expect(() => cache.wrap(async function create() {})).toThrow(expect.objectContaining({ field: 'name' }))
    const wrapped = cache.wrap(async (q: string, n?: number) => `${q} ${n}`, { name: 'q', key: (q) => q })
    expect(await wrapped('x', 1)).toBe('x 1')
  })

  it('a call after one that has ended is a hit', async () => {
    const wrapped = cache.wrap(async () => 1, { name: 'one' })
    expect((await wrapped.detailed()).outcome).toBe('miss')
    expect((await wrapped.detailed()).outcome).toBe('hit')
  })

  it('serves no stale answer for a refused request', async () => {
    const old = createResponseCache({ ttl: 1, grace: '1h', jitter: 0 })
    let error: Error | undefined
    const call = old.wrap(
      async () => {
        if (error !== undefined) throw error
        return 'old'
      },
      { name: 'g' },
    )
    await call()
    await new Promise((resolve) => setTimeout(resolve, 20))
    error = Object.assign(new Error('refused'), { status: 400 })
    await expect(call()).rejects.toThrow('refused')
    error = Object.assign(new Error('busy'), { status: 503 })
    expect(await call()).toBe('old')
    await old.close()
  })
})
