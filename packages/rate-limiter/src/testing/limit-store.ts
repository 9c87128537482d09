import { ManualClock } from '@evenkeel/core'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { concurrency, fixedWindow, type Limit, slidingWindow, tokenBucket } from '../limits.js'
import type { DecisionOptions, DecisionRequest, LimitStore } from '../stores/port.js'

export interface LimitStoreHarness {
  /** Creates an empty store that uses this clock. Keys may expire in real time: the suite's windows last minutes. */
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

    const limitCost = (limit: Limit, cost = 1, limitName = 'requests') => ({ name: limitName, limit, cost })
    const decideOne = async (request: DecisionRequest) => {
      const [decision] = await store.decide([request])
      if (decision === undefined) throw new Error('A request was not answered')
      return { ...decision, allowed: decision.outcome === 'allowed' }
    }
    const ask = async (
      subject: string,
      limitCosts: readonly ReturnType<typeof limitCost>[],
      options?: DecisionOptions,
    ) => {
      const own = limitCosts.map((one) => ({ ...one, subject }))
      return decideOne({ limitCosts: own, options })
    }
    const peek = (subject: string, limitCosts: readonly ReturnType<typeof limitCost>[]) =>
      ask(subject, limitCosts, { mode: 'peek' })
    const decide = (limit: Limit, cost = 1, subject = 'user:1') => ask(subject, [limitCost(limit, cost)])
    const single = async (limit: Limit, cost = 1) => (await decide(limit, cost)).results[0]

