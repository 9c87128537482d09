import { concurrency, createRateLimiter, slidingWindow } from '@evenkeel/rate-limiter'
import { RedisLimitStore, readLimiters } from '@evenkeel/rate-limiter/store'
import { testLimitStore } from '@evenkeel/rate-limiter/testing'
import { expect, it } from 'vitest'
import { proveRules } from './proof.js'

let stores = 0

proveRules('rate-limiter', ({ redis }) => {
  testLimitStore('Redis', {
    create: (clock) => new RedisLimitStore(redis(), { name: `s${stores++}`, now: () => clock.now() }),
  })

  it('instances announce themselves, subjects are counted, and an operator sees both', async () => {
    const limiter = createRateLimiter({
      redis: redis(),
      name: 'chat',
      limits: { requests: slidingWindow(3, '1m', { lease: true }), parallel: concurrency(2) },
      denialMemory: 0,
    })
    try {
      for (let call = 0; call < 5; call++) await limiter.check('user:1', { requests: 1 })
      await limiter.run('user:1', { parallel: 1 }, async () => 'done')
      expect(await limiter.sharedStats()).toMatchObject({ denied: 2 })
      expect(await limiter.inspect('user:1')).toMatchObject({ denied: 2, source: 'redis' })
      await expect.poll(async () => (await readLimiters(redis())).map(({ name }) => name)).toEqual(['chat'])
      const [view] = await readLimiters(redis())
      expect(view).toMatchObject({ instances: 1 })
      expect((await view?.overview(1))?.top).toMatchObject([{ subject: 'user:1' }])
      await limiter.reset('user:1')
    } finally {
      await limiter.close()
    }
  })
})
