import { deferred } from '@evenkeel/core/kit'
import { until } from '@evenkeel/test-servers'
import { describe, expect, it } from 'vitest'
import { createCache, createResponseCache, type ResponseCacheOptions } from '../src/index.js'
import { chatCall, chatStream, chatUrl, completion, fakeProvider, settled } from './fake.js'
import { useRedis } from './support.js'

const redisOf = useRedis()
let tenants = 0

describe.each(['memory', 'Redis'])('in %s', (where) => {
  async function scene(options: ResponseCacheOptions = {}) {
    const redis = where === 'Redis' ? await redisOf.connect() : undefined
    const tenant = `ns${tenants++}`
    const cache = redisOf.own(createResponseCache({ redis, tenant, ...options }))
    const provider = fakeProvider((body, call) => Response.json(completion(`answer ${call}`, body.model)))
    const cached = cache.fetch({ optionsByHeader: true, fetch: provider.fetch })
    const ask = async (content: string, headers: Record<string, string> = {}, more: object = {}) => {
      const before = cache.stats().stored
      const response = await cached(chatUrl, chatCall(content, headers, more))
      await response.text()
      const told = response.headers.get('x-evenkeel-cache')
      if (told === 'miss') await until(() => cache.stats().stored > before, 5_000)
      return told
    }
    return { cache, ask, provider, tenant, redis }
  }

  it('a tag makes all that has it a miss, and nothing else', async () => {
    const { ask, cache } = await scene()
    await ask('a', { 'x-evenkeel-tags': 'kb-42, team:{x}' })
    await ask('b', { 'x-evenkeel-tags': 'kb-42' })
    await ask('c')
    await cache.invalidate({ tags: ['kb-42'] })
    // Whether or not the reader names the tags.
    expect(await ask('a')).toBe('miss')
    expect(await ask('b', { 'x-evenkeel-tags': 'kb-42' })).toBe('miss')
    expect(await ask('b', { 'x-evenkeel-tags': 'kb-42' })).toBe('hit')
    expect(await ask('c')).toBe('hit')
  })

  it('what was begun before an invalidation is not served after it', async () => {
    const redis = where === 'Redis' ? await redisOf.connect() : undefined
    const cache = redisOf.own(createResponseCache({ redis, tenant: `ns${tenants++}` }))
    const [called, held] = [deferred<void>(), deferred<void>()]
    const generate = cache.wrap(
      async (n: number) => {
        called.resolve()
        await held.promise
        return n
      },
      { name: 'slow', options: () => ({ tags: ['kb'] }) },
    )
    const begun = generate.detailed(1)
    await called.promise
    await cache.invalidate({ tags: ['kb'] })
    held.resolve()
    expect(await begun).toMatchObject({ outcome: 'miss' })
    await settled()
    expect(await generate.peek(1)).toBeUndefined()
  })

  it('a model, a tag and a pattern are cleared with their counts', async () => {
    const { ask, cache, tenant } = await scene()
    for (let index = 0; index < 25; index++) {
      await ask(`q${index}`, index % 5 === 0 ? { 'x-evenkeel-tags': 'five' } : {}, {
        model: index % 2 === 0 ? 'even' : 'odd:1',
      })
    }
    expect(await cache.clear({ model: 'none' })).toBe(0)
    expect(await cache.clear({ tag: 'five' })).toBe(5)
    expect(await cache.clear({ model: 'even' })).toBe(10)
    expect(await cache.clear({ pattern: 'wrap:*' })).toBe(0)
    expect(await cache.clear({ pattern: 'llm_response:*:odd:1:*', tenant: 'another' })).toBe(0)
    expect(await cache.clear({ pattern: 'llm_response:*:odd:1:*', tenant })).toBe(10)
    expect(await ask('q1', {}, { model: 'odd:1' })).toBe('miss')
    expect(await cache.clear()).toBeUndefined()
    expect(await ask('q1', {}, { model: 'odd:1' })).toBe('miss')
  })

  it('refuses what makes no sense, and clears nothing', async () => {
    const { ask, cache } = await scene()
    await ask('a')
    await expect(cache.clear({ tag: '' })).rejects.toMatchObject({ code: 'INVALID_INPUT', field: 'tags' })
    await expect(cache.clear({ pattern: '' })).rejects.toMatchObject({ field: 'pattern' })
    await expect(cache.clear({ tenant: '\ud800' })).rejects.toMatchObject({ field: 'tenant' })
    await expect(cache.invalidate({ tags: [1 as unknown as string] })).rejects.toMatchObject({
      field: 'tags',
    })
    expect(await ask('a')).toBe('hit')
  })

  it('options reach calls through any depth', async () => {
    const { ask, cache, provider } = await scene()
    await cache.with({ tags: ['deep'], tenant: 'tenant' }, async () => {
      await settled()
      await cache.with({ ttl: '5m' }, () => ask('a'))
    })
    expect(await ask('a')).toBe('miss')
    expect(await cache.with({ tenant: 'tenant' }, () => ask('a'))).toBe('hit')
    expect(await cache.with({ useCache: false }, () => ask('a'))).toBe('bypass')
    expect(await cache.with({ refresh: true }, () => ask('a'))).toBe('miss')
    await cache.invalidate({ tags: ['deep'], tenant: 'tenant' })
    expect(await cache.with({ tenant: 'tenant' }, () => ask('a'))).toBe('miss')
    expect(() => cache.with({ ttl: -1 }, () => 1)).toThrow('ttl')
    // The cache's own headers are not sent to the provider.
    await ask('b', { 'x-evenkeel-tags': 'x', 'cache-control': 'max-age=5' })
    expect(
      [...(provider.calls.at(-1)?.headers.keys() ?? [])].filter((name) => name.startsWith('x-evenkeel')),
    ).toEqual([])
  })
})

