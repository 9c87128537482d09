import { ManualClock } from '@evenkeel/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { WindowMeter } from '../src/algorithms/sliding-window.js'
import { fixedWindow, type Limit, slidingWindow, tokenBucket } from '../src/index.js'
import { shareOf } from '../src/outage/share.js'
import { type LimitStore, MemoryLimitStore } from '../src/store.js'

/** Decides one limit of one subject. */
async function ask(store: LimitStore, limit: Limit, cost: number, mode: 'charge' | 'peek' = 'charge') {
  const limitCosts = [{ subject: 'u', name: 'l', limit, cost }]
  const [decision] = await store.decide([{ limitCosts, options: { mode } }])
  return { allowed: decision?.outcome === 'allowed', result: decision?.results[0] }
}

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
          const { allowed } = await ask(store, limit, cost)
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
          if ((await ask(store, limit, cost)).allowed) admitted += cost
          expect(admitted).toBeLessThanOrEqual(30 + ((clock.now() - start) * 7) / 100)
        }
      }),
    )
  })
})

describe('a denial', () => {
  it.each([
    slidingWindow(40, 500),
    slidingWindow(150, 500),
    fixedWindow(40, 500),
    tokenBucket({ capacity: 30, refill: 7, every: 100 }),
  ])('says exactly when the same cost will be admitted: %j', async (limit) => {
    await fc.assert(
      fc.asyncProperty(calls, async (steps) => {
        const clock = new ManualClock()
        const store = new MemoryLimitStore({ clock })
        const decide = async (cost: number, peek: boolean) =>
          (await ask(store, limit, cost, peek ? 'peek' : 'charge')).result
        for (const { waitMs, cost } of steps) {
          clock.advance(waitMs)
          const result = await decide(cost, false)
          if (result === undefined || result.allowed) continue
          clock.advance(result.retryAfterMs - 1)
          expect(await decide(cost, true)).toMatchObject({ allowed: false, retryAfterMs: 1 })
          clock.advance(1)
          expect(await decide(cost, true)).toMatchObject({ allowed: true })
        }
      }),
    )
  })
})

describe('promise 4: the shares of an outage together hold the limit', () => {
  const instances = 3
  const calls = fc.array(
    fc.record({ waitMs: fc.nat(40), cost: fc.nat(12), instance: fc.nat(instances - 1) }),
    { minLength: 50, maxLength: 300 },
  )
  const cluster = (clock: ManualClock, ranked: boolean) =>
    Array.from({ length: instances }, (_, index) => {
      const share = { instances, rank: ranked ? index : undefined }
      return new MemoryLimitStore({ clock, share: () => share })
    })

  it.each([true, false])('of a window (ranks known: %s)', async (ranked) => {
    const limit = slidingWindow(41, 300)
    await fc.assert(
      fc.asyncProperty(calls, async (steps) => {
        const clock = new ManualClock()
        const stores = cluster(clock, ranked)
        const admitted: { at: number; cost: number }[] = []
        for (const { waitMs, cost, instance } of steps) {
          clock.advance(waitMs)
          const store = stores[instance]
          const decision = store && (await ask(store, limit, cost))
          if (decision?.allowed) admitted.push({ at: clock.now(), cost })
          const window = admitted.filter(({ at }) => at > clock.now() - limit.windowMs)
          expect(window.reduce((sum, one) => sum + one.cost, 0)).toBeLessThanOrEqual(limit.limit)
        }
      }),
    )
  })

  it.each([true, false])('of a bucket, its refill too (ranks known: %s)', async (ranked) => {
    const limit = tokenBucket({ capacity: 41, refill: 7, every: 100 })
    await fc.assert(
      fc.asyncProperty(calls, async (steps) => {
        const clock = new ManualClock()
        const stores = cluster(clock, ranked)
        const start = clock.now()
        let admitted = 0
        for (const { waitMs, cost, instance } of steps) {
          clock.advance(waitMs)
          const store = stores[instance]
          const decision = store && (await ask(store, limit, cost))
          if (decision?.allowed) admitted += cost
          // The tolerance is for thirds of a refill, which have no exact binary fraction.
          expect(admitted).toBeLessThanOrEqual(41 + ((clock.now() - start) * 7) / 100 + 1e-6)
        }
      }),
    )
  })

  it('adds up to the limit when ranks are known, and leaves everyone a unit when they are not', () => {
    const part = (limit: number, rank: number | undefined) =>
      shareOf(slidingWindow(limit, '1s'), { instances, rank }).limit
    expect([0, 1, 2].map((rank) => part(41, rank))).toEqual([14, 14, 13])
    expect([0, 1, 2].map((rank) => part(2, rank))).toEqual([1, 1, 0])
    expect(part(2, undefined)).toBe(1)
  })

  it('counts what this instance admitted before, and forgets it in time', async () => {
    const clock = new ManualClock()
    const store = new MemoryLimitStore({ clock, share: () => ({ instances: 2 }) })
    const limitCost = { subject: 'u', name: 'l', limit: slidingWindow(200, '1s'), cost: 1 }
    const cost = (units: number) => ({ ...limitCost, cost: units })
    // Charges of an outage use the slots of the share; charges after it use those of the whole limit.
    store.decideNow([limitCost])
    for (let second = 0; second < 100; second++) {
      clock.advance(100)
      store.mirror([cost(5)], clock.now())
    }
    const { results } = store.decideNow([cost(0)], { mode: 'peek' })
    expect(results[0]?.remaining).toBeGreaterThanOrEqual(100 - 11 * 5)
    expect(results[0]?.remaining).toBeLessThanOrEqual(100 - 10 * 5)
  })

  it('shows no debt as remaining units', async () => {
    const store = new MemoryLimitStore({ clock: new ManualClock(), share: () => ({ instances: 2 }) })
    const limitCost = {
      subject: 'u',
      name: 'l',
      limit: tokenBucket({ capacity: 10, refill: 1, every: '1m' }),
      cost: 8,
    }
    store.mirror([limitCost], 1_700_000_000_000)
    expect(store.decideNow([limitCost]).results).toMatchObject([{ allowed: false, remaining: 0 }])
  })
})

describe('promise 5: the memory store is bounded', () => {
  it('forgets the least recently used subjects', async () => {
    const store = new MemoryLimitStore({ maxSubjects: 100 })
    const limit = slidingWindow(5, '1m')
    for (let index = 0; index < 1_000; index++) {
      store.decideNow([{ subject: `user:${index}`, name: 'l', limit, cost: 1 }])
      store.decideNow([{ subject: 'regular', name: 'l', limit, cost: 0 }])
    }
    expect(store.size).toBeLessThanOrEqual(100)
  })
  it.each([
    [slidingWindow(128, '1m'), 128],
    [slidingWindow(1_000_000, '1m'), 61],
    [slidingWindow(1_000_000, 7), 7],
  ])('keeps a slot for a time, not for a charge: %j', (limit, slots) => {
    const meter = new WindowMeter()
    for (let now = 0; now < 3 * limit.windowMs; now += Math.max(1, Math.floor(limit.windowMs / 5_000))) {
      meter.advance(limit, now)
      if (meter.admits(1, limit.limit)) meter.charge(now, 1)
      expect(meter.size).toBeLessThanOrEqual(slots)
    }
    expect(meter.size).toBeGreaterThan(0)
  })
})
