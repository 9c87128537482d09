import { connect } from '@evenkeel/core'
import { ManualClock } from '@evenkeel/core/kit'
import { type RedisServer, startRedis, until } from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import {
  concurrency,
  createRateLimiter,
  fixedWindow,
  type Limit,
  slidingWindow,
  tokenBucket,
} from '../src/index.js'
import { useRedis } from './support.js'

const shared = useRedis()

describe.each(['memory', 'redis'])('a limiter in %s', (where) => {
  it('ends what waits when it is closed, at once, and says so', async () => {
    const limiter = await shared.limiter(where, {
      limits: { r: slidingWindow(1, '1h'), parallel: concurrency(1) },
      denialMemory: 0,
    })
    await limiter.check('u', { r: 1 })
    const held = await limiter.reserve('u', { parallel: 1 })
    const waits = [
      limiter.wait('u', { r: 1 }, { timeout: '2h' }),
      limiter.run('u', { parallel: 1 }, () => 'never', { timeout: '2h' }),
    ].map((wait) => wait.catch((error: unknown) => error))
    await until(() => limiter.stats().waiting === 2)
    // A waiting call may have been sent to Redis, booked or queued: each of them must end.
    await limiter.close()
    for (const failure of await Promise.all(waits)) expect(failure).toMatchObject({ code: 'CLOSED' })
    await limiter.close()
    await expect(limiter.check('u')).rejects.toMatchObject({ code: 'CLOSED' })
    await expect(limiter.wait('u', { r: 1 })).rejects.toMatchObject({ code: 'CLOSED' })
    // A reservation can still be cancelled.
    expect(await held.cancel()).toBe(true)
  })

  it('ends a wait with the reason of its signal, at once, and gives back what it was charged', async () => {
    const limiter = await shared.limiter(where, { limits: { r: slidingWindow(2, '1h') }, denialMemory: 0 })
    await limiter.check('u', { r: 1 })
    const startedAt = performance.now()
    const late = limiter.wait('u', { r: 2 }, { timeout: '2h', signal: AbortSignal.timeout(30) })
    await expect(late).rejects.toMatchObject({ name: 'TimeoutError' })
    expect(performance.now() - startedAt).toBeLessThan(5_000)
    const reason = new Error('the caller has left')
    const already = limiter.wait('u', { r: 2 }, { timeout: '2h', signal: AbortSignal.abort(reason) })
    await expect(already).rejects.toBe(reason)
    // This call is aborted while its request to Redis is in flight.
    const leaving = new AbortController()
    const asked = limiter.wait('u', { r: 1 }, { signal: leaving.signal })
    leaving.abort(reason)
    await expect(asked).rejects.toBe(reason)
    await expect.poll(async () => (await limiter.peek('u', { r: 0 })).remaining).toBe(1)
  })

  it('warns of no leak when many wait on one signal', async () => {
    const limiter = await shared.limiter(where, { limits: { r: slidingWindow(1, '1h') } })
    const warnings: Error[] = []
    const onWarning = (warning: Error) => void warnings.push(warning)
    process.on('warning', onWarning)
    const shutdown = new AbortController()
    await limiter.check('u')
    const waits = Array.from({ length: 30 }, () =>
      limiter
        .wait('u', { r: 1 }, { timeout: '100d', signal: shutdown.signal })
        .catch((error: unknown) => error),
    )
    await until(() => limiter.stats().waiting === 30)
    await new Promise((resolve) => setTimeout(resolve, 20))
    shutdown.abort(new Error('stop'))
    await Promise.all(waits)
    process.off('warning', onWarning)
    expect(warnings.map(({ name }) => name)).toEqual([])
  })

  it('waits for durations that no timer of Node holds', async () => {
    const limiter = await shared.limiter(where, {
      limits: { requests: fixedWindow(1, '60d', { align: 'first-use' }) },
      denialMemory: 0,
    })
    await limiter.check('u')
    let admitted = 0
    const giveUp = new AbortController()
    const waits = Array.from({ length: 3 }, () =>
      limiter.wait('u', undefined, { timeout: '365d', signal: giveUp.signal }).then(
        () => admitted++,
        () => {},
      ),
    )
    await limiter.block('blocked', '40d')
    const blocked = limiter
      .wait('blocked', undefined, { timeout: '50d', signal: giveUp.signal })
      .catch(() => {})
    await new Promise((resolve) => setTimeout(resolve, 150))
    expect(admitted).toBe(0)
    giveUp.abort()
    await Promise.all([...waits, blocked])
    // No call waits any more, and the window is as full as before.
    const { retryAfterMs } = await limiter.check('u')
    expect(retryAfterMs).toBeGreaterThan(59 * 86_400_000)
    expect(retryAfterMs).toBeLessThanOrEqual(60 * 86_400_000)
  })

  it('counts limits that are named like members of Object', async () => {
    const limits = {
      constructor: slidingWindow(5, '1m'),
      toString: tokenBucket({ capacity: 5, refill: 1, every: '1h' }),
    }
    const limiter = await shared.limiter(where, { limits: limits as Record<string, Limit> })
    const reserved = await limiter.reserve('u', { constructor: 2, toString: 3 } as Record<string, number>)
    expect(await reserved.settle({})).toBe(true)
    const { limits: left } = await limiter.check('u')
    expect(left.constructor).toMatchObject({ remaining: 2 })
    expect(Reflect.get(left, 'toString')).toMatchObject({ remaining: 1 })
  })

  it('denies a normal call nothing for what a low one was denied', async () => {
    const limiter = await shared.limiter(where, { limits: { r: slidingWindow(10, '1h') } })
    const low = () => limiter.check('u', { r: 1 }, { priority: 'low' })
    for (let count = 0; count < 8; count++) expect((await low()).allowed).toBe(true)
    expect((await low()).allowed).toBe(false)
    expect(await limiter.check('u', { r: 2 })).toMatchObject({ allowed: true, remaining: 0 })
    expect((await limiter.check('u')).allowed).toBe(false)
    expect((await low()).allowed).toBe(false)
  })
})