    describe('a sliding window', () => {
      const limit = slidingWindow(3, '1m')

      it('admits up to its limit, and says what remains', async () => {
        const start = clock.now()
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
        expect(await single(limit, 10)).toMatchObject({
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
      const both = (cost: number) => [limitCost(requests, 1, 'requests'), limitCost(tokens, cost, 'tokens')]
      expect((await ask('u', both(90))).allowed).toBe(true)
      const denied = await ask('u', both(20))
      expect(denied.allowed).toBe(false)
      expect(denied.results).toMatchObject([
        { allowed: true, remaining: 1 },
        { allowed: false, remaining: 10 },
      ])
      expect((await ask('u', both(10))).results).toMatchObject([
        { allowed: true, remaining: 0 },
        { allowed: true, remaining: 0 },
      ])
    })

    it('peeks without charging', async () => {
      const limit = slidingWindow(1, '1m')
      for (let count = 0; count < 3; count++) {
        expect((await peek('u', [limitCost(limit)])).allowed).toBe(true)
      }
      expect((await decide(limit, 1, 'u')).allowed).toBe(true)
      expect((await peek('u', [limitCost(limit)])).allowed).toBe(false)
    })

    it('keeps subjects apart, whatever is in their names', async () => {
      const limit = slidingWindow(1, '1m')
      const subjects = ['a', 'a:requests', '{a}', '}{', 'ü\u0000\n', '*', '%7Ba%7D']
      for (const subject of subjects) expect((await decide(limit, 1, subject)).allowed).toBe(true)
      for (const subject of subjects) expect((await decide(limit, 1, subject)).allowed).toBe(false)
    })

    it('forgets a subject when told to', async () => {
      const limits = [
        limitCost(slidingWindow(1, '1m')),
        limitCost(tokenBucket({ capacity: 1, refill: 1, every: '1h' }), 1, 'b'),
      ]
      await ask('u', limits)
      expect((await ask('u', limits)).allowed).toBe(false)
      await store.reset(limits.map((one) => ({ ...one, subject: 'u' })))
      expect((await ask('u', limits)).allowed).toBe(true)
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
      const limitCosts = [limitCost(limit), limitCost(bucket, 1, 'b')]
      await ask('u', limitCosts)
      clock.advance(-30_000)
      expect((await ask('u', limitCosts)).allowed).toBe(true)
      expect((await ask('u', limitCosts)).allowed).toBe(false)
    })

    describe('a fixed window', () => {
      const limit = fixedWindow(3, '1m')

      it('admits its limit in each window of the clock', async () => {
        clock.advance(60_000 - (clock.now() % 60_000) + 59_000)
        expect(await single(limit, 3)).toMatchObject({
          allowed: true,
          remaining: 0,
          resetAtMs: clock.now() + 1_000,
        })
        expect(await single(limit)).toMatchObject({ allowed: false, retryAfterMs: 1_000 })
        clock.advance(1_000)
        expect(await single(limit, 3)).toMatchObject({ allowed: true, remaining: 0 })
        expect(await single(limit)).toMatchObject({ allowed: false, retryAfterMs: 60_000 })
      })

      it('starts with the first use where it is told to', async () => {
        const first = fixedWindow(2, '1m', { align: 'first-use' })
        clock.advance(12_345)
        expect(await single(first, 2)).toMatchObject({ allowed: true, resetAtMs: clock.now() + 60_000 })
        clock.advance(59_999)
        expect(await single(first)).toMatchObject({ allowed: false, retryAfterMs: 1 })
        clock.advance(1)
        expect(await single(first)).toMatchObject({ allowed: true, remaining: 1 })
      })
    })

    describe('a concurrency', () => {
      const limit = concurrency(2, { lease: '1m' })
      const slot = limitCost(limit, 1, 'parallel')
      const held = (id: string) => ({ subject: 'u', name: 'parallel', limit, id, cost: 1 })
      const take = (id: string, mode: DecisionOptions['mode'] = 'charge') =>
        ask('u', [slot], { mode, id, openMs: 600_000 })
      const give = (id: string) =>
        store.settle({
          id,
          changes: [{ subject: 'u', name: 'parallel', limit, change: -1, chargedAtMs: clock.now() }],
        })

      it('lets as many hold a slot as there are, and the next when one is given back', async () => {
        expect((await take('a')).results[0]).toMatchObject({ allowed: true, remaining: 1 })
        expect((await take('b')).results[0]).toMatchObject({ allowed: true, remaining: 0 })
        expect(await take('c')).toMatchObject({ outcome: 'denied', results: [{ retryAfterMs: 60_000 }] })
        expect(await give('a')).toBe(true)
        expect((await take('c')).allowed).toBe(true)
        expect((await take('d')).allowed).toBe(false)
      })

      it('judges, and holds nothing, where there is no holder', async () => {
        for (let count = 0; count < 5; count++) expect((await ask('u', [slot])).allowed).toBe(true)
        await take('a')
        await take('b')
        expect((await ask('u', [slot])).allowed).toBe(false)
      })

      it('gives back what nobody renews, and never brings it back to life', async () => {
        await take('a')
        await take('b')
        clock.advance(40_000)
        expect(await store.renew([held('a')])).toEqual([true])
        clock.advance(20_000)
        expect((await take('c')).allowed).toBe(true)
        expect((await take('d')).allowed).toBe(false)
        expect(await store.renew([held('a'), held('b')])).toEqual([true, false])
        expect((await take('d')).allowed).toBe(false)
      })

      it('is held again by a holder that worked through an outage, even beyond the limit', async () => {
        await take('a')
        await take('b')
        expect(await store.renew([held('c')], true)).toEqual([true])
        expect((await ask('u', [slot])).results[0]).toMatchObject({ allowed: false, remaining: 0 })
        await give('a')
        expect((await take('d')).allowed).toBe(false)
      })

      it('has a line: who came first is first, and nobody overtakes', async () => {
        await take('a')
        await take('b')
        expect((await take('first', 'book')).outcome).toBe('queued')
        expect((await take('second', 'book')).outcome).toBe('queued')
        await give('a')
        expect((await take('stranger')).allowed).toBe(false)
        expect((await take('second', 'book')).outcome).toBe('queued')
        expect((await take('first', 'book')).outcome).toBe('allowed')
        await give('b')
        expect((await take('second', 'book')).outcome).toBe('allowed')
      })

      it('leaves out waiters that do not ask again', async () => {
        await take('a')
        await take('b')
        await take('dead', 'book')
        await give('a')
        clock.advance(2_999)
        expect((await take('c')).allowed).toBe(false)
        clock.advance(1)
        expect((await take('c')).allowed).toBe(true)
      })

      it('tells the waiter whose turn it is', async () => {
        const turns: string[] = []
        const stop = store.watch((id) => turns.push(id))
        await take('a')
        await take('b')
        await take('first', 'book')
        await take('second', 'book')
        await vi.waitFor(async () => {
          await give('a')
          await take('a')
          expect(turns).toContain('first')
        })
        expect(turns).not.toContain('second')
        stop()
      })
    })

    describe('a reservation', () => {
      const openMs = 600_000
      const limits = [
        slidingWindow(1_000, '1m'),
        tokenBucket({ capacity: 1_000, refill: 1_000, every: '1h' }),
        fixedWindow(1_000, '1h', { align: 'first-use' }),
      ]

      it.each(limits)('is settled once, up or down: %j', async (limit) => {
        const settle = (id: string, change: number, chargedAtMs: number) =>
          store.settle({ id, changes: [{ subject: 'u', name: 'requests', limit, change, chargedAtMs }] })
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
        clock.advance(1_001)
        const changes = [{ subject: 'u', name: 'requests', limit, change: -4, chargedAtMs: 0 }]
        const next = await ask('u', [limitCost(limit, 1)], { id: 'next', openMs })
        expect(next).toMatchObject({ abandoned: 1, results: [{ remaining: 5 }] })
        expect(await store.settle({ id: 'lost', changes })).toBe(false)
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
        clock.advance(60_000)
        expect((await decide(limit, 1, 'u')).allowed).toBe(false)
      })

      it.each([
        tokenBucket({ capacity: 60, refill: 60, every: '1m' }),
        fixedWindow(60, '1m', { align: 'first-use' }),
      ])('waits for what comes back: %j', async (limit) => {
        const book = (cost: number) =>
          ask('u', [limitCost(limit, cost)], { mode: 'book', maxDelayMs: 300_000 })
        await book(60)
        const first = await book(30)
        const second = await book(60)
        expect(first.outcome).toBe('booked')
        expect(first.delayMs).toBeGreaterThan(0)
        expect(second.delayMs).toBeGreaterThan(first.delayMs)
        clock.advance(second.delayMs - 1)
        expect((await decide(limit, 1, 'u')).allowed).toBe(false)
      })

      it('is denied, and charges nothing, when it would be too late', async () => {
        const limit = slidingWindow(2, '1m')
        await ask('u', [limitCost(limit, 2)])
        expect((await ask('u', [limitCost(limit)], { mode: 'book', maxDelayMs: 59_999 })).outcome).toBe(
          'denied',
        )
        clock.advance(60_000)
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
        await store.settle({
          id: 'x',
          changes: [{ subject: 'u', name: 'requests', limit, change: -2, chargedAtMs }],
        })
        clock.advance(60_000)
        expect((await decide(limit, 2, 'u')).allowed).toBe(true)
      })
    })

    it('leaves a part of each limit to those who matter more', async () => {
      const limit = slidingWindow(10, '1m')
      const low = () => ask('u', [limitCost(limit, 4)], { perMille: 800 })
      expect((await low()).results[0]).toMatchObject({ allowed: true, remaining: 4 })
      expect((await low()).allowed).toBe(true)
      expect((await low()).allowed).toBe(false)
      expect((await ask('u', [limitCost(limit, 2)])).allowed).toBe(true)
    })

    it('denies everything to a blocked subject', async () => {
      const limit = slidingWindow(10, '1m')
      await store.block([{ subject: 'u', name: 'requests', limit }], 60_000)
      const { outcome, blockedForMs } = await ask('u', [limitCost(limit)])
      expect(outcome).toBe('denied')
      expect(blockedForMs).toBeGreaterThan(50_000)
      expect((await decide(limit, 1, 'other')).allowed).toBe(true)
      await store.block([{ subject: 'u', name: 'requests', limit }], 0)
      expect((await ask('u', [limitCost(limit, 10)])).allowed).toBe(true)
    })

    it('learns that less remains than it thought, and never more', async () => {
      const limits = [
        slidingWindow(100, '1m'),
        fixedWindow(100, '1h', { align: 'first-use' }),
        tokenBucket({ capacity: 100, refill: 100, every: '1h' }),
      ]
      for (const [index, limit] of limits.entries()) {
        const limitKey = { subject: 'u', name: `l${index}`, limit }
        const remaining = async () =>
          (await peek('u', [limitCost(limit, 0, `l${index}`)])).results[0]?.remaining
        await store.learn([{ ...limitKey, remaining: 30, resetMs: 20_000 }])
        expect(await remaining()).toBe(30)
        await store.learn([{ ...limitKey, remaining: 90, resetMs: 20_000 }])
        expect(await remaining()).toBe(30)
      }
      clock.advance(20_000)
      const window = limitCost(limits[0] ?? slidingWindow(1, 1), 0, 'l0')
      expect((await peek('u', [window])).results[0]?.remaining).toBe(100)
    })

    it('decides for several subjects at once: all are charged, or none', async () => {
      const limit = slidingWindow(2, '1m')
      const both = (mode?: DecisionOptions['mode']) =>
        decideOne({
          limitCosts: [
            { subject: 'user', name: 'requests', limit, cost: 1 },
            { subject: 'org', name: 'requests', limit, cost: 1 },
          ],
          options: mode && { mode },
        })
      await decide(limit, 1, 'org')
      expect((await both('peek')).outcome).toBe('allowed')
      expect((await both()).outcome).toBe('allowed')
      const denied = await both()
      expect(denied.outcome).toBe('denied')
      expect(denied.results[1]).toMatchObject({ allowed: false, remaining: 0 })
      expect((await decide(limit, 1, 'user')).results[0]?.remaining).toBe(0)
    })
  })
}
