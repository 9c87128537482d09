import { describe, expect, it } from 'vitest'
import { fixedWindow, slidingWindow, tokenBucket } from '../../limits.js'
import type { LimitSteps } from './steps.js'

/** What is charged beforehand and settled later, and what is booked for a later time. */
export function testReservations(steps: LimitSteps): void {
  const { limitCost, ask, peek, decide } = steps

  describe('a reservation', () => {
    const openMs = 600_000
    const limits = [
      slidingWindow(1_000, '1m'),
      tokenBucket({ capacity: 1_000, refill: 1_000, every: '1h' }),
      fixedWindow(1_000, '1h', { align: 'first-use' }),
    ]

    it.each(limits)('is settled once, up or down: %j', async (limit) => {
      const settle = (id: string, change: number, chargedAtMs: number) =>
        steps.store.settle({ id, changes: [{ subject: 'u', name: 'requests', limit, change, chargedAtMs }] })
      const remaining = async () => (await peek('u', [limitCost(limit, 0)])).results[0]?.remaining
      const less = await ask('u', [limitCost(limit, 600)], { id: 'less', openMs })
      expect(await remaining()).toBe(400)
      expect(await settle('less', -500, less.results[0]?.chargedAtMs ?? 0)).toBe(true)
      expect(await remaining()).toBe(900)
      expect(await settle('less', -500, less.results[0]?.chargedAtMs ?? 0)).toBe(false)
      expect(await remaining()).toBe(900)
      const more = await ask('u', [limitCost(limit, 900)], { id: 'more', openMs })
      expect(await settle('more', 300, more.results[0]?.chargedAtMs ?? 0)).toBe(true)
      expect(await remaining()).toBe(0)
      expect((await ask('u', [limitCost(limit, 1)])).allowed).toBe(false)
    })

    it('that nobody settles stays charged, and is found', async () => {
      const limit = slidingWindow(10, '1h')
      await ask('u', [limitCost(limit, 4)], { id: 'lost', openMs: 1_000 })
      steps.clock.advance(1_001)
      const changes = [{ subject: 'u', name: 'requests', limit, change: -4, chargedAtMs: 0 }]
      const next = await ask('u', [limitCost(limit, 1)], { id: 'next', openMs })
      expect(next).toMatchObject({ abandoned: 1, results: [{ remaining: 5 }] })
      expect(await steps.store.settle({ id: 'lost', changes })).toBe(false)
    })
  })

  describe('a booking', () => {
    it('promises times in order, which nobody overtakes', async () => {
      const limit = slidingWindow(2, '1m')
      const book = (cost = 1) => ask('u', [limitCost(limit, cost)], { mode: 'book', maxDelayMs: 300_000 })
      expect(await book(2)).toMatchObject({ outcome: 'allowed', delayMs: 0 })
      expect(await book()).toMatchObject({ outcome: 'booked', delayMs: 60_000 })
      expect(await book()).toMatchObject({ outcome: 'booked', delayMs: 60_000 })
      expect(await book(2)).toMatchObject({ outcome: 'booked', delayMs: 120_050 })
      expect(await book()).toMatchObject({ outcome: 'booked', delayMs: 180_100 })
      steps.clock.advance(60_000)
      expect((await decide(limit, 1, 'u')).allowed).toBe(false)
    })

    it.each([
      tokenBucket({ capacity: 60, refill: 60, every: '1m' }),
      fixedWindow(60, '1m', { align: 'first-use' }),
    ])('waits for what comes back: %j', async (limit) => {
      const book = (cost: number) => ask('u', [limitCost(limit, cost)], { mode: 'book', maxDelayMs: 300_000 })
      await book(60)
      const first = await book(30)
      const second = await book(60)
      expect(first.outcome).toBe('booked')
      expect(first.delayMs).toBeGreaterThan(0)
      expect(second.delayMs).toBeGreaterThan(first.delayMs)
      steps.clock.advance(second.delayMs - 1)
      expect((await decide(limit, 1, 'u')).allowed).toBe(false)
    })

    it('is denied, and charges nothing, when it would be too late', async () => {
      const limit = slidingWindow(2, '1m')
      await ask('u', [limitCost(limit, 2)])
      expect((await ask('u', [limitCost(limit)], { mode: 'book', maxDelayMs: 59_999 })).outcome).toBe(
        'denied',
      )
      steps.clock.advance(60_000)
      expect((await decide(limit, 2, 'u')).allowed).toBe(true)
    })

    it('can be given back', async () => {
      const limit = slidingWindow(2, '1m')
      await ask('u', [limitCost(limit, 2)])
      const booked = await ask('u', [limitCost(limit, 2)], {
        mode: 'book',
        maxDelayMs: 90_000,
        id: 'x',
        openMs: 300_000,
      })
      expect(booked.outcome).toBe('booked')
      const chargedAtMs = booked.results[0]?.chargedAtMs ?? 0
      await steps.store.settle({
        id: 'x',
        changes: [{ subject: 'u', name: 'requests', limit, change: -2, chargedAtMs }],
      })
      steps.clock.advance(60_000)
      expect((await decide(limit, 2, 'u')).allowed).toBe(true)
    })
  })
}
