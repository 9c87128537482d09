import { connect } from '@evenkeel/core'
import {
  type FaultProxy,
  fairTime,
  fillMemory,
  type RedisServer,
  startProxy,
  startRedis,
  until,
} from '@evenkeel/test-servers'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { concurrency, createRateLimiter, type Limit, slidingWindow } from '../src/index.js'

let server: RedisServer
let proxy: FaultProxy
const closing: (() => Promise<unknown>)[] = []

beforeEach(async () => {
  server = await startRedis()
  proxy = await startProxy({ host: server.host, port: server.port })
})
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
  await proxy.close()
  await server.close()
})

async function make<Name extends string>(limits: Record<Name, Limit>, options: object = {}) {
  const redis = await connect({ url: proxy.url, commandTimeout: 200 })
  const limiter = createRateLimiter({ redis, name: 'outage', limits, ...options })
  closing.push(
    () => limiter.close(),
    () => redis.close(),
  )
  return { redis, limiter }
}

async function goneAndBack(
  redis: { state: string },
  limiter: { state: string },
  meanwhile: () => Promise<void>,
) {
  await server.kill()
  await until(() => redis.state === 'down', 2_000)
  await meanwhile()
  await server.restart()
  await until(() => limiter.state === 'primary', 5_000)
}

describe('a rate limiter whose Redis fails', () => {
  it('never charges a call less than once when the reply is lost, and answers in time', async () => {
    const { limiter } = await make({ r: slidingWindow(100, '1h') })
    await limiter.check('u', { r: 10 })
    const dropped = proxy.dropReplies(1, (command) => command.some((word) => word.includes('{u}')))
    using time = fairTime()
    const decision = await limiter.check('u', { r: 10 })
    expect(time.elapsedMs()).toBeLessThan(1_000)
    expect(decision).toMatchObject({ allowed: true, source: 'memory' })
    expect(dropped.commands).toHaveLength(1)
    await proxy.restore()
    await until(() => limiter.state === 'primary', 5_000)
    await vi.waitFor(async () => {
      const { remaining, source } = await limiter.peek('u', { r: 0 })
      expect(source).toBe('redis')
      // Redis ran the call and is sent its charge again: it may count twice, but never not at all.
      expect(remaining).toBeLessThanOrEqual(80)
      expect(remaining).toBeGreaterThanOrEqual(70)
    }, 5_000)
  })

  it('settles on its return what was reserved before', async () => {
    const { redis, limiter } = await make({ tokens: slidingWindow(1_000, '1h') })
    const reserved = await limiter.reserve('u', { tokens: 600 })
    await goneAndBack(redis, limiter, async () => {
      expect(await reserved.settle({ tokens: 100 })).toBe(true)
    })
    await vi.waitFor(async () => {
      const { remaining, source } = await limiter.peek('u', { tokens: 0 })
      expect(source).toBe('redis')
      // The restart emptied Redis, so the reservation is charged again, without what was refunded.
      expect(remaining).toBeGreaterThanOrEqual(400)
    }, 5_000)
  })

  it('leaves slots to their holders, and holds them again on its return', async () => {
    const { redis, limiter } = await make({ parallel: concurrency(2, { lease: '20s' }) })
    const held = await limiter.reserve('u')
    await goneAndBack(redis, limiter, async () => {
      expect(held.signal.aborted).toBe(false)
      const second = await limiter.reserve('u')
      expect(second).toMatchObject({ allowed: true, source: 'memory' })
      expect((await limiter.reserve('u')).allowed).toBe(false)
    })
    expect(Number(await server.command('ZCARD', 'evenkeel:rate-limiter:outage:{u}:parallel:held'))).toBe(2)
    expect((await limiter.reserve('u')).allowed).toBe(false)
    expect(held.signal.aborted).toBe(false)
    await held.cancel()
    // Well before the lease ends, so it is the holder who has released the slot.
    await expect.poll(async () => (await limiter.reserve('u')).allowed, { timeout: 5_000 }).toBe(true)
  })

  it('lets those who wait through, in memory', async () => {
    const { redis, limiter } = await make({ r: slidingWindow(1, 600), parallel: concurrency(1) })
    await limiter.wait('u', { r: 1 })
    const waiting = limiter.wait('u', { r: 1 }, { timeout: '5s' })
    await server.kill()
    await until(() => redis.state === 'down', 2_000)
    await expect(waiting).resolves.toMatchObject({ allowed: true })
    await expect(limiter.wait('u', { r: 1 }, { timeout: '5s' })).resolves.toMatchObject({ source: 'memory' })
    await expect(limiter.run('v', undefined, () => 'ran')).resolves.toBe('ran')
  })

  it('spends leased quota while it lasts', async () => {
    const lease = { size: 50, maxIdle: '2s' as const }
    const { redis, limiter } = await make({ r: slidingWindow(1_000, '1m', { lease }) })
    await limiter.check('u')
    await server.kill()
    await until(() => redis.state === 'down', 2_000)
    expect(await limiter.check('u')).toMatchObject({ allowed: true, source: 'redis' })
  })

  it('answers from memory while the server has no memory left, and from Redis when it has', async () => {
    const { limiter } = await make({ r: slidingWindow(100, '1h') })
    await limiter.check('u')
    {
      await using _full = await fillMemory(server)
      await expect.poll(async () => (await limiter.check('u')).source).toBe('memory')
    }
    await expect.poll(async () => (await limiter.check('u')).source).toBe('redis')
  })

  it('survives SCRIPT FLUSH between two decisions', async () => {
    const { limiter } = await make({ r: slidingWindow(100, '1h') })
    await limiter.check('u')
    await server.command('SCRIPT', 'FLUSH')
    expect(await limiter.check('u')).toMatchObject({ allowed: true, remaining: 98, source: 'redis' })
  })

  it('charges again what an emptied server forgot, without any outage', async () => {
    const { limiter } = await make({ r: slidingWindow(100, '1h') }, { denialMemory: 0 })
    await limiter.check('u', { r: 60 })
    // The instance has announced itself, so it will notice another epoch.
    await expect
      .poll(() => server.command('EXISTS', 'evenkeel:rate-limiter:outage:{instances}:epoch'))
      .toBe(1)
    await server.command('FLUSHALL')
    await expect.poll(async () => (await limiter.peek('u', { r: 0 })).remaining).toBe(40)
  })
})
