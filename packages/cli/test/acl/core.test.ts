import { createKeyValueStore, lock } from '@evenkeel/core'
import { RedisKeyValueStore } from '@evenkeel/core/key-value'
import { testKeyValueStore } from '@evenkeel/core/testing'
import { passTime } from '@evenkeel/test-servers'
import { expect, it } from 'vitest'
import { type ProofContext, proveRules } from './proof.js'

const register = ({ redis }: ProofContext) => {
  testKeyValueStore('Redis', { create: () => new RedisKeyValueStore(redis()), pass: passTime })

  it('values are cleared by their prefix', async () => {
    const values = createKeyValueStore({ redis: redis(), prefix: 'values', onOutage: 'throw' })
    await values.set('a', 1)
    expect(await values.clear()).toBe(1)
    expect(await values.get('a')).toBeUndefined()
  })

  it('a lock is held, extended and released', async () => {
    const held = await lock(redis(), 'job', { ttl: '5s' })
    expect(held.source).toBe('redis')
    await held.extend('10s')
    await expect(lock(redis(), 'job', { ttl: '5s' })).rejects.toThrow()
    await held.release()
  })

  it('a transaction is executed', async () => {
    expect(
      await redis().transaction([
        ['SET', 'evenkeel:{t}:a', '1'],
        ['GET', 'evenkeel:{t}:a'],
      ]),
    ).toEqual(['OK', '1'])
  })

  it('a message is heard, until nobody listens', async () => {
    const heard: string[] = []
    const subscription = await redis().subscribe('news', (message) => heard.push(message))
    await redis().publish('news', 'hello')
    await expect.poll(() => heard).toEqual(['hello'])
    await subscription.close()
  })
}

// The suite's keys have no namespace, which only the facade adds.
proveRules('core', register, { keys: '*' })
