import { until } from '@evenkeel/test-servers'
import { describe, expect, it } from 'vitest'
import { createCacheHandler } from '../src/adapters/http.js'
import { createCache, createResponseCache } from '../src/index.js'
import { useRedis } from './support.js'

const redisOf = useRedis()

describe.each(['memory', 'Redis'])('a cache of anything, in %s', (where) => {
  const cacheOf = async <V>(options: object = {}) =>
    redisOf.own(
      createCache<V>({
        kind: 'model-metadata',
        tenant: `${where} ${Math.random()}`,
        redis: where === 'Redis' ? await redisOf.connect() : undefined,
        ...options,
      }),
    )

  it('gets, sets, deletes, and loads once for all who ask', async () => {
    const cache = await cacheOf<{ n: number }>()
    expect(await cache.get('k')).toBeUndefined()
    expect(await cache.set('k', { n: 1 })).toBe(true)
    expect(await cache.get('k')).toEqual({ n: 1 })
    expect(await cache.delete('k')).toBe(true)
    expect(await cache.delete('k')).toBe(false)
    let loads = 0
    const load = async () => {
      await new Promise((resolve) => setTimeout(resolve, 20))
      return { n: ++loads }
    }
    const all = await Promise.all(Array.from({ length: 1_000 }, () => cache.getOrSet('k', load)))
    expect(loads).toBe(1)
    expect(all.every(({ n }) => n === 1)).toBe(true)
    expect(new Set(all).size).toBe(1_000)
    expect(cache.stats()).toMatchObject({ coalesced: 999, misses: 2, hits: 1 })
  })

  it('keeps nothing that was begun before a deletion, and nobody who asks later joins it', async () => {
    const cache = await cacheOf<string>()
    let answer = (_: string) => {}
    const began = new Promise<void>((resolve) => {
      const load = () => {
        resolve()
        return new Promise<string>((loaded) => {
          answer = loaded
        })
      }
      void cache.getOrSet('k', load).then((value) => first.push(value))
    })
    const first: string[] = []
    await began
    expect(await cache.delete('k')).toBe(false)
    expect(await cache.getOrSet('k', async () => 'new')).toBe('new')
    answer('old')
    await until(() => first.length === 1 && cache.stats().stored === 1, 5_000)
    expect(first).toEqual(['old'])
    expect(await cache.get('k')).toBe('new')
  })

  it('keeps no renewal that was begun before a deletion', async () => {
    const cache = await cacheOf<string>({ ttl: 20, staleWhileRevalidate: '1h' })
    await cache.getOrSet('k', async () => 'old')
    await until(() => cache.stats().stored === 1, 5_000)
    let answer: ((value: string) => void) | undefined
    const renew = () =>
      new Promise<string>((loaded) => {
        answer = loaded
      })
    await until(async () => {
      expect(await cache.getOrSet('k', renew)).toBe('old')
      return answer !== undefined
    }, 5_000)
    expect(await cache.delete('k')).toBe(true)
    answer?.('renewed')
    // Written after what the renewal would have been.
    await cache.set('other', 'x')
    expect(await cache.get('k')).toBeUndefined()
  })

  it('has nothing after a deletion, although it follows at once on the load', async () => {
    const cache = await cacheOf<string>()
    for (let round = 0; round < 10; round++) {
      await cache.getOrSet(`k${round}`, async () => 'old')
      await cache.delete(`k${round}`)
      expect(await cache.get(`k${round}`)).toBeUndefined()
    }
  })

  it('gives each caller a copy, or all one that nobody can change', async () => {
    const copies = await cacheOf<{ list: number[] }>()
    await copies.set('k', { list: [1] })
    ;(await copies.get('k'))?.list.push(2)
    expect(await copies.get('k')).toEqual({ list: [1] })
    const frozen = await cacheOf<{ list: number[] }>({ share: 'frozen' })
    const load = async () => ({ list: [1] })
    const [one, other] = [await frozen.getOrSet('k', load), await frozen.getOrSet('k', load)]
    expect(() => one.list.push(2)).toThrow(TypeError)
    expect(() => other.list.push(2)).toThrow(TypeError)
    await until(async () => {
      const all = await Promise.all([1, 2].map(() => frozen.getOrSet('k', load)))
      return all[0] === all[1]
    }, 5_000)
  })

  it('writes as its codec does, and never keeps nothing', async () => {
    const codec = { encode: (date: Date) => date.toISOString(), decode: (text: string) => new Date(text) }
    const dates = await cacheOf<Date>({ codec })
    const date = new Date(1_700_000_000_123)
    expect(await dates.getOrSet('k', async () => date)).toEqual(date)
    await until(() => dates.stats().stored === 1, 5_000)
    expect(await dates.getOrSet('k', async () => new Date(0))).toEqual(date)
    const nothing = await cacheOf<undefined>()
    let calls = 0
    const load = async () => void calls++
    await nothing.getOrSet('k', load)
    await nothing.getOrSet('k', load)
    expect(calls).toBe(2)
  })

  it('never shares an answer that can not be kept: each caller has the provider asked', async () => {
    const cache = await cacheOf<bigint | undefined>()
    const cyclic: { self?: unknown } = {}
    cyclic.self = cyclic
    expect(await cache.getOrSet('k', async () => cyclic as never)).toBe(cyclic)
    expect(await cache.getOrSet('k', async () => 2n)).toBe(2n)
    let calls = 0
    const answers = await Promise.all(
      [1, 2, 3].map(() => cache.getOrSet('u', async () => void calls++ as undefined)),
    )
    expect(answers).toEqual([undefined, undefined, undefined])
    expect(calls).toBe(3)
  })

  it('answers from what there is, if that is asked for', async () => {
    const cache = await cacheOf<number>()
    expect(await cache.getOrSet('k', async () => 1, { onlyIfCached: true })).toBeUndefined()
    await cache.set('k', 2)
    expect(await cache.getOrSet('k', async () => 1, { onlyIfCached: true })).toBe(2)
    expect(await cache.getOrSet('k', async () => 3, { useCache: false })).toBe(3)
    expect(await cache.get('k')).toBe(2)
    expect(await cache.getOrSet('k', async () => 4, { refresh: true })).toBe(4)
    await until(async () => (await cache.get('k')) === 4, 5_000)
  })

  it('clears its own kind alone', async () => {
    const tenant = `shared ${where} ${Math.random()}`
    const redis = where === 'Redis' ? await redisOf.connect() : undefined
    const one = await cacheOf<number>({ kind: 'one', tenant, redis })
    const two = await cacheOf<number>({ kind: 'two', tenant, redis })
    for (const key of ['a:1', 'a:2', 'b:1', '[x]']) {
      await one.set(key, 1)
      await two.set(key, 1)
    }
    expect(await one.clear({ pattern: 'a:*' })).toBe(2)
    expect(await one.get('a:1')).toBeUndefined()
    expect(await two.get('a:1')).toBe(1)
    expect(await one.clear({ pattern: '\\[x\\]' })).toBe(1)
    await one.clear()
    expect(await one.get('b:1')).toBeUndefined()
    expect(await two.get('b:1')).toBe(1)
  })

  it.each([
    ['key', (cache: Awaited<ReturnType<typeof cacheOf<number>>>) => cache.getOrSet('', async () => 1)],
    ['key', (cache) => cache.getOrSet('x'.repeat(5_000), async () => 1)],
    ['key', (cache) => cache.set('\ud800', 1)],
    ['ttl', (cache) => cache.getOrSet('k', async () => 1, { ttl: 0 })],
    ['tags', (cache) => cache.getOrSet('k', async () => 1, { tags: Array.from({ length: 33 }, String) })],
    ['tenant', (cache) => cache.getOrSet('k', async () => 1, { tenant: '' })],
    ['refresh', (cache) => cache.getOrSet('k', async () => 1, { refresh: 'yes' as unknown as boolean })],
  ] as [string, (cache: Awaited<ReturnType<typeof cacheOf<number>>>) => Promise<unknown>][])(
    'refuses a wrong %s before anything is asked (%#)',
    async (field, ask) => {
      const cache = await cacheOf<number>()
      await expect(ask(cache)).rejects.toMatchObject({ field })
      expect(cache.stats()).toMatchObject({ hits: 0, misses: 0, bypassed: 0 })
    },
  )
})

