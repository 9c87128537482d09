import { createCache, createResponseCache } from '@evenkeel/llm-response-cache'
import { createRedisStores } from '@evenkeel/llm-response-cache/store'
import { testEntryStore, testFlightStore, testSemanticIndex } from '@evenkeel/llm-response-cache/testing'
import { passTime } from '@evenkeel/test-servers'
import { expect, it } from 'vitest'
import { MirroredIndex } from '../../../llm-response-cache/src/semantic/index/mirrored.js'
import { RedisLearningStore } from '../../../llm-response-cache/src/semantic/learning/redis.js'
import { proveRules } from './proof.js'

proveRules('llm-response-cache', ({ redis }) => {
  testEntryStore('Redis', { create: () => createRedisStores(redis()).entries, pass: passTime })
  testFlightStore('Redis', { create: () => createRedisStores(redis()), pass: passTime })
  testSemanticIndex('Redis', { create: () => new MirroredIndex(redis()), pass: passTime })

  it('answers are cached, cleared, invalidated and counted', async () => {
    const cache = createResponseCache({ redis: redis() })
    const other = createResponseCache({ redis: redis() })
    try {
      let calls = 0
      const ask = cache.wrap(async (question: string) => `${question} ${++calls}`, { name: 'ask' })
      expect([await ask('q'), await ask('q')]).toEqual(['q 1', 'q 1'])
      await cache.clear()
      await expect.poll(() => ask('q')).toBe('q 2')
      await cache.close()
      expect(await other.sharedStats()).toMatchObject({ misses: 2, errors: 0 })
    } finally {
      await cache.close()
      await other.close()
    }
  })

  it('values are set, read and deleted by their names', async () => {
    const cache = createCache({ redis: redis(), kind: 'search' })
    try {
      expect(await cache.set('q', 'v')).toBe(true)
      expect(await cache.get('q')).toBe('v')
      await cache.delete('q')
      expect(await cache.get('q')).toBeUndefined()
    } finally {
      await cache.close()
    }
  })

  it('what audits of semantic hits taught is recorded, read and advanced', async () => {
    const store = new RedisLearningStore(redis())
    const learning = { tenant: 't', name: 'ask' }
    const { epoch } = await store.read(learning)
    await store.record(learning, { id: 'one', epoch, line: 'audit', drift: undefined })
    expect(await store.audits(learning)).toEqual(['audit'])
    expect(await store.advance(learning, epoch, 'policy')).toBe(true)
  })
})
