import { ManualClock } from '@evenkeel/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { jittered, judge } from '../src/entry/freshness.js'
import { createCache, createResponseCache, type ResponseCacheOptions } from '../src/index.js'
import { chatCall, chatUrl, completion, fakeProvider, settled } from './fake.js'

const none = { staleWhileRevalidateMs: 0, maxAgeMs: Number.POSITIVE_INFINITY, earlyRefresh: 0 }
const entry = { createdAtMs: 0, freshUntilMs: 1_000, deadAtMs: 3_000, costMs: 100 }

describe('the verdict over an entry', () => {
  it.each([
    [0, none, 'fresh'],
    [999, none, 'fresh'],
    [1_000, none, 'grace'],
    [1_000, { ...none, staleWhileRevalidateMs: 500 }, 'renew'],
    [1_499, { ...none, staleWhileRevalidateMs: 500 }, 'renew'],
    [1_500, { ...none, staleWhileRevalidateMs: 500 }, 'grace'],
    [2_999, none, 'grace'],
    [3_000, { ...none, staleWhileRevalidateMs: 9_000 }, 'dead'],
    [500, { ...none, maxAgeMs: 400 }, 'grace'],
    [400, { ...none, maxAgeMs: 400 }, 'fresh'],
  ])('at %i with %j is %s', (now, rules, verdict) => {
    expect(judge(entry, now, rules, () => 0.5)).toBe(verdict)
  })

  it('renews early by chance: ever likelier towards the end, and the earlier the dearer', () => {
    const share = (now: number, costMs: number) => {
      let renewed = 0
      for (let draw = 0; draw < 1_000; draw++) {
        const verdict = judge(
          { ...entry, costMs },
          now,
          { ...none, earlyRefresh: 1 },
          () => (draw + 0.5) / 1_000,
        )
        if (verdict === 'renew') renewed++
      }
      return renewed / 1_000
    }
    // The chance is exp(-left / cost).
    expect(share(900, 100)).toBeCloseTo(Math.exp(-1), 2)
    expect(share(500, 100)).toBeCloseTo(Math.exp(-5), 2)
    expect(share(500, 500)).toBeCloseTo(Math.exp(-1), 2)
    expect(share(0, 1)).toBe(0)
  })

  it('spreads times by the jitter, and no further', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 10, max: 1e9 }),
        fc.double({ min: 0, max: 0.9, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (ttl, jitter, draw) => {
          const ms = jittered(ttl, jitter, () => draw)
          expect(ms).toBeGreaterThanOrEqual(Math.floor(ttl * (1 - jitter)))
          expect(ms).toBeLessThanOrEqual(Math.ceil(ttl * (1 + jitter)))
        },
      ),
    )
  })
})

