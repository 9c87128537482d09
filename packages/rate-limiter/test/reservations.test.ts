import { connect } from '@evenkeel/core'
import { until } from '@evenkeel/test-servers'
import { describe, expect, it } from 'vitest'
import { concurrency, createRateLimiter, slidingWindow, tokenBucket } from '../src/index.js'
import { useRedis } from './support.js'

const redis = useRedis()

const limits = {
  requests: slidingWindow(10, '1m'),
  tokens: tokenBucket({ capacity: 1_000, refill: 1, every: '1h' }),
  parallel: concurrency(2, { lease: 300 }),
}

describe.each(['memory', 'redis'])('a reservation in %s', (where) => {
  const make = () => redis.limiter(where, { limits, denialMemory: 0 })
  const left = async (limiter: Awaited<ReturnType<typeof make>>) =>
    (await limiter.peek('u', { tokens: 0 })).remaining

  it('charges the estimate, and settles the difference once', async () => {
    const limiter = await make()
    const reserved = await limiter.reserve('u', { requests: 1, tokens: 600 })
    expect(reserved).toMatchObject({ allowed: true, source: where })
    expect(await left(limiter)).toBe(400)
    expect(await reserved.settle({ tokens: 150 })).toBe(true)
    expect(await left(limiter)).toBe(850)
    await reserved.settle({ tokens: 900 })
    await reserved.cancel()
    expect(await left(limiter)).toBe(850)
    expect((await limiter.peek('u', { requests: 0 })).remaining).toBe(9)
  })

  it('charges what was more, even beyond the limit: the debt is paid by waiting', async () => {
    const limiter = await make()
    const reserved = await limiter.reserve('u', { tokens: 900 })
    await reserved.settle({ tokens: 1_500 })
    expect(await limiter.check('u', { tokens: 1 })).toMatchObject({ allowed: false, remaining: 0 })
  })

  it('gives all back when it is cancelled', async () => {
    const limiter = await make()
    const reserved = await limiter.reserve('u')
    expect(await reserved.cancel()).toBe(true)
    expect(await limiter.peek('u', { requests: 0, tokens: 0 })).toMatchObject({
      limits: { requests: { remaining: 10 }, tokens: { remaining: 1_000 } },
    })
  })

  it('that was denied has nothing to give back', async () => {
    const limiter = await make()
    await limiter.check('u', { tokens: 1_000 })
    const denied = await limiter.reserve('u', { requests: 1, tokens: 1 })
    expect(denied).toMatchObject({ allowed: false, limitedBy: 'tokens' })
    await denied.settle({ tokens: 500 })
    await denied.cancel()
    expect((await limiter.peek('u', { requests: 0 })).remaining).toBe(10)
  })

  it('cost what was reserved where nothing is said of it, and gives the slot back', async () => {
    const limiter = await make()
    const reserved = await limiter.reserve('u', { tokens: 10, parallel: 2 })
    expect(await reserved.settle()).toBe(true)
    expect((await limiter.peek('u', { tokens: 0 })).remaining).toBe(990)
    expect((await limiter.reserve('u', { parallel: 2 })).allowed).toBe(true)
  })

  it.each([
    { nothing: 1 },
    { tokens: -1 },
    { tokens: 0.5 },
    { tokens: Number.NaN },
    { parallel: 1 },
    null,
    5,
    'ten',
  ])('refuses to be settled with %j', async (actual) => {
    const limiter = await make()
    const reserved = await limiter.reserve('u', { tokens: 10 })
    await expect(reserved.settle(actual as { tokens: number })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    })
    expect(await reserved.settle({ tokens: 5 })).toBe(true)
  })

  it('holds a slot until it is settled, and renews its lease meanwhile', async () => {
    // The lease is long enough for both slots to be renewed in time, even on a busy machine.
    const limiter = await redis.limiter(where, {
      limits: { parallel: concurrency(2, { lease: '1500ms' }) },
      denialMemory: 0,
    })
    const [one, two] = [
      await limiter.reserve('u', { parallel: 1 }),
      await limiter.reserve('u', { parallel: 1 }),
    ]
    expect(two.allowed).toBe(true)
    const startedAt = performance.now()
    // Twice the lease: without renewals the slots would be free.
    while (performance.now() - startedAt < 3_100) {
      expect((await limiter.reserve('u', { parallel: 1 })).allowed).toBe(false)
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    expect(one.signal.aborted).toBe(false)
    await one.settle({})
    const three = await limiter.reserve('u', { parallel: 1 })
    expect(three.allowed).toBe(true)
    await two.cancel()
    await three.cancel()
  })

  it('gives its slot back when it is disposed of, and leaves the charge', async () => {
    const limiter = await make()
    {
      await using reserved = await limiter.reserve('u', { tokens: 100, parallel: 2 })
      expect(reserved.allowed).toBe(true)
    }
    const again = await limiter.reserve('u', { parallel: 2 })
    expect(again.allowed).toBe(true)
    expect(await left(limiter)).toBe(900)
    await again.cancel()
  })

  it('a check looks whether a slot is free, and takes none', async () => {
    const limiter = await make()
    for (let count = 0; count < 5; count++) expect((await limiter.check('u')).allowed).toBe(true)
    const held = await limiter.reserve('u', { parallel: 2 })
    expect(await limiter.check('u')).toMatchObject({ allowed: false, limitedBy: 'parallel' })
    await expect(limiter.check('u', { parallel: 1 })).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    await held.cancel()
  })
})

