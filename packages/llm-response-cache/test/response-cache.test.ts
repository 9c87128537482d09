import { type Connection, connect } from '@evenkeel/core'
import { type RedisServer, startRedis, until } from '@evenkeel/test-servers'
import OpenAI from 'openai'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createResponseCache, type ResponseCache } from '../src/index.js'
import { type Provider, startProvider } from './provider.js'

const text = 'Grüße, the answer is 42 🙂'
const ask = (content: string) => ({ model: 'm', messages: [{ role: 'user' as const, content }] })

let server: RedisServer
let provider: Provider

beforeAll(async () => {
  server = await startRedis()
})
afterAll(() => server.close())
beforeEach(async () => {
  await server.command('FLUSHALL')
  provider = await startProvider()
})
afterEach(() => provider[Symbol.asyncDispose]())

const clientOf = (cache: ResponseCache) =>
  new OpenAI({
    apiKey: 'k',
    baseURL: provider.baseURL,
    fetch: cache.fetch({ optionsByHeader: true }),
    maxRetries: 0,
  })

const collect = async (client: OpenAI, content: string, options = {}) => {
  const stream = await client.chat.completions.create({ ...ask(content), stream: true }, options)
  let joined = ''
  for await (const chunk of stream) joined += chunk.choices[0]?.delta.content ?? ''
  return joined
}