describe('on Redis', () => {
  it('waiting leaves nothing there that outlives it', async () => {
    const [instance] = await shared.instances(1, { limits: { r: slidingWindow(1_000, '1s') } })
    for (let round = 0; round < 5; round++)
      await Promise.all(Array.from({ length: 50 }, () => instance?.limiter.wait('s', { r: 1 })))
    expect(await instance?.redis?.command(['KEYS', '*:{s}:open'])).toEqual([])
    expect(await instance?.redis?.command(['KEYS', '*{s}*'])).not.toEqual([])
  })

  it('a limiter that has waited leaves no subscription on the connection that it was given', async () => {
    await using redis = await connect({ url: shared.server.url })
    const channels = () => redis.command(['PUBSUB', 'CHANNELS', '*:left:turn'])
    const limiter = createRateLimiter({ redis, name: 'left', limits: { parallel: concurrency(1) } })
    const held = await limiter.reserve('u', { parallel: 1 })
    const wait = limiter.run('u', { parallel: 1 }, () => 'never', { timeout: '2h' })
    const failure = wait.catch((error: unknown) => error)
    await expect.poll(() => channels()).toHaveLength(1)
    await limiter.close()
    expect(await failure).toMatchObject({ code: 'CLOSED' })
    await expect.poll(() => channels()).toEqual([])
    await held.cancel()
  })

  it('a denial is remembered with what is known, and nothing is made up of other limits', async () => {
    const [instance] = await shared.instances(1, {
      limits: { a: slidingWindow(1, '1h'), b: slidingWindow(3, '1h') },
    })
    const limiter = instance?.limiter
    await limiter?.check('u', { a: 1, b: 3 })
    await limiter?.check('u', { a: 1 })
    const { limits } = (await limiter?.check('u', { a: 1, b: 0 })) ?? {}
    expect(limits?.b).toMatchObject({ limit: 3, remaining: 0 })
    expect(limits?.b?.resetMs).toBeGreaterThan(3_000_000)
  })
})

