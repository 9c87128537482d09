import { describe, expect, it } from 'vitest'
import { fixedWindow, slidingWindow, tokenBucket } from '../../limits.js'
import type { LimitSteps } from './steps.js'

/** Each algorithm by itself. */
export function testAlgorithms(steps: LimitSteps): void {
  const { decide, single } = steps

  describe('a sliding window', () => {
    const limit = slidingWindow(3, '1m')

    it('admits up to its limit, and says what remains', async () => {
      const start = steps.clock.now()
      for (const remaining of [2, 1, 0]) {
        expect(await single(limit)).toMatchObject({
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
      steps.clock.advance(24_000)
      await decide(limit, 1)
      const denied = await single(limit, 2)
      expect(denied).toMatchObject({ allowed: false, retryAfterMs: 36_000 })
      steps.clock.advance(35_999)
      expect((await decide(limit, 2)).allowed).toBe(false)
      steps.clock.advance(1)
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
      steps.clock.advance(59_999)
      expect((await decide(large)).allowed).toBe(false)
      steps.clock.advance(1_001)
      expect((await decide(large)).allowed).toBe(true)
    })
  })

  describe('a token bucket', () => {
    const limit = tokenBucket({ capacity: 10, refill: 5, every: '1m' })

    it('lets a burst through, then refills evenly', async () => {
      expect(await single(limit, 10)).toMatchObject({
        allowed: true,
        remaining: 0,
        retryAfterMs: 0,
        resetAtMs: steps.clock.now() + 120_000,
      })
      expect(await single(limit, 1)).toMatchObject({ allowed: false, retryAfterMs: 12_000 })
      steps.clock.advance(11_999)
      expect((await decide(limit)).allowed).toBe(false)
      steps.clock.advance(1)
      expect((await decide(limit)).allowed).toBe(true)
    })

    it('never holds more than its capacity', async () => {
      await decide(limit, 1)
      steps.clock.advance(3_600_000)
      expect(await single(limit, 0)).toMatchObject({ allowed: true, remaining: 10 })
    })

    it('keeps fractions: ninety thousand a minute are exactly that', async () => {
      const tokens = tokenBucket({ capacity: 90_000, refill: 90_000, every: '1m' })
      await decide(tokens, 90_000)
      steps.clock.advance(7)
      expect(await single(tokens, 11)).toMatchObject({ allowed: false, remaining: 10, retryAfterMs: 1 })
      expect((await decide(tokens, 10)).allowed).toBe(true)
      steps.clock.advance(1)
      expect((await decide(tokens, 2)).allowed).toBe(true)
    })
  })

  describe('a fixed window', () => {
    const limit = fixedWindow(3, '1m')

    it('admits its limit in each window of the clock', async () => {
      steps.clock.advance(60_000 - (steps.clock.now() % 60_000) + 59_000)
      expect(await single(limit, 3)).toMatchObject({
        allowed: true,
        remaining: 0,
        resetAtMs: steps.clock.now() + 1_000,
      })
      expect(await single(limit)).toMatchObject({ allowed: false, retryAfterMs: 1_000 })
      steps.clock.advance(1_000)
      expect(await single(limit, 3)).toMatchObject({ allowed: true, remaining: 0 })
      expect(await single(limit)).toMatchObject({ allowed: false, retryAfterMs: 60_000 })
    })

    it('starts with the first use where it is told to', async () => {
      const first = fixedWindow(2, '1m', { align: 'first-use' })
      steps.clock.advance(12_345)
      expect(await single(first, 2)).toMatchObject({ allowed: true, resetAtMs: steps.clock.now() + 60_000 })
      steps.clock.advance(59_999)
      expect(await single(first)).toMatchObject({ allowed: false, retryAfterMs: 1 })
      steps.clock.advance(1)
      expect(await single(first)).toMatchObject({ allowed: true, remaining: 1 })
    })
  })
}