describe.each(['memory', 'Redis'])('the response cache in %s', (kind) => {
  let redis: Connection | undefined
  let cache: ResponseCache
  let client: OpenAI

  beforeEach(async () => {
    redis = kind === 'Redis' ? await connect({ url: server.url }) : undefined
    cache = createResponseCache({ redis })
    client = clientOf(cache)
  })
  afterEach(async () => {
    await cache.close()
    await redis?.close()
  })

  const stored = (count: number) => until(() => cache.stats().stored === count, 5_000)

  it('asks the provider once for equal requests of the OpenAI client', async () => {
    const first = await client.chat.completions.create(ask('hi'))
    await stored(1)
    const { data, response } = await client.chat.completions.create(ask('hi')).withResponse()
    expect(data).toEqual(first)
    expect(response.headers.get('x-evenkeel-cache')).toBe('hit')
    expect(response.headers.get('age')).toBe('0')
    expect(response.headers.get('x-ratelimit-remaining-requests')).toBeNull()
    expect(provider.calls).toBe(1)
    expect(cache.stats()).toMatchObject({ hits: 1, misses: 1, tokensSaved: 17, hitRate: 0.5 })
  })

  it('records a stream as it passes, and replays it byte for byte', async () => {
    expect(await collect(client, 'hi')).toBe(text)
    await stored(1)
    expect(await collect(client, 'hi')).toBe(text)
    expect(provider.calls).toBe(1)
    expect(cache.stats()).toMatchObject({ hits: 1, tokensSaved: 17 })
  })

  it('takes CRLF for a line end too', async () => {
    provider.mode = 'crlf'
    expect(await collect(client, 'hi')).toBe(text)
    await stored(1)
  })

  it.each(['truncated', 'reset', 'error-inside', 'length'] as const)(
    'never keeps a stream that is %s',
    async (mode) => {
      provider.mode = mode
      await collect(client, 'hi').catch(() => {})
      provider.mode = 'whole'
      expect(await collect(client, 'hi')).toBe(text)
      expect(provider.calls).toBe(2)
    },
  )

  it.each(['failing', 'html', 'length'] as const)('never keeps an answer that is %s', async (mode) => {
    provider.mode = mode
    await client.chat.completions.create(ask('hi')).catch(() => {})
    provider.mode = 'whole'
    const answer = await client.chat.completions.create(ask('hi'))
    expect(answer.choices[0]?.message.content).toBe(text)
    expect(provider.calls).toBe(2)
  })

  it('makes one call for a thousand that ask at once, streams among them', async () => {
    provider.delayMs = 20
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, () => client.chat.completions.create(ask('hi'))),
    )
    expect(answers.every(({ choices }) => choices[0]?.message.content === text)).toBe(true)
    expect(provider.calls).toBe(1)
    const streams = await Promise.all(Array.from({ length: 100 }, () => collect(client, 'stream')))
    expect(new Set(streams)).toEqual(new Set([text]))
    expect(provider.calls).toBe(2)
    expect(cache.stats()).toMatchObject({ misses: 2, coalesced: 1_098 })
  })

  it('lets a latecomer have what has passed, and then follow', async () => {
    provider.delayMs = 15
    const early = await client.chat.completions.create({ ...ask('hi'), stream: true })
    const iterator = early[Symbol.asyncIterator]()
    for (let count = 0; count < 3; count++) await iterator.next()
    expect(await collect(client, 'hi')).toBe(text)
    expect(provider.calls).toBe(1)
  })

  it("leaves the others untouched by one caller's abort, and keeps the answer", async () => {
    provider.delayMs = 15
    const abort = new AbortController()
    const leaving = collect(client, 'hi', { signal: abort.signal })
    const staying = collect(client, 'hi')
    await until(() => provider.calls === 1, 5_000)
    abort.abort()
    // The SDK ends the loop of a stream whose caller aborted, or rejects before it began.
    expect(await leaving.catch(() => 'rejected')).not.toBe(text)
    expect(await staying).toBe(text)
    await stored(1)
    expect(provider.calls).toBe(1)
  })

  it('finishes a recording that everybody left', async () => {
    provider.delayMs = 5
    const stream = await client.chat.completions.create({ ...ask('hi'), stream: true })
    for await (const _ of stream) break
    await stored(1)
    expect(await collect(client, 'hi')).toBe(text)
    expect(provider.calls).toBe(1)
  })

  it('promise 5: passes an endless stream on at its reader’s pace, and keeps none of it', async () => {
    provider.mode = 'endless'
    const small = createResponseCache({ redis, maxEntryBytes: 50_000 })
    const stream = await clientOf(small).chat.completions.create({ ...ask('hi'), stream: true })
    let chunks = 0
    for await (const _ of stream) if (++chunks === 200) break
    await until(() => provider.aborted === 1, 5_000)
    expect(small.stats().stored).toBe(0)
    await small.close()
  })

  it('passes on what it is asked to, and what it can not know', async () => {
    await client.chat.completions.create(ask('hi'), { headers: { 'cache-control': 'no-store' } })
    await client.chat.completions.create(ask('hi'), { headers: { 'cache-control': 'no-store' } })
    expect(provider.calls).toBe(2)
    expect(cache.stats()).toMatchObject({ bypassed: 2, misses: 0 })
    await client.chat.completions.create(ask('hi'))
    await stored(1)
    await client.chat.completions.create(ask('hi'), { headers: { 'cache-control': 'no-cache' } })
    expect(provider.calls).toBe(4)
  })

  it('keeps embeddings', async () => {
    const first = await client.embeddings.create({ model: 'e', input: ['a', 'b'] })
    await stored(2)
    expect(await client.embeddings.create({ model: 'e', input: ['a', 'b'] })).toEqual(first)
    expect(provider.calls).toBe(1)
  })

  it('forgets everything at a clear, also what was begun before it', async () => {
    await client.chat.completions.create(ask('hi'))
    await stored(1)
    provider.delayMs = 40
    const begun = client.chat.completions.create(ask('slow'))
    await until(() => provider.calls === 2, 5_000)
    await cache.clear()
    await begun
    provider.delayMs = 0
    await client.chat.completions.create(ask('hi'))
    await client.chat.completions.create(ask('slow'))
    expect(provider.calls).toBe(4)
  })

  it('keeps tenants apart', async () => {
    await client.chat.completions.create(ask('hi'))
    await stored(1)
    const other = createResponseCache({ redis, tenant: 'other' })
    await clientOf(other).chat.completions.create(ask('hi'))
    expect(provider.calls).toBe(2)
    await other.close()
  })

  it('wraps any function', async () => {
    let calls = 0
    const generate = cache.wrap(
      async ({ prompt }: { prompt: string; trace?: string }) => ({
        echo: prompt,
        n: ++calls,
        usage: { total_tokens: 5 },
      }),
      {
        name: 'generate',
        key: ({ prompt }) => prompt,
      },
    )
    const both = await Promise.all([
      generate({ prompt: 'a', trace: '1' }),
      generate({ prompt: 'a', trace: '2' }),
    ])
    expect(both).toEqual([both[0], both[0]])
    expect(both[0]).not.toBe(both[1])
    await stored(1)
    const again = await generate.detailed({ prompt: 'a' })
    expect(again).toMatchObject({ value: { echo: 'a', n: 1 }, cached: true, outcome: 'hit', savedTokens: 5 })
    await generate({ prompt: 'b' })
    expect(calls).toBe(2)
  })

  it('gives a failure to all who wait for it, and keeps none', async () => {
    let calls = 0
    const failing = cache.wrap(
      async () => {
        calls++
        throw new Error('provider down')
      },
      { name: 'failing' },
    )
    const results = await Promise.allSettled([failing(), failing()])
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    await expect(failing()).rejects.toThrow('provider down')
    expect(calls).toBe(2)
  })
})