describe('limiters of one name', () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.close())

  it('in one process are one instance: in an outage they share its part', async () => {
    const own = await startRedis()
    await using redis = await connect({ url: own.url, commandTimeout: 200 })
    const limiters = Array.from({ length: 4 }, () =>
      createRateLimiter({ redis, name: 'again', limits: { r: fixedWindow(60, '1h') } }),
    )
    for (const limiter of limiters) await limiter.peek('u')
    await until(
      async () =>
        Number(await redis.command(['ZCARD', 'evenkeel:rate-limiter:again:{instances}:members'])) === 1,
    )
    await until(() => limiters.every((limiter) => limiter.stats().instances === 1))
    // Nothing that comes later counts them separately.
    await new Promise((resolve) => setTimeout(resolve, 400))
    expect(limiters.map((limiter) => limiter.stats().instances)).toEqual([1, 1, 1, 1])
    await own.kill()
    let admitted = 0
    for (let count = 0; count < 30; count++)
      for (const limiter of limiters) if ((await limiter.check('u')).allowed) admitted++
    expect(admitted).toBe(60)
    for (const limiter of limiters.slice(1)) await limiter.close()
    // The limiter that was not closed still decides.
    expect((await limiters[0]?.check('v'))?.allowed).toBe(true)
    await limiters[0]?.close()
    await own.close()
  })

  it('made anew on a new connection, as by a hot reload, take over the whole part', async () => {
    const own = await startRedis()
    const connections = await Promise.all(
      Array.from({ length: 5 }, () => connect({ url: own.url, commandTimeout: 200 })),
    )
    const make = (redis: (typeof connections)[number]) =>
      createRateLimiter({ redis, name: 'reloaded', limits: { r: fixedWindow(60, '1h') } })
    const reloaded = connections.map(make)
    const last = reloaded.at(-1)
    await last?.peek('u')
    await until(() => last?.stats().instances === 1)
    await new Promise((resolve) => setTimeout(resolve, 300))
    await own.kill()
    let admitted = 0
    for (let count = 0; count < 70; count++) if ((await last?.check('v'))?.allowed) admitted++
    expect(admitted).toBe(60)
    for (const limiter of reloaded) await limiter.close()
    for (const redis of connections) await redis.close()
    await own.close()
  })

  it('whose limits differ are warned of, once, with both', async () => {
    await using redis = await connect({ url: server.url })
    await using other = await connect({ url: server.url })
    const emitWarning = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    const api = createRateLimiter({ redis, name: 'same', limits: { requests: slidingWindow(100, '1m') } })
    createRateLimiter({ redis, name: 'same', limits: { requests: slidingWindow(100, '1m') } })
    expect(emitWarning).not.toHaveBeenCalled()
    const login = createRateLimiter({
      redis: other,
      name: 'same',
      limits: { requests: slidingWindow(5, '1m') },
    })
    createRateLimiter({ redis: other, name: 'same', limits: { requests: slidingWindow(5, '1m') } })
    expect(emitWarning).toHaveBeenCalledOnce()
    const [text, options] = emitWarning.mock.calls[0] ?? []
    expect(text).toContain("'same'")
    expect(text).toContain('requests: sliding-window of 100')
    expect(text).toContain('requests: sliding-window of 5')
    expect(options).toMatchObject({ code: 'EVENKEEL_LIMITER_NAME' })
    emitWarning.mockRestore()
    await api.close()
    await login.close()
  })

  it.each([
    { others: ['!', '~'], rank: 1, admitted: 1 },
    { others: ['!', '!!'], rank: 2, admitted: 0 },
  ])(
    'of three instances the one of rank $rank admits $admitted of 2 in an outage',
    async ({ others, admitted }) => {
      const own = await startRedis()
      await using redis = await connect({ url: own.url, commandTimeout: 500 })
      const limiter = createRateLimiter({
        redis,
        name: 'ranked',
        limits: { r: fixedWindow(2, '1h') },
        stats: false,
      })
      await limiter.peek('u')
      const key = (part: string) => `evenkeel:rate-limiter:ranked:{instances}:${part}`
      await until(async () => Number(await own.command('EXISTS', key('ranks'))) === 1)
      // Other instances came and went while the ranks were lost, as by eviction: the next beat rebuilds the ranks.
      for (const other of others)
        await own.command('ZADD', key('members'), String(Date.now() + 60_000), other)
      await own.command('ZADD', key('ranks'), '0', 'gone')
      await until(() => limiter.stats().instances === 3)
      expect(await own.command('ZCARD', key('ranks'))).toBe(3)
      await own.kill()
      let count = 0
      for (let asked = 0; asked < 3; asked++) if ((await limiter.check('v')).allowed) count++
      expect(count).toBe(admitted)
      await limiter.close()
      await own.close()
    },
  )

  it('announce their limits in Redis, as JSON that other tools read', async () => {
    await using redis = await connect({ url: server.url })
    const limiter = createRateLimiter({
      redis,
      name: 'announced',
      limits: {
        tokens: tokenBucket({ capacity: 900, refill: 30, every: '1s' }),
        requests: slidingWindow(1_000, '1m', { lease: true }),
        daily: fixedWindow(60, '1d', { unit: 'requests' }),
        parallel: concurrency(8, { lease: '2m' }),
      },
    })
    await limiter.peek('u')
    const text = await until(() =>
      redis.command(['HGET', 'evenkeel:rate-limiter:announced:{instances}:epoch', 'limits']),
    )
    expect(JSON.parse(String(text))).toEqual([
      { name: 'daily', kind: 'fixed-window', limit: 60, windowMs: 86_400_000, align: 'clock' },
      { name: 'parallel', kind: 'concurrency', limit: 8, leaseMs: 120_000 },
      {
        name: 'requests',
        kind: 'sliding-window',
        limit: 1_000,
        windowMs: 60_000,
        lease: { forMs: 3_000 },
      },
      { name: 'tokens', kind: 'token-bucket', limit: 900, refill: 30, everyMs: 1_000 },
    ])
    await limiter.close()
  })
})

