import { connect, ManualClock } from '@evenkeel/core'
import { type RedisServer, startRedis, until } from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import {
  createRateLimiter,
  fixedWindow,
  type Limit,
  type RateLimiterOptions,
  slidingWindow,
  tokenBucket,
} from '../src/index.js'

const limits = {
  requests: slidingWindow(3, '1m'),
  tokens: tokenBucket({ capacity: 1_000, refill: 1_000, every: '1m' }),
}

describe('a rate limiter in one process', () => {
  it('answers with the limit that is nearest to its end', async () => {
    const limiter = createRateLimiter({ limits, clock: new ManualClock() })
    expect(await limiter.check('u', { requests: 1, tokens: 900 })).toMatchObject({
      allowed: true,
      source: 'memory',
      limit: 1_000,
      remaining: 100,
      limitedBy: undefined,
      limits: { requests: { remaining: 2, limit: 3 }, tokens: { remaining: 100, limit: 1_000 } },
    })
    expect(await limiter.check('u', { requests: 1, tokens: 200 })).toMatchObject({
      allowed: false,
      limitedBy: 'tokens',
      retryAfterMs: 6_000,
    })
  })

  it('charges one unit of each limit when no costs are given', async () => {
    const limiter = createRateLimiter({ limits })
    for (let count = 0; count < 3; count++) expect((await limiter.check('u')).allowed).toBe(true)
    expect((await limiter.check('u')).limitedBy).toBe('requests')
    await limiter.reset('u')
    expect((await limiter.peek('u')).limits.requests?.remaining).toBe(2)
  })

  it.each([
    ['an unknown limit', { requestz: 1 }],
    ['a negative cost', { requests: -1 }],
    ['a fraction', { requests: 0.5 }],
    ['NaN', { requests: Number.NaN }],
    ['a cost above its limit', { requests: 4 }],
    ['no limit at all', {}],
    ['text', { requests: '1' }],
    ['a cost that came out undefined', { requests: 1, tokens: undefined }],
    ['a bare number', 1],
  ])('refuses %s, and charges nothing', async (_, costs) => {
    const limiter = createRateLimiter({ limits })
    await expect(limiter.check('u', costs as { requests: number })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    })
    expect((await limiter.peek('u', { requests: 0 })).remaining).toBe(3)
  })

  it('takes any name for a limit that JavaScript has a meaning for', async () => {
    const named: Record<string, Limit> = {
      constructor: limits.requests,
      toString: limits.requests,
      requests: limits.requests,
    }
    const limiter = createRateLimiter({ limits: named })
    expect(await limiter.check('u', { requests: 1 })).toMatchObject({ allowed: true, remaining: 2 })
    expect(Object.keys((await limiter.check('u')).limits)).toEqual(Object.keys(named))
  })

  it.each(['', 'x'.repeat(5_000), 42, undefined])('refuses %j as a subject', async (subject) => {
    const limiter = createRateLimiter({ limits })
    await expect(limiter.check(subject as string)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })

  it.each([
    { limits: {} },
    { limits: { a: { kind: 'leaky' } } },
    { limits, onOutage: 'shrug' },
    { limits, expectedInstances: 0 },
    { limits, name: 'a b' },
    { limits: { 'a b': limits.requests } },
    { limits: { '': limits.requests } },
    { limits: { subject: limits.requests } },
    { limits, denialMemory: -1 },
    { limits, maxQueue: 0 },
    { limits, lowPriorityPart: 2 },
    { limits, expectedInstances: 3, onOutage: 'deny' },
  ])('refuses wrong options: %j', (options) => {
    expect(() => createRateLimiter(options as unknown as RateLimiterOptions<'a'>)).toThrow(/expected/)
  })

  it.each([
    () => slidingWindow(0, '1m'),
    () => slidingWindow(1.5, '1m'),
    () => slidingWindow(1, 0),
    () => slidingWindow(1, 'soon' as '1s'),
    () => tokenBucket({ capacity: 1e15, refill: 1, every: '1d' }),
    () => tokenBucket({ capacity: 1, refill: -1, every: '1d' }),
  ])('refuses wrong limits: %s', (make) => {
    expect(make).toThrow(/expected/)
  })
})

