import type { Clock } from '@evenkeel/core'
import { systemClock } from '@evenkeel/core/kit'
import { passTime, until } from '@evenkeel/test-servers'
import { describe, expect, it } from 'vitest'
import type { DecoderPool } from '../src/index.js'
import { SharedClock } from '../src/registry/server-clock.js'
import { durable, idsOf, node, useCoordinators, useServers } from './pools.js'

const start = useServers()
const { join } = useCoordinators()

const minutes = (count: number): Clock => ({
  now: () => Date.now() + count * 60_000,
  monotonic: () => systemClock.monotonic() + count * 1_000,
})

/** Two coordinators whose clocks are 20 minutes apart. */
async function apart(options: { readonly lease?: number } = {}) {
  const server = await start(durable)
  const { pool: ahead } = await join(server.url, { clock: minutes(10), ...options })
  const { pool: behind } = await join(server.url, { clock: minutes(-10), ...options })
  return { server, ahead, behind }
}
const capacityIn = (pool: DecoderPool, id = 'a') =>
  pool.status().nodes.find((one) => one.node.id === id)?.node.capacity
const all = (pools: readonly DecoderPool[], holds: (pool: DecoderPool) => boolean) =>
  until(() => pools.every(holds), 5_000)

async function throughOutage(
  { server, ahead, behind }: Awaited<ReturnType<typeof apart>>,
  changes: () => Promise<void>,
): Promise<void> {
  const both = [ahead, behind]
  await server.kill()
  await all(both, (pool) => pool.status().state === 'fallback')
  await changes()
  await server.restart()
  await all(both, (pool) => pool.status().state === 'primary')
}

describe('coordinators with clocks 20 minutes apart', () => {
  it('take the later change for the newer, whoever makes it', async () => {
    const { ahead, behind } = await apart()
    for (let capacity = 1; capacity <= 6; capacity++) {
      await (capacity % 2 === 0 ? ahead : behind).register(node('a', { capacity }))
      await all([ahead, behind], (pool) => capacityIn(pool) === capacity)
    }
    await behind.deregister('a')
    await all([ahead, behind], (pool) => idsOf(pool).length === 0)
    await ahead.register(node('a'))
    await behind.deregister('a')
    await all([ahead, behind], (pool) => idsOf(pool).length === 0)
    await behind.register(node('a', { capacity: 9 }))
    await all([ahead, behind], (pool) => capacityIn(pool) === 9)
  })

  it('see no lease end that is renewed, and see the same ones end', async () => {
    const { ahead, behind } = await apart({ lease: 1_500 })
    await ahead.register(node('a'))
    await behind.register(node('b'))
    await all([ahead, behind], (pool) => idsOf(pool).length === 2)
    let suspects = 0
    const end = performance.now() + 3_000
    await until(() => {
      for (const pool of [ahead, behind]) suspects += pool.status().nodes.filter((one) => one.suspect).length
      return performance.now() > end
    }, 10_000)
    expect(suspects).toBe(0)
    expect(behind.status().preservation).toBeUndefined()
    await ahead.close()
    await until(() => behind.status().nodes.some((one) => one.suspect && one.node.id === 'a'), 10_000)
    expect(behind.status().nodes.find((one) => one.node.id === 'b')?.suspect).toBe(false)
  })

  it('keep the order of what both change in one outage', async () => {
    const made = await apart()
    const { ahead, behind } = made
    for (const name of ['a', 'b', 'c']) await ahead.register(node(name))
    await all([ahead, behind], (pool) => idsOf(pool).length === 3)
    await throughOutage(made, async () => {
      await ahead.register(node('a', { capacity: 5 }))
      await ahead.register(node('b', { capacity: 5 }))
      await behind.deregister('c')
      await passTime(50)
      // By their own clocks, these changes would be 20 minutes earlier or later than those above.
      await behind.register(node('a', { capacity: 7 }))
      await behind.deregister('b')
      await ahead.register(node('c', { capacity: 5 }))
    })
    await all([ahead, behind], (pool) => idsOf(pool).join() === 'a,c' && capacityIn(pool) === 7)
    await all([ahead, behind], (pool) => capacityIn(pool, 'c') === 5)
  })

  it('take what is changed after an outage for newer than what was changed in it', async () => {
    const made = await apart()
    const { ahead, behind } = made
    await ahead.register(node('a'))
    await all([ahead, behind], (pool) => idsOf(pool).length === 1)
    await throughOutage(made, async () => {
      await ahead.register(node('a', { capacity: 5 }))
    })
    await all([ahead, behind], (pool) => capacityIn(pool) === 5)
    await behind.register(node('a', { capacity: 8 }))
    await all([ahead, behind], (pool) => capacityIn(pool) === 8)
  })
})

describe('the shared clock', () => {
  it('is the registry’s, carried on by the monotonic one, and one’s own before it was heard', () => {
    let monotonic = 500
    const clock = new SharedClock({ now: () => 1_000_000, monotonic: () => monotonic })
    expect(clock.now()).toBe(1_000_000)
    clock.heard(7_000_000)
    monotonic += 250
    expect([clock.now(), clock.monotonic()]).toEqual([7_000_250, 750])
  })
})