describe('options', () => {
  const make = (options: object) => () =>
    createRateLimiter(options as Parameters<typeof createRateLimiter>[0])
  const bucket = tokenBucket({ capacity: 10, refill: 10, every: '1m' })

  it.each([
    [
      'an unknown name',
      { limits: { bucket }, onOutages: 'deny' },
      "onOutages: expected no member of this name (did you mean 'onOutage'?)",
    ],
    [
      'a connection that was not awaited',
      { limits: { bucket }, redis: Promise.resolve() },
      'redis: expected a connection, awaited',
    ],
    [
      'a lease put in by hand',
      { limits: { bucket: { ...bucket, lease: true } } },
      'limits.bucket.lease: expected a limit made by tokenBucket(',
    ],
    [
      'a limit of JSON with a text',
      { limits: { r: { kind: 'sliding-window', limit: '5', windowMs: 1_000 } } },
      'limits.r.limit: expected a limit made by slidingWindow(',
    ],
    [
      'a limit of JSON without its window',
      { limits: { r: { kind: 'fixed-window', limit: 5 } } },
      'limits.r.windowMs',
    ],
    [
      'a limit of JSON with another member',
      { limits: { r: { ...slidingWindow(5, '1s'), per: '1s' } } },
      'limits.r.per',
    ],
    ['a limit that is none', { limits: { r: 60 } }, 'limits.r: expected slidingWindow('],
    ['a metric provider misnamed', { limits: { bucket }, telemetry: { provider: {} } }, 'telemetry.provider'],
    [
      'a clock that is none',
      { limits: { bucket }, clock: Date },
      'clock: expected an object with now() and monotonic()',
    ],
  ])('refuse %s', (_, options, message) => {
    expect(make(options)).toThrow(message)
  })

  it('take limits that went through JSON', async () => {
    const limits = JSON.parse(
      JSON.stringify({ bucket, r: slidingWindow(5, '1s', { lease: true }) }),
    ) as Record<string, Limit>
    expect((await createRateLimiter({ limits }).check('u')).allowed).toBe(true)
  })

  it.each([
    [5_000_000, '30d'],
    [100_000_000, '1d'],
    [4_999_999, '30d'],
    [2_000_000_000, '30d'],
  ] as const)('take a bucket of %d tokens in %s, and never give more', async (capacity, every) => {
    const limit = tokenBucket({ capacity, refill: capacity, every })
    // A millisecond refills more than a token.
    const limiter = createRateLimiter({ limits: { tokens: limit }, clock: new ManualClock() })
    expect(await limiter.check('u', { tokens: capacity })).toMatchObject({ allowed: true, remaining: 0 })
    expect((await limiter.check('u', { tokens: 1 })).allowed).toBe(false)
    const exactly = capacity / (Number.parseInt(every, 10) * 86_400_000)
    expect(limit.refill / limit.everyMs).toBeLessThanOrEqual(exactly)
    expect(limit.refill / limit.everyMs).toBeGreaterThan(exactly * 0.999_99)
  })
})