describe('with Redis', () => {
  it('shares answers between instances, in one round trip a hit (promise 8)', async () => {
    await using one = await connect({ url: server.url })
    await using two = await connect({ url: server.url })
    const caches = [createResponseCache({ redis: one }), createResponseCache({ redis: two })]
    const [first, second] = caches.map((cache) => clientOf(cache))
    await first?.chat.completions.create(ask('shared'))
    await until(() => caches[0]?.stats().stored === 1, 5_000)
    await server.command('CONFIG', 'RESETSTAT')
    await second?.chat.completions.create(ask('shared'))
    expect(provider.calls).toBe(1)
    // The entry and its tenant's version, in one command.
    const stats = String(await server.command('INFO', 'commandstats'))
    expect(/cmdstat_mget:calls=(\d+)/.exec(stats)?.[1]).toBe('1')
    expect(stats).not.toMatch(/cmdstat_(?:get|eval|evalsha|set):/)
  })

  it('takes a damaged entry, or one of a newer version, for a miss', async () => {
    await using redis = await connect({ url: server.url })
    const cache = createResponseCache({ redis })
    await clientOf(cache).chat.completions.create(ask('hi'))
    await until(() => cache.stats().stored === 1, 5_000)
    const [key] = (await redis.command(['KEYS', '*llm-cache:*'])) as string[]
    for (const damage of [
      ['SETRANGE', key, '60', 'XX'],
      ['SETRANGE', key, '0', 'EKC9'],
      ['SET', key, 'short'],
      ['SET', key, ''],
    ]) {
      await redis.command(damage as string[])
      const calls = provider.calls
      // An instance that has seen the entry before it was damaged would need none of this.
      const other = createResponseCache({ redis })
      const answer = await clientOf(other).chat.completions.create(ask('hi'))
      expect(answer.choices[0]?.message.content).toBe(text)
      expect(provider.calls).toBe(calls + 1)
      await until(() => other.stats().stored === 1, 5_000)
      await other.close()
    }
  })

  it('promise 10: keeps no prompt and no API key in Redis', async () => {
    await using redis = await connect({ url: server.url })
    const cache = createResponseCache({ redis })
    const client = new OpenAI({
      apiKey: 'k-c4nary',
      baseURL: provider.baseURL,
      fetch: cache.fetch({ optionsByHeader: true }),
    })
    await client.chat.completions.create(ask('prompt-c4nary'))
    await until(() => cache.stats().stored === 1, 5_000)
    const keys = (await redis.command(['KEYS', '*'])) as string[]
    const values = (await redis.command(['MGET', ...keys])) as string[]
    expect(keys.join() + values.join()).not.toContain('c4nary')
    expect(values.join()).toContain('answer')
  })

  it('goes on in an outage: hits from what it has seen, calls for the rest, and nothing cleared comes back', async () => {
    const own = await startRedis()
    const redis = await connect({ url: own.url, commandTimeout: 200 })
    const cache = createResponseCache({ redis })
    const client = clientOf(cache)
    await client.chat.completions.create(ask('seen'))
    await until(() => cache.stats().stored === 1, 5_000)
    own.freeze()
    const { response } = await client.chat.completions.create(ask('seen')).withResponse()
    expect(response.headers.get('x-evenkeel-cache')).toBe('hit')
    await client.chat.completions.create(ask('new'))
    expect(provider.calls).toBe(2)
    await cache.clear()
    await client.chat.completions.create(ask('seen'))
    expect(provider.calls).toBe(3)
    own.resume()
    await until(() => cache.state === 'primary', 3_000)
    await client.chat.completions.create(ask('seen'))
    expect(provider.calls).toBe(4)
    await cache.close()
    await redis.close()
    await own.close()
  })

  it.each([{ ttl: 0 }, { ttl: 'x' as '1s' }, { tenant: '' }, { maxBytes: 0 }, { maxEntryBytes: 1.5 }])(
    'refuses %j',
    (options) => {
      expect(() => createResponseCache(options)).toThrow(/expected/)
    },
  )
})
