import { randomBytes } from 'node:crypto'
import { until } from '@evenkeel/test-servers'
import { describe, expect, it } from 'vitest'
import {
  createCache,
  createResponseCache,
  type EncryptOptions,
  type ResponseCacheOptions,
} from '../src/index.js'
import { chatCall, chatStream, chatUrl, completion, fakeProvider, sse } from './fake.js'
import { useRedis } from './support.js'

const redisOf = useRedis()
const key = (id: string) => ({ id, secret: randomBytes(32) })
const [k1, k2] = [key('k1'), key('k2')]

/** Everything that is in the server: keys, and values in all their types. */
async function dump(): Promise<string> {
  const { server } = redisOf
  const parts: string[] = []
  for (const name of (await server.command('KEYS', '*')) as string[]) {
    const type = String(await server.command('TYPE', name))
    const read = {
      string: ['GET'],
      hash: ['HGETALL'],
      stream: ['XRANGE'],
      list: ['LRANGE'],
      zset: ['ZRANGE'],
      set: ['SMEMBERS'],
    }[type]
    const [command = 'GET'] = read ?? []
    const range = { XRANGE: ['-', '+'], LRANGE: ['0', '-1'], ZRANGE: ['0', '-1'] }[command] ?? []
    parts.push(name, JSON.stringify(await server.command(command, name, ...range)))
  }
  return parts.join('\n')
}

async function cacheWith(encrypt: EncryptOptions | undefined, options: ResponseCacheOptions = {}) {
  const redis = await redisOf.connect()
  return redisOf.own(createResponseCache({ redis, encrypt, l1Ttl: 0, ...options }))
}

const ask = async (
  cache: ReturnType<typeof createResponseCache>,
  provider: ReturnType<typeof fakeProvider>,
  content: string,
  headers = {},
) => {
  const before = cache.stats().stored
  const response = await cache.fetch({ optionsByHeader: true, fetch: provider.fetch })(
    chatUrl,
    chatCall(content, headers),
  )
  const text = await response.text()
  const told = response.headers.get('x-evenkeel-cache')
  if (told === 'miss') await until(() => cache.stats().stored > before, 5_000)
  return [told, text]
}