describe('several instances', () => {
  async function instances(count: number, options: ResponseCacheOptions = {}) {
    const tenant = `ns${tenants++}`
    const made = await Promise.all(
      Array.from({ length: count }, async () => {
        const redis = await redisOf.connect()
        return redisOf.own(createCache<number>({ kind: 'k', redis, tenant, ...options }))
      }),
    )
    return made as [(typeof made)[0], (typeof made)[0]]
  }
  let loads = 0
  const load = async () => ++loads

  it('hear of an invalidation although they have a copy of their own', async () => {
    const [one, two] = await instances(2)
    const first = await one.getOrSet('k', load, { tags: ['t'] })
    await until(() => one.stats().stored === 1, 5_000)
    // The second look is answered by its own memory.
    await until(async () => {
      await two.getOrSet('k', load)
      const { source } = await two.detailed('k', load)
      return source === 'memory'
    }, 5_000)
    await one.invalidate({ tags: ['t'] })
    await until(async () => (await two.get('k')) === undefined, 5_000)
    await two.set('k', 77)
    expect(await two.get('k')).toBe(77)
    await until(async () => (await one.get('k')) === 77, 5_000)
    await two.set('k', 78)
    await until(async () => (await one.get('k')) === 78, 5_000)
    expect(await two.delete('k')).toBe(true)
    await until(async () => (await one.get('k')) === undefined, 5_000)
    expect(first).toBeTypeOf('number')
  })

  it('heal what they did not hear, with the next look that reaches Redis', async () => {
    const [one, two] = await instances(2)
    await one.getOrSet('a', load)
    await one.getOrSet('b', load)
    await until(() => one.stats().stored === 2, 5_000)
    await until(async () => (await two.detailed('a', load)).source === 'memory', 5_000)
    // As if the message of an invalidation never arrived: the version is changed in Redis directly.
    const key = (await redisOf.server.command('KEYS', '*-version*')) as string[]
    for (const version of key) await redisOf.server.command('SET', version, 'changed')
    expect(await two.get('b')).toBeUndefined()
    expect(await two.get('a')).toBeUndefined()
  })

  it('trust their own copies for l1Ttl, and not at all where it is 0', async () => {
    const [one, two] = await instances(2, { l1Ttl: 0 })
    const value = await one.getOrSet('k', load)
    await until(() => one.stats().stored === 1, 5_000)
    expect(await two.detailed('k', load)).toMatchObject({ value, source: 'redis', outcome: 'hit' })
    expect(await two.detailed('k', load)).toMatchObject({ value, source: 'redis', outcome: 'hit' })
  })

  it('make one call for equal values, and each calls for itself when the one fails', async () => {
    const [one, two] = await instances(2)
    let calls = 0
    const slow = async () => {
      calls++
      await new Promise((resolve) => setTimeout(resolve, 100))
      return calls
    }
    const both = await Promise.all([one.detailed('k', slow), two.detailed('k', slow)])
    expect(calls).toBe(1)
    expect(both.filter(({ outcome }) => outcome === 'miss')).toHaveLength(1)
    expect(both.map(({ value }) => value)).toEqual([1, 1])
    const failing = async () => {
      calls++
      await new Promise((resolve) => setTimeout(resolve, 50))
      throw new Error('down')
    }
    const failed = await Promise.allSettled([one.getOrSet('f', failing), two.getOrSet('f', failing)])
    expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(calls).toBe(3)
  })

  it.each([
    ['with', true, 1],
    ['without', false, 2],
  ])('get an object of what another one streams %s its usage', async (_, withUsage, calls) => {
    const tenant = `ns${tenants++}`
    const [one, two] = await Promise.all(
      [1, 2].map(async () => redisOf.own(createResponseCache({ redis: await redisOf.connect(), tenant }))),
    )
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const provider = fakeProvider((body) => {
      if (body.stream !== true) return Response.json(completion('one two'))
      const events = chatStream('one two', withUsage).split(/(?<=\n\n)/)
      const stream = new ReadableStream<Uint8Array>({
        pull: async (controller) => {
          const next = events.shift()
          if (next === undefined) return controller.close()
          if (events.length === 2) await held
          controller.enqueue(new Uint8Array(Buffer.from(next)))
        },
      })
      return new Response(stream, { headers: { 'content-type': 'text/event-stream' } })
    })
    const usage = withUsage ? { stream_options: { include_usage: true } } : {}
    const leading = one?.fetch({ optionsByHeader: true, fetch: provider.fetch })(
      chatUrl,
      chatCall('hi', {}, { stream: true, ...usage }),
    )
    const streamed = leading?.then((response) => response.text())
    await until(() => provider.calls.length === 1, 5_000)
    const following = two?.fetch({ optionsByHeader: true, fetch: provider.fetch })(chatUrl, chatCall('hi'))
    await new Promise((resolve) => setTimeout(resolve, 150))
    release()
    const response = await following
    expect(response?.headers.get('content-type')).toBe('application/json')
    expect(await response?.json()).toMatchObject({
      choices: [{ message: { content: 'one two' }, finish_reason: 'stop' }],
    })
    expect(await streamed).toBe(chatStream('one two', withUsage))
    expect(provider.calls).toHaveLength(calls)
  })

  it('count together', async () => {
    const tenant = `ns${tenants++}`
    const caches = await Promise.all(
      [1, 2].map(async () =>
        redisOf.own(
          createResponseCache({
            redis: await redisOf.connect(),
            tenant,
            prices: { 'm*': { input: 2, output: 3 } },
          }),
        ),
      ),
    )
    const provider = fakeProvider(() => Response.json(completion('x')))
    for (const cache of caches) {
      const cached = cache.fetch({ optionsByHeader: true, fetch: provider.fetch })
      for (let turn = 0; turn < 2; turn++) {
        await (await cached(chatUrl, chatCall('hi'))).text()
        await until(() => cache.stats().stored + cache.stats().hits > turn, 5_000)
      }
      await cache.sharedStats()
    }
    const own = async () => (await caches[0]?.sharedStats())?.byTenant[tenant]
    // 10 tokens of input at 2 and 7 of output at 3, a million each; three hits of one miss.
    expect(await own()).toMatchObject({ hits: 3, misses: 1, tokensSaved: 51, stored: 1 })
    expect((await own())?.moneySaved).toBeCloseTo((3 * 41) / 1e6, 12)
    expect(await own()).toEqual(await own())
  })
})
