import { ManualClock } from '@evenkeel/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MemoryLimitStore, slidingWindow, tokenBucket } from '../src/index.js'

const calls = fc.array(fc.record({ waitMs: fc.nat(60), cost: fc.nat(30) }), { minLength: 20, maxLength: 200 })

describe('promise 4: a limit holds', () => {
  it.each([slidingWindow(40, 500), slidingWindow(150, 500)])('in every rolling window: %j', async (limit) => {
    await fc.assert(
      fc.asyncProperty(calls, async (steps) => {
        const clock = new ManualClock()
        const store = new MemoryLimitStore({ clock })
        const admitted: { at: number; cost: number }[] = []
        for (const { waitMs, cost } of steps) {
          clock.advance(waitMs)
          const { allowed } = await store.decide('u', [{ name: 'l', limit, cost }], false)
          if (allowed) admitted.push({ at: clock.now(), cost })
        }
        for (const { at } of admitted) {
          const window = admitted.filter((one) => one.at <= at && one.at > at - limit.windowMs)
          expect(window.reduce((sum, { cost }) => sum + cost, 0)).toBeLessThanOrEqual(limit.limit)
        }
      }),
    )
  })

  it('over any span: a bucket gives its capacity and what refilled, and no more', async () => {
    const limit = tokenBucket({ capacity: 30, refill: 7, every: 100 })
    await fc.assert(
      fc.asyncProperty(calls, async (steps) => {
        const clock = new ManualClock()
        const store = new MemoryLimitStore({ clock })
        const start = clock.now()
        let admitted = 0
        for (const { waitMs, cost } of steps) {
          clock.advance(waitMs)
          if ((await store.decide('u', [{ name: 'l', limit, cost }], false)).allowed) admitted += cost
          expect(admitted).toBeLessThanOrEqual(30 + ((clock.now() - start) * 7) / 100)
        }
      }),
    )
  })
})

describe('promise 5: the memory store is bounded', () => {
  it('forgets the least recently used subjects', async () => {
    const store = new MemoryLimitStore({ maxEntries: 100 })
    const limit = slidingWindow(5, '1m')
    for (let index = 0; index < 1_000; index++) {
      await store.decide(`user:${index}`, [{ name: 'l', limit, cost: 1 }], false)
      await store.decide('regular', [{ name: 'l', limit, cost: 0 }], false)
    }
    expect(store.size).toBeLessThanOrEqual(100)
  })
})