describe('privacy', () => {
  it('a whole Redis holds no word of prompt, answer, key or tag, streams on their way included', async () => {
    await redisOf.server.command('FLUSHALL')
    const provider = fakeProvider(async (body) => {
      if (body.stream !== true) return Response.json(completion('the answer-c4nary'))
      const events = chatStream('streamed answer-c4nary to all').split(/(?<=\n\n)/)
      return sse(...events)
    })
    const encrypt = { keys: [k1] }
    const one = await cacheWith(encrypt)
    const two = await cacheWith(encrypt)
    await ask(one, provider, 'prompt-c4nary', { 'x-evenkeel-tags': 'tag-c4nary' })
    const side = redisOf.own(
      createCache<string>({ kind: 'search-results', redis: await redisOf.connect(), encrypt }),
    )
    await side.set('query-c4nary', 'hits-c4nary', { tags: ['tag-c4nary'] })
    const generate = one.wrap(async (prompt: string) => ({ echo: `${prompt} and answer-c4nary` }), {
      name: 'generate',
    })
    await generate('argument-c4nary')
    await one.embeddings(['text-c4nary'], { model: 'e', embed: async (texts) => texts.map(() => [1, 2]) })

    // Two instances that share a stream: its log is in Redis while it is on its way.
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const slow = fakeProvider(() => {
      const events = chatStream('streamed answer-c4nary to all').split(/(?<=\n\n)/)
      const body = new ReadableStream<Uint8Array>({
        pull: async (controller) => {
          const next = events.shift()
          if (next === undefined) return controller.close()
          if (events.length === 2) await held
          controller.enqueue(new Uint8Array(Buffer.from(next)))
        },
      })
      return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
    })
    const call = chatCall('shared-c4nary', {}, { stream: true })
    const leading = one.fetch({ optionsByHeader: true, fetch: slow.fetch })(chatUrl, call)
    await until(() => slow.calls.length === 1, 5_000)
    const following = two.fetch({ optionsByHeader: true, fetch: slow.fetch })(chatUrl, call)
    const texts = Promise.all([leading, following].map(async (response) => (await response).text()))
    await until(async () => /:log:/.test((await dump()).toString()), 3_000)
    const whole = await dump()
    release()
    expect(new Set(await texts)).toEqual(new Set([chatStream('streamed answer-c4nary to all')]))
    await until(() => one.stats().stored >= 4, 5_000)
    expect(whole).toContain('llm-cache')
    expect(whole + (await dump())).not.toContain('c4nary')
    expect(slow.calls).toHaveLength(1)
    // The check can fail: without encryption the same words are there.
    const plain = await cacheWith(undefined, { tenant: 'plain' })
    await ask(plain, provider, 'prompt-c4nary')
    expect(await dump()).toContain('answer-c4nary')
    expect(await dump()).not.toContain('prompt-c4nary')
  })

  it('keys rotate: the old one still opens, and one that is gone makes misses', async () => {
    const provider = fakeProvider((_, call) => Response.json(completion(`answer ${call}`)))
    const nameSecret = randomBytes(32)
    const before = await cacheWith({ keys: [k1], nameSecret }, { tenant: 'rotation' })
    await ask(before, provider, 'hi')
    const during = await cacheWith({ keys: [k2, k1], nameSecret }, { tenant: 'rotation' })
    expect((await ask(during, provider, 'hi'))[0]).toBe('hit')
    await ask(during, provider, 'new')
    const after = await cacheWith({ keys: [k2], nameSecret }, { tenant: 'rotation' })
    expect((await ask(after, provider, 'new'))[0]).toBe('hit')
    expect((await ask(after, provider, 'hi'))[0]).toBe('miss')
    expect((await ask(after, provider, 'hi'))[0]).toBe('hit')
  })

  it('what was stored without encryption is a miss with it, and the other way round', async () => {
    const provider = fakeProvider(() => Response.json(completion('x')))
    const open = await cacheWith(undefined, { tenant: 'mixed' })
    await open.wrap(async () => 'open', { name: 'f' })()
    const sealed = await cacheWith({ keys: [k1] }, { tenant: 'mixed' })
    expect(await sealed.wrap(async () => 'sealed', { name: 'f' })()).toBe('sealed')
    void provider
  })

  it.each([
    ['open', undefined],
    ['sealed', { keys: [k1] }],
  ])("two tenants can't hit each other's entries, %s", async (_, encrypt) => {
    const provider = fakeProvider((_, call) => Response.json(completion(`answer ${call}`)))
    const cache = await cacheWith(encrypt, { tenant: `tenants ${encrypt === undefined}` })
    const [a, b] = ['tenant', 'tenant/llm_response:api.example.com:m:']
    const of = (tenant: string) => cache.with({ tenant }, () => ask(cache, provider, 'hi'))
    expect((await of(a))[0]).toBe('miss')
    expect((await of(b))[0]).toBe('miss')
    expect((await of(a))[1]).toContain('answer 1')
    expect((await of(b))[1]).toContain('answer 2')
    await cache.clear({ tenant: a })
    expect((await of(a))[0]).toBe('miss')
    expect((await of(b))[0]).toBe('hit')
  })

  it("an entry that is copied to another tenant's entryKey is not served there", async () => {
    const provider = fakeProvider((_, call) => Response.json(completion(`answer ${call}`)))
    for (const encrypt of [undefined, { keys: [k1] }]) {
      await redisOf.server.command('FLUSHALL')
      const cache = await cacheWith(encrypt)
      await cache.with({ tenant: 'a' }, () => ask(cache, provider, 'hi'))
      await cache.with({ tenant: 'b' }, () => ask(cache, provider, 'hi'))
      const entries = ((await redisOf.server.command('KEYS', '*llm-cache:*')) as string[]).sort()
      const [from = '', to = ''] = entries
      expect(entries).toHaveLength(2)
      await redisOf.server.command('COPY', from, to, 'REPLACE')
      // The versions are another tenant's too; here they are made equal, to try the lock behind them.
      const [versionA = '', versionB = ''] = (
        (await redisOf.server.command('KEYS', '*version*')) as string[]
      ).sort()
      await redisOf.server.command('COPY', versionA, versionB, 'REPLACE')
      expect((await cache.with({ tenant: 'b' }, () => ask(cache, provider, 'hi')))[0]).toBe('miss')
    }
  })

  it.each([
    [{ keys: [] }, 'encrypt.keys'],
    [{ keys: [{ id: 'k', secret: 'c4nary-short' }] }, 'encrypt.keys.k'],
    [{ keys: [{ id: 'k k', secret: randomBytes(32) }] }, 'encrypt.keys.id'],
    [{ keys: [k1, k1] }, 'encrypt.keys.id'],
  ])('refuses keys that are none, and does not show them (%#)', (encrypt, field) => {
    expect(() => createResponseCache({ encrypt })).toThrow(expect.objectContaining({ field }))
    expect(() => createResponseCache({ encrypt })).not.toThrow('c4nary')
  })
})
