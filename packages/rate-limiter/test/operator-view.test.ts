import { connect } from '@evenkeel/core'
import { describe, expect, it } from 'vitest'
import { concurrency, createRateLimiter, fixedWindow, slidingWindow, tokenBucket } from '../src/index.js'
import { readLimiter, readLimiters } from '../src/store.js'
import { useRedis } from './support.js'

const redis = useRedis()

describe('what Redis knows of limiters', () => {
  const limits = {
    requests: slidingWindow(3, '1m', { lease: true }),
    tokens: tokenBucket({ capacity: 1_000, refill: 10, every: '1s', unit: 'tokens' }),
    day: fixedWindow(50, '1d', { align: 'first-use' }),
    parallel: concurrency(2),
  }

  it('has every kind of limit as it was made, who was counted, and takes no share itself', async () => {
    const [first, second] = await redis.instances(2, { limits, name: 'chat', denialMemory: 0 })
    if (first?.redis === undefined || second?.redis === undefined) throw new Error('no instance was made')
    for (let count = 0; count < 5; count++) await first.limiter.check('user:1', { requests: 1, tokens: 100 })
    const held = await second.limiter.reserve('user:1', { parallel: 1 })
    await second.limiter.block('user:2', '1m')
    // Both limiters are in this process, so they are one instance.
    await expect
      .poll(async () => (await readLimiter(second.redis, 'chat'))?.instances, { timeout: 10_000 })
      .toBe(1)

    const view = await readLimiter(second.redis, 'chat')
    const { unit: _, ...tokens } = limits.tokens
    expect(view?.limits).toEqual({ ...limits, tokens })
    await expect
      .poll(async () => (await view?.inspect('user:1'))?.denied, { timeout: 10_000 })
      .toBeGreaterThan(0)
    expect(await view?.inspect('user:1')).toMatchObject({
      subject: 'user:1',
      blocked: false,
      source: 'redis',
      limits: { requests: { used: 3, remaining: 0 }, parallel: { used: 1, remaining: 1 } },
    })
    expect(await view?.inspect('user:2')).toMatchObject({ blocked: true })
    expect((await view?.overview(1))?.top).toMatchObject([{ subject: 'user:1' }])

    await view?.reset('user:2')
    expect(await second.limiter.inspect('user:2')).toMatchObject({ blocked: false })
    expect((await readLimiter(second.redis, 'chat'))?.instances).toBe(1)
    await held.cancel()
  })

  it('lists them by name, of its own namespace alone', async () => {
    const other = await connect({ url: redis.server.url, namespace: 'other[*]' })
    const names = ['b.two', 'a-one']
    const limiters = names.map((name) =>
      createRateLimiter({ redis: other, name, limits: { r: slidingWindow(1, '1m') } }),
    )
    for (const limiter of limiters) await limiter.check('somebody')
    const listed = async () => (await readLimiters(other)).map(({ name }) => name)
    await expect.poll(listed).toEqual(['a-one', 'b.two'])
    expect(await readLimiter(other, 'chat')).toBeUndefined()
    for (const limiter of limiters) await limiter.close()
    await other.close()
  })

  it('passes by what another version wrote', async () => {
    const other = await connect({ url: redis.server.url, namespace: 'newer' })
    const key = `${other.namespace}rate-limiter:x:{instances}:epoch`
    for (const list of ['no JSON', '[{"name":"r","kind":"of-tomorrow","limit":1}]', '7']) {
      await other.command(['HSET', key, 'limits', list])
      expect(await readLimiters(other)).toEqual([])
    }
    await other.close()
  })
})
