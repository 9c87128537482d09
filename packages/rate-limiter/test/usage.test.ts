import { describe, expect, it } from 'vitest'
import { concurrency, slidingWindow } from '../src/index.js'
import { useRedis } from './support.js'

const redis = useRedis()

describe.each(['memory', 'redis'])('statistics in %s', (where) => {
  it('tell of a subject what it used, and how often it was admitted and denied', async () => {
    const limiter = await redis.limiter(where, {
      limits: { r: slidingWindow(3, '1m'), parallel: concurrency(2) },
      denialMemory: 0,
    })
    for (let count = 0; count < 5; count++) await limiter.check('user:1', { r: 1 })
    const held = await limiter.reserve('user:1', { parallel: 1 })
    const stats = await limiter.inspect('user:1')
    expect(stats).toMatchObject({
      subject: 'user:1',
      allowed: 4,
      denied: 2,
      blocked: false,
      source: where,
      limits: {
        r: { used: 3, remaining: 0, limit: 3 },
        parallel: { used: 1, remaining: 1, limit: 2 },
      },
    })
    expect(Math.abs(stats.lastSeenAtMs - Date.now())).toBeLessThan(10_000)
    expect(await limiter.inspect('nobody')).toMatchObject({ allowed: 0, denied: 0, lastSeenAtMs: 0 })
    await held.cancel()
  })

  it('tell of all', async () => {
    const limiter = await redis.limiter(where, {
      limits: { r: slidingWindow(2, '1m'), other: slidingWindow(100, '1m') },
      denialMemory: 0,
    })
    for (let count = 0; count < 6; count++) await limiter.check('greedy')
    await limiter.check('modest')
    await limiter.check([
      { subject: 'modest', r: 1 },
      { subject: 'org', other: 5 },
    ])
    const usage = await limiter.sharedStats({ top: 2 })
    expect(usage).toMatchObject({
      allowed: 5,
      denied: 4,
      deniedBy: { r: 4 },
      fallback: 0,
      abandoned: 0,
      waiting: 0,
      instances: 1,
    })
    expect(usage.top.map(({ subject, allowed, denied }) => [subject, allowed, denied])).toEqual([
      ['greedy', 2, 4],
      ['modest', 2, 0],
    ])
    await expect(limiter.sharedStats({ top: -1 })).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })

  it('can be left out', async () => {
    const limiter = await redis.limiter(where, { limits: { r: slidingWindow(2, '1m') }, stats: false })
    await limiter.check('u')
    expect(await limiter.sharedStats()).toMatchObject({ allowed: 0, top: [] })
    expect((await limiter.inspect('u')).limits.r.used).toBe(1)
  })
})

describe('statistics of several instances', () => {
  it('are counted together, take no round trip a call, and stay bounded', async () => {
    const [one, two] = await redis.instances(2, { limits: { r: slidingWindow(5_000, '1m') } })
    for (let index = 0; index < 1_200; index++) await one?.limiter.check(`s${index}`)
    await two?.limiter.check('s1199')
    await one?.limiter.sharedStats()
    const usage = await two?.limiter.sharedStats({ top: 1_000 })
    expect(usage?.allowed).toBe(1_201)
    expect(usage?.top.length).toBeLessThanOrEqual(1_000)
    expect(usage?.top[0]).toMatchObject({ subject: 's1199', allowed: 2 })
  })

  it('keep in Redis the 1,000 subjects seen last, however many come within a second', async () => {
    const [one] = await redis.instances(1, { name: 'crowd', limits: { r: slidingWindow(5, '1m') } })
    await Promise.all(Array.from({ length: 3_500 }, (_, index) => one?.limiter.check(`s${index}`)))
    expect((await one?.limiter.sharedStats())?.allowed).toBe(3_500)
    for (const part of ['allowed', 'denied', 'seen'])
      expect(
        await redis.server.command('ZCARD', `evenkeel:rate-limiter:crowd:{usage}:${part}`),
        part,
      ).toBeLessThanOrEqual(1_000)
  })
})
