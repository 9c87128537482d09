import { ManualClock } from '@evenkeel/core'
import { beforeEach, describe, expect, it } from 'vitest'
import { type Limit, slidingWindow, tokenBucket } from '../options.js'
import type { LimitStore } from '../store.js'

export interface LimitStoreHarness {
  /** An empty store whose time is the clock's. Keys may expire by real time: the suite's windows are minutes. */
  create(clock: ManualClock): Promise<LimitStore> | LimitStore
}

/** What every {@link LimitStore} must do, as vitest tests. */
export function testLimitStore(name: string, harness: LimitStoreHarness): void {
  describe(`a limit store: ${name}`, () => {
    let clock: ManualClock
    let store: LimitStore

    beforeEach(async () => {
      clock = new ManualClock()
      store = await harness.create(clock)
    })

    const demand = (limit: Limit, cost = 1, limitName = 'requests') => ({ name: limitName, limit, cost })
    const decide = (limit: Limit, cost = 1, subject = 'user:1') =>
      store.decide(subject, [demand(limit, cost)], false)
    const single = async (limit: Limit, cost = 1) => (await decide(limit, cost)).verdicts[0]

    describe('a sliding window', () => {
      const limit = slidingWindow(3, '1m')

      it('admits up to its limit, and says what remains', async () => {
        const start = clock.now()
        for (const remaining of [2, 1, 0]) {
          expect(await single(limit)).toEqual({
            allowed: true,
            remaining,
            retryAfterMs: 0,
            resetAtMs: start + 60_000,
          })
        }
        expect(await single(limit)).toMatchObject({ allowed: false, remaining: 0 })
      })

      it('says when to come back, and is right', async () => {
        await decide(limit, 2)
        clock.advance(24_000)
        await decide(limit, 1)
        const denied = await single(limit, 2)
        expect(denied).toMatchObject({ allowed: false, retryAfterMs: 36_000 })
        clock.advance(35_999)
        expect((await decide(limit, 2)).allowed).toBe(false)
        clock.advance(1)
        expect((await decide(limit, 2)).allowed).toBe(true)
      })

      it('charges nothing when it denies', async () => {
        await decide(limit, 2)
        for (let count = 0; count < 5; count++) expect((await decide(limit, 2)).allowed).toBe(false)
        expect((await decide(limit, 1)).allowed).toBe(true)
      })

      it('holds a unit of a large window up to a slot longer, and never shorter', async () => {
        const large = slidingWindow(6_000, '1m')
        await decide(large, 6_000)
        clock.advance(59_999)
        expect((await decide(large)).allowed).toBe(false)
        clock.advance(1_001)
        expect((await decide(large)).allowed).toBe(true)
      })
    })

    describe('a token bucket', () => {
      const limit = tokenBucket({ capacity: 10, refill: 5, every: '1m' })

      it('lets a burst through, then refills evenly', async () => {
        expect(await single(limit, 10)).toEqual({
          allowed: true,
          remaining: 0,
          retryAfterMs: 0,
          resetAtMs: clock.now() + 120_000,
        })
        expect(await single(limit, 1)).toMatchObject({ allowed: false, retryAfterMs: 12_000 })
        clock.advance(11_999)
        expect((await decide(limit)).allowed).toBe(false)
        clock.advance(1)
        expect((await decide(limit)).allowed).toBe(true)
      })

      it('never holds more than its capacity', async () => {
        await decide(limit, 1)
        clock.advance(3_600_000)
        expect(await single(limit, 0)).toMatchObject({ allowed: true, remaining: 10 })
      })

      it('keeps fractions: ninety thousand a minute are exactly that', async () => {
        const tokens = tokenBucket({ capacity: 90_000, refill: 90_000, every: '1m' })
        await decide(tokens, 90_000)
        clock.advance(7)
        expect(await single(tokens, 11)).toMatchObject({ allowed: false, remaining: 10, retryAfterMs: 1 })
        expect((await decide(tokens, 10)).allowed).toBe(true)
        clock.advance(1)
        expect((await decide(tokens, 2)).allowed).toBe(true)
      })
    })

    it('decides several limits at once: all are charged, or none', async () => {
      const requests = slidingWindow(2, '1m')
      const tokens = tokenBucket({ capacity: 100, refill: 100, every: '1m' })
      const both = (cost: number) => [demand(requests, 1, 'requests'), demand(tokens, cost, 'tokens')]
      expect((await store.decide('u', both(90), false)).allowed).toBe(true)
      const denied = await store.decide('u', both(20), false)
      expect(denied.allowed).toBe(false)
      expect(denied.verdicts).toMatchObject([
        { allowed: true, remaining: 1 },
        { allowed: false, remaining: 10 },
      ])
      expect((await store.decide('u', both(10), false)).verdicts).toMatchObject([
        { allowed: true, remaining: 0 },
        { allowed: true, remaining: 0 },
      ])
    })

    it('peeks without charging', async () => {
      const limit = slidingWindow(1, '1m')
      for (let count = 0; count < 3; count++) {
        expect((await store.decide('u', [demand(limit)], true)).allowed).toBe(true)
      }
      expect((await decide(limit, 1, 'u')).allowed).toBe(true)
      expect((await store.decide('u', [demand(limit)], true)).allowed).toBe(false)
    })

    it('keeps subjects apart, whatever is in their names', async () => {
      const limit = slidingWindow(1, '1m')
      const subjects = ['a', 'a:requests', '{a}', '}{', 'ü\u0000\n', '*', '%7Ba%7D']
      for (const subject of subjects) expect((await decide(limit, 1, subject)).allowed).toBe(true)
      for (const subject of subjects) expect((await decide(limit, 1, subject)).allowed).toBe(false)
    })

    it('forgets a subject when told to', async () => {
      const limits = [
        demand(slidingWindow(1, '1m')),
        demand(tokenBucket({ capacity: 1, refill: 1, every: '1h' }), 1, 'b'),
      ]
      await store.decide('u', limits, false)
      expect((await store.decide('u', limits, false)).allowed).toBe(false)
      await store.reset('u', limits)
      expect((await store.decide('u', limits, false)).allowed).toBe(true)
    })

    it('applies a changed limit to what was charged before', async () => {
      await decide(slidingWindow(5, '1m'), 4)
      expect(await single(slidingWindow(3, '1m'), 0)).toMatchObject({ allowed: false, remaining: 0 })
      expect((await decide(slidingWindow(6, '1m'), 2)).allowed).toBe(true)
    })

    it('shows no debt as remaining units after a capacity was lowered', async () => {
      await decide(tokenBucket({ capacity: 10, refill: 1, every: '1m' }), 8)
      const lowered = tokenBucket({ capacity: 5, refill: 1, every: '1m' })
      expect(await single(lowered)).toMatchObject({ allowed: false, remaining: 0, retryAfterMs: 240_000 })
    })

    it.each([
      [128, 129],
      [129, 128],
    ])(
      'lets charges leave a busy window in time after its limit went from %i to %i',
      async (before, after) => {
        await decide(slidingWindow(before, '1m'))
        for (let count = 0; count < 40; count++) {
          clock.advance(6_000)
          await decide(slidingWindow(after, '1m'), 5)
        }
        const { remaining = 0 } = (await single(slidingWindow(after, '1m'), 0)) ?? {}
        expect(remaining).toBeGreaterThanOrEqual(after - 11 * 5)
        expect(remaining).toBeLessThanOrEqual(after - 10 * 5)
      },
    )

    it('admits exactly the limit when many race for it', async () => {
      const limit = slidingWindow(10, '1m')
      const decisions = await Promise.all(Array.from({ length: 50 }, () => decide(limit)))
      expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(10)
    })

    it('survives a clock that steps back', async () => {
      const limit = slidingWindow(2, '1m')
      const bucket = tokenBucket({ capacity: 2, refill: 1, every: '1m' })
      const demands = [demand(limit), demand(bucket, 1, 'b')]
      await store.decide('u', demands, false)
      clock.advance(-30_000)
      expect((await store.decide('u', demands, false)).allowed).toBe(true)
      expect((await store.decide('u', demands, false)).allowed).toBe(false)
    })
  })
}
