import { createResponseCache } from '@evenkeel/llm-response-cache'
import { createRedisStores } from '@evenkeel/llm-response-cache/store'
import { testEntryStore, testFlightStore } from '@evenkeel/llm-response-cache/testing'
import { passTime } from '@evenkeel/test-servers'
import { expect, it } from 'vitest'
import { proveRules } from './proof.js'

proveRules('llm-response-cache', ({ redis }) => {
  testEntryStore('Redis', { create: () => createRedisStores(redis()).entries, pass: passTime })
  testFlightStore('Redis', { create: () => createRedisStores(redis()), pass: passTime })

  it('answers are cached, counted, invalidated, listed by pattern and cleared', async () => {
    const cache = createResponseCache({ redis: redis() })
    const other = createResponseCache({ redis: redis() })
    try {
      let calls = 0
      const ask = cache.wrap(async (question: string) => `${question} ${++calls}`, { name: 'ask' })
      expect([await ask('q'), await ask('q')]).toEqual(['q 1', 'q 1'])
      await cache.clear({ pattern: '*' })
      await expect.poll(() => ask('q')).not.toBe('q 1')
      await cache.invalidate({ tags: ['t'] })
      await cache.clear()
      expect(await other.sharedStats()).toMatchObject({ errors: 0 })
    } finally {
      await cache.close()
      await other.close()
    }
  })
})