describe('answers over time', () => {
  /** A cache of one minute without chance, and a provider that counts. */
  function scene(options: ResponseCacheOptions = {}) {
    const clock = new ManualClock()
    const state = { status: 200 }
    const provider = fakeProvider((_, call) =>
      state.status === 200
        ? Response.json(completion(`answer ${call}`))
        : Response.json({ error: { message: 'down' } }, { status: state.status }),
    )
    const cache = createResponseCache({ ttl: '1m', jitter: 0, earlyRefresh: 0, clock, ...options })
    const cached = cache.fetch({ optionsByHeader: true, fetch: provider.fetch })
    const ask = async (headers: Record<string, string> = {}) => {
      const response = await cached(chatUrl, chatCall('hi', headers))
      const body = (await response.json()) as ReturnType<typeof completion> & {
        choices?: { message: { content: string } }[]
      }
      await settled()
      return [response.headers.get('x-evenkeel-cache'), body.choices?.[0]?.message.content ?? response.status]
    }
    return { cache, clock, provider, state, ask }
  }

  it('end with their ttl', async () => {
    const { ask, clock } = scene()
    expect(await ask()).toEqual(['miss', 'answer 1'])
    clock.advance(59_999)
    expect(await ask()).toEqual(['hit', 'answer 1'])
    clock.advance(1)
    expect(await ask()).toEqual(['miss', 'answer 2'])
  })

  it('are served while they are renewed, within staleWhileRevalidate', async () => {
    const { ask, clock, cache } = scene({ staleWhileRevalidate: '30s' })
    await ask()
    clock.advance(75_000)
    expect(await ask()).toEqual(['stale', 'answer 1'])
    expect(await ask()).toEqual(['hit', 'answer 2'])
    clock.advance(95_000)
    expect(await ask()).toEqual(['miss', 'answer 3'])
    expect(cache.stats()).toMatchObject({ stale: 1, hits: 1, misses: 2 })
  })

  it('are served while the provider fails, within grace', async () => {
    const { ask, clock, state, cache } = scene({ grace: '10m' })
    await ask()
    clock.advance(120_000)
    state.status = 503
    expect(await ask()).toEqual(['stale', 'answer 1'])
    state.status = 200
    expect(await ask()).toEqual(['miss', 'answer 3'])
    clock.advance(12 * 60_000)
    state.status = 429
    expect(await ask()).toEqual(['miss', 429])
    expect(cache.stats()).toMatchObject({ stale: 1, errors: 2 })
  })

  it('are not served in entryKey of a refusal that is the caller’s own', async () => {
    const { ask, clock, state } = scene({ grace: '10m' })
    await ask()
    clock.advance(120_000)
    state.status = 401
    expect(await ask()).toEqual(['miss', 401])
  })

  it('are as young as the caller wants them', async () => {
    const { ask, clock } = scene()
    await ask()
    clock.advance(20_000)
    expect(await ask({ 'cache-control': 'max-age=30' })).toEqual(['hit', 'answer 1'])
    expect(await ask({ 'cache-control': 'max-age=10' })).toEqual(['miss', 'answer 2'])
    expect(await ask()).toEqual(['hit', 'answer 2'])
  })

  it('live as long as their call says', async () => {
    const { ask, clock } = scene()
    await ask({ 'x-evenkeel-ttl': '10s' })
    clock.advance(9_000)
    expect(await ask()).toEqual(['hit', 'answer 1'])
    clock.advance(1_000)
    expect(await ask()).toEqual(['miss', 'answer 2'])
    expect(await ask({ 'x-evenkeel-ttl': 'soon' })).toEqual([null, 400])
  })

  it('are replaced at a refresh, and asked for only if cached', async () => {
    const { ask, provider } = scene()
    expect(await ask({ 'cache-control': 'only-if-cached' })).toEqual(['miss', 504])
    await ask()
    expect(await ask({ 'cache-control': 'no-cache' })).toEqual(['miss', 'answer 2'])
    expect(await ask({ 'cache-control': 'only-if-cached' })).toEqual(['hit', 'answer 2'])
    expect(provider.calls).toHaveLength(2)
  })

  it('that failed are kept where the host says so', async () => {
    const { ask, clock, state, provider } = scene({ negativeTtl: { 404: '5s' } })
    state.status = 404
    expect(await ask()).toEqual(['miss', 404])
    expect(await ask()).toEqual(['hit', 404])
    clock.advance(5_000)
    state.status = 422
    expect(await ask()).toEqual(['miss', 422])
    expect(await ask()).toEqual(['miss', 422])
    expect(provider.calls).toHaveLength(3)
  })

  it('are kept at second sight only, where the host says so', async () => {
    const { ask, clock } = scene({ admit: 'second-sight', admitWithin: '10m' })
    expect(await ask()).toEqual(['miss', 'answer 1'])
    clock.advance(11 * 60_000)
    expect(await ask()).toEqual(['miss', 'answer 2'])
    expect(await ask()).toEqual(['miss', 'answer 3'])
    expect(await ask()).toEqual(['hit', 'answer 3'])
  })

  it('of requests that want randomness pass by, where the host says so', async () => {
    const { provider, cache } = scene({ policy: 'deterministic', maxTemperature: 0.2 })
    const cached = cache.fetch({ optionsByHeader: true, fetch: provider.fetch })
    const told = async (more: object) =>
      (await cached(chatUrl, chatCall('hi', {}, more))).headers.get('x-evenkeel-cache')
    expect(await told({})).toBe('bypass')
    expect(await told({ temperature: 0.3 })).toBe('bypass')
    expect(await told({ temperature: 0, n: 2 })).toBe('bypass')
    expect(await told({ temperature: 0, n: 2, seed: 1 })).toBe('miss')
    expect(await told({ temperature: 0.2 })).toBe('miss')
  })
})

describe('values over time', () => {
  it('are renewed behind a stale one, and survive a failing loader within grace', async () => {
    const clock = new ManualClock()
    const cache = createCache<number>({
      kind: 'search-results',
      ttl: '1m',
      jitter: 0,
      earlyRefresh: 0,
      clock,
      staleWhileRevalidate: '10s',
      grace: '1h',
    })
    let calls = 0
    let isDown = false
    const load = async () => {
      if (isDown) throw new Error('down')
      return ++calls
    }
    const ask = async () => {
      const { value, outcome } = await cache.detailed('k', load)
      await settled()
      return [value, outcome]
    }
    expect(await ask()).toEqual([1, 'miss'])
    clock.advance(65_000)
    expect(await ask()).toEqual([1, 'stale'])
    expect(await ask()).toEqual([2, 'hit'])
    clock.advance(30 * 60_000)
    isDown = true
    expect(await ask()).toEqual([2, 'stale'])
    clock.advance(60 * 60_000)
    await expect(ask()).rejects.toThrow('down')
    expect(cache.stats()).toMatchObject({ stale: 2, errors: 2 })
  })

  it('are renewed early, once for all readers', async () => {
    const clock = new ManualClock()
    let draw = 0
    const cache = createCache<number>({ kind: 'k', ttl: '1m', jitter: 0, clock, random: () => draw })
    let calls = 0
    const load = async () => {
      await new Promise((resolve) => setTimeout(resolve, 20))
      return ++calls
    }
    await cache.getOrSet('k', load)
    await settled()
    clock.advance(59_995)
    expect(await Promise.all(Array.from({ length: 10 }, () => cache.getOrSet('k', load)))).toEqual(
      Array(10).fill(1),
    )
    expect(calls).toBe(1)
    draw = 0.9
    expect(await Promise.all(Array.from({ length: 10 }, () => cache.getOrSet('k', load)))).toEqual(
      Array(10).fill(1),
    )
    await expect.poll(() => calls).toBe(2)
    await settled()
    expect(await cache.getOrSet('k', load)).toBe(2)
  })

  it('read their ttl from the environment, which is wrong or right', async () => {
    process.env.CACHE_TTL_SEARCH_RESULTS = 'soon'
    try {
      expect(() => createCache({ kind: 'search-results' })).toThrow('CACHE_TTL_SEARCH_RESULTS')
      process.env.CACHE_TTL_SEARCH_RESULTS = '90'
      await createCache({ kind: 'search-results' }).close()
    } finally {
      delete process.env.CACHE_TTL_SEARCH_RESULTS
    }
  })
})