describe('rate limiters that share a Redis', () => {
  let server: RedisServer

  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.close())

  it('promise 4: a limit holds over many instances that race for it', async () => {
    const instances = await Promise.all(
      Array.from({ length: 6 }, async () => {
        const redis = await connect({ url: server.url })
        return {
          redis,
          limiter: createRateLimiter({ redis, name: 'race', limits: { r: slidingWindow(500, '1m') } }),
        }
      }),
    )
    const decisions = await Promise.all(
      instances.flatMap(({ limiter }) => Array.from({ length: 200 }, () => limiter.check('hot'))),
    )
    expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(500)
    expect(decisions.every(({ source }) => source === 'redis')).toBe(true)
    for (const { redis } of instances) await redis.close()
  })

  it.each([
    ['sliding-window', slidingWindow(5, '1m')],
    ['fixed-window', fixedWindow(5, '1m')],
    ['token-bucket', tokenBucket({ capacity: 5, refill: 5, every: '1h' })],
  ])(
    'begins a %s anew whose key is broken, with what it had charged itself, and makes others pay nothing',
    async (kind, limit) => {
      await using redis = await connect({ url: server.url })
      const limiter = createRateLimiter({ redis, name: `broken-${kind}`, limits: { l: limit } })
      await limiter.check('bad')
      for (const key of (await redis.command(['KEYS', `*broken-${kind}*bad*`])) as string[]) {
        await redis.command(['DEL', key])
        await redis.command(['SADD', key, 'text'])
      }
      const calls = ['good', 'bad', 'other'].map((subject) => limiter.check(subject))
      const [good, bad, other] = await Promise.allSettled(calls)
      expect(good).toMatchObject({ value: { allowed: true, remaining: 4, source: 'redis' } })
      // Two charges: this check, and the one before the key was broken.
      expect(bad).toMatchObject({ value: { allowed: true, remaining: 3, source: 'redis' } })
      expect(await limiter.check('bad')).toMatchObject({ remaining: 2 })
      expect(other).toMatchObject({ value: { allowed: true, source: 'redis' } })
      await limiter.close()
    },
  )

  it('promise 8: takes one round trip a decision, however many limits', async () => {
    await using redis = await connect({ url: server.url })
    const limiter = createRateLimiter({ redis, name: 'trips', limits, stats: false, denialMemory: 0 })
    await limiter.check('warm')
    const sent = vi.spyOn(redis, 'command')
    for (let count = 0; count < 20; count++) await limiter.check(`u${count}`, { requests: 1, tokens: 10 })
    for (let count = 0; count < 5; count++) await limiter.check('hot', { requests: 3, tokens: 0 })
    await limiter.peek('hot')
    // All commands except those that announce this instance.
    const decisions = sent.mock.calls.filter(([args]) => !String(args[3]).includes('{instances}'))
    expect(decisions.map(([[name]]) => name)).toEqual(Array(26).fill('EVALSHA'))
    await limiter.close()
  })

  it('writes nothing for a denial or a peek', async () => {
    await using redis = await connect({ url: server.url })
    const limiter = createRateLimiter({ redis, name: 'writes', limits, stats: false, denialMemory: 0 })
    await limiter.check('u', { requests: 3, tokens: 1_000 })
    const keys = (await redis.command(['KEYS', '*writes:{u}*'])) as string[]
    const state = () => Promise.all(keys.map((key) => redis.command(['DUMP', key], { buffers: true })))
    const before = await state()
    expect(before.length).toBeGreaterThan(1)
    for (let count = 0; count < 10; count++) expect((await limiter.check('u')).allowed).toBe(false)
    await limiter.peek('u')
    expect(await state()).toEqual(before)
    await limiter.close()
  })

  it('promise 4: in an outage each instance enforces its part, counting what it had admitted before', async () => {
    const own = await startRedis()
    const redis = await connect({ url: own.url, commandTimeout: 200 })
    const options = { redis, limits: { r: slidingWindow(10, '1m') } }
    const second = await connect({ url: own.url, commandTimeout: 200 })
    const [limiter, other] = [createRateLimiter(options), createRateLimiter({ ...options, redis: second })]
    await other.peek('u')
    const instances = async () => {
      await limiter.peek('u')
      return limiter.stats().instances
    }
    await expect.poll(instances).toBe(2)
    for (let count = 0; count < 3; count++) expect((await limiter.check('u')).source).toBe('redis')
    expect((await limiter.check('greedy', { r: 8 })).source).toBe('redis')
    await own.kill()
    await until(() => redis.state === 'down' && second.state === 'down', 1_000)
    const during = []
    for (let count = 0; count < 6; count++) during.push(await limiter.check('u'))
    expect(during.map(({ allowed }) => allowed)).toEqual([true, true, true, false, false, false])
    expect(during.every(({ source }) => source === 'memory')).toBe(true)
    // Of `u`, its part was its own 3 and half of the 7 that were left; of `greedy`, its own 8 and half of the 2.
    expect(await limiter.check('greedy')).toMatchObject({ allowed: true, remaining: 0, source: 'memory' })
    expect(await limiter.check('greedy')).toMatchObject({ allowed: false, source: 'memory' })
    await own.restart()
    await until(() => limiter.state === 'primary' && other.state === 'primary', 2_000)
    // The restart emptied Redis: what this instance admitted before and during the outage is charged again.
    expect(await limiter.check('u', { r: 0 })).toMatchObject({ allowed: true, remaining: 4, source: 'redis' })
    expect(await other.check('greedy', { r: 2 })).toMatchObject({ allowed: false, source: 'redis' })
    expect(await other.check('greedy', { r: 1 })).toMatchObject({ allowed: true, remaining: 0 })
    // Until all instances use Redis again, this one also keeps to its share.
    expect(await limiter.check('u')).toMatchObject({ allowed: false, source: 'memory' })
    await expect.poll(async () => (await limiter.check('u')).source).toBe('redis')
    await redis.close()
    await second.close()
    await own.close()
  })

  it.each([
    ['allow', { allowed: true }],
    ['deny', { allowed: false, retryAfterMs: 1_000 }],
  ] as const)('lets the host say that an outage shall %s', async (onOutage, expected) => {
    const gone = await startRedis()
    await gone.close()
    await using redis = await connect({ url: gone.url })
    const limiter = createRateLimiter({ redis, limits, onOutage })
    expect(await limiter.check('u')).toMatchObject({ ...expected, source: 'memory' })
    const strict = createRateLimiter({ redis, limits, onOutage: 'throw' })
    await expect(strict.check('u')).rejects.toMatchObject({ code: 'CONNECTION_DOWN' })
  })
})