describe('slots of several instances', () => {
  it('never exceed the limit together, and a crashed holder gives back by itself', async () => {
    const [one, two] = await redis.instances(2, { limits, denialMemory: 0 })
    const held = await one?.limiter.reserve('u', { parallel: 2 })
    expect(held?.allowed).toBe(true)
    expect((await two?.limiter.reserve('u', { parallel: 1 }))?.allowed).toBe(false)
    // As after a crash, nothing is renewed or released any more.
    await one?.limiter.close()
    await expect.poll(async () => (await two?.limiter.reserve('u', { parallel: 1 }))?.allowed).toBe(true)
  })

  it('tell a holder whose slot was lost', async () => {
    const [one] = await redis.instances(1, { limits, denialMemory: 0 })
    const held = await one?.limiter.reserve('lost', { parallel: 1 })
    for (const key of (await redis.server.command('KEYS', '*{lost}*')) as string[])
      await redis.server.command('DEL', key)
    await expect.poll(() => held?.signal.aborted).toBe(true)
    expect(held?.signal.reason).toMatchObject({ code: 'SLOT_LOST' })
  })
})

describe('a reservation of a process that has no room for another command', () => {
  it('is settled in a moment, and its slot comes free', async () => {
    await using busy = await connect({ url: redis.server.url, maxInFlight: 2, commandTimeout: '10s' })
    const limiter = createRateLimiter({
      redis: busy,
      name: 'busy',
      limits: { parallel: concurrency(1, { lease: '10m' }) },
      stats: false,
    })
    const [other] = await redis.instances(1, {
      name: 'busy',
      limits: { parallel: concurrency(1, { lease: '10m' }) },
    })
    const reserved = await limiter.reserve('u')
    expect(reserved).toMatchObject({ allowed: true, source: 'redis' })
    await until(() => busy.inFlight === 0)
    await redis.server.freeze()
    const waiting = [1, 2].map(() => busy.command(['PING']))
    await expect(limiter.check('v')).rejects.toMatchObject({ code: 'OVERLOADED' })
    expect(await reserved.cancel()).toBe(true)
    await redis.server.resume()
    await Promise.all(waiting)
    await until(async () => (await other?.limiter.peek('u'))?.allowed === true)
    await limiter.close()
  })
})
