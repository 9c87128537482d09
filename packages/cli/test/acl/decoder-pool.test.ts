import { createDecoderPool } from '@evenkeel/decoder-pool'
import {
  RedisExperimentStore,
  RedisHealthStore,
  RedisRegistryStore,
  RedisSlotStore,
} from '@evenkeel/decoder-pool/store'
import {
  testExperimentStore,
  testHealthStore,
  testRegistryStore,
  testSlotStore,
} from '@evenkeel/decoder-pool/testing'
import { passTime } from '@evenkeel/test-servers'
import { expect, it } from 'vitest'
import { proveRules } from './proof.js'

let pools = 0

proveRules('decoder-pool', ({ redis }) => {
  const name = () => `p${pools++}`
  testRegistryStore('Redis', {
    create: (limits) => new RedisRegistryStore(redis(), name(), limits),
    pass: passTime,
  })
  testHealthStore('Redis', { create: () => new RedisHealthStore(redis(), name()), pass: passTime })
  testSlotStore('Redis', { create: () => new RedisSlotStore(redis(), name()), pass: passTime })
  testExperimentStore('Redis', { create: () => new RedisExperimentStore(redis(), name()) })

  it('two coordinators share nodes', async () => {
    const pool = name()
    // Without polling, only a message can tell the other coordinator.
    const options = { redis: redis(), name: pool, probe: false, pollInterval: '1h' } as const
    const one = await createDecoderPool(options)
    const other = await createDecoderPool(options)
    try {
      const node = await one.register({ endpoint: 'http://10.0.0.7:8000' })
      await expect.poll(() => other.status().nodes.map(({ node: { id } }) => id)).toEqual([node.id])
      await other.deregister(node.id)
      await expect.poll(() => one.status().nodes).toEqual([])
    } finally {
      await one.close()
      await other.close()
    }
  })
})