describe('paths for an operator', () => {
  it('show and clear, for those who may', async () => {
    const search = createCache<number>({ kind: 'search-results' })
    const responses = createResponseCache()
    const handle = createCacheHandler({
      caches: { search, llm_response: responses },
      authorize: (request) => request.headers.get('authorization') === 'Bearer operator',
    })
    const ask = async (method: string, path: string, authorization = 'Bearer operator') => {
      const response = await handle(
        new Request(`http://localhost${path}`, { method, headers: { authorization } }),
      )
      return [response.status, await response.json()]
    }
    for (const key of ['a:1', 'a:2', 'b']) await search.set(key, 1, { tags: key === 'b' ? ['t'] : [] })
    expect((await ask('GET', '/cache/stats', 'Bearer x'))[0]).toBe(403)
    expect(await ask('GET', '/cache/stats')).toMatchObject([
      200,
      { search: { stored: 3 }, llm_response: { hits: 0 } },
    ])
    expect(await ask('DELETE', '/cache/search/a%3A*')).toEqual([200, { cleared: { search: 2 } }])
    expect(await ask('DELETE', '/cache/search?tag=t')).toEqual([200, { cleared: { search: 1 } }])
    expect(await ask('DELETE', '/cache')).toEqual([200, { cleared: { search: 'all', llm_response: 'all' } }])
    expect((await ask('DELETE', '/cache/none'))[0]).toBe(404)
    expect((await ask('GET', '/cache'))[0]).toBe(404)
    expect((await ask('GET', '/other'))[0]).toBe(404)
    expect((await ask('POST', '/cache'))[0]).toBe(405)
    expect(await ask('DELETE', '/cache/search?tag=')).toMatchObject([400, { field: 'tags' }])
  })

  it('stay closed when the one who watches them fails, and are not made without one', async () => {
    const handle = createCacheHandler({
      caches: {},
      authorize: () => {
        throw new Error('no')
      },
    })
    expect((await handle(new Request('http://localhost/cache/stats'))).status).toBe(403)
    expect(() => createCacheHandler({ caches: {}, authorize: undefined as never })).toThrow('authorize')
  })
})
