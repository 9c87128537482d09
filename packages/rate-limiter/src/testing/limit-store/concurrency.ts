import { describe, expect, it, vi } from 'vitest'
import { concurrency } from '../../limits.js'
import type { DecisionOptions } from '../../stores/port.js'
import type { LimitSteps } from './steps.js'

/** Slots, their leases and the queue for them. */
export function testConcurrency(steps: LimitSteps): void {
  const { limitCost, ask } = steps

  describe('a concurrency', () => {
    const limit = concurrency(2, { lease: '1m' })
    const slot = limitCost(limit, 1, 'parallel')
    const held = (id: string) => ({ subject: 'u', name: 'parallel', limit, id, cost: 1 })
    const take = (id: string, mode: DecisionOptions['mode'] = 'charge') =>
      ask('u', [slot], { mode, id, openMs: 600_000 })
    const give = (id: string) =>
      steps.store.settle({
        id,
        changes: [{ subject: 'u', name: 'parallel', limit, change: -1, chargedAtMs: steps.clock.now() }],
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
      steps.clock.advance(40_000)
      expect(await steps.store.renew([held('a')])).toEqual([true])
      steps.clock.advance(20_000)
      expect((await take('c')).allowed).toBe(true)
      expect((await take('d')).allowed).toBe(false)
      expect(await steps.store.renew([held('a'), held('b')])).toEqual([true, false])
      expect((await take('d')).allowed).toBe(false)
    })

    it('is held again by a holder that worked through an outage, even beyond the limit', async () => {
      await take('a')
      await take('b')
      expect(await steps.store.renew([held('c')], true)).toEqual([true])
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
      steps.clock.advance(2_999)
      expect((await take('c')).allowed).toBe(false)
      steps.clock.advance(1)
      expect((await take('c')).allowed).toBe(true)
    })

    it('tells the waiter whose turn it is', async () => {
      const turns: string[] = []
      const stop = steps.store.watch((id) => turns.push(id))
      await take('a')
      await take('b')
      await take('first', 'book')
      await take('second', 'book')
      await vi.waitFor(async () => {
        await give('a')
        await take('a')
        expect(turns).toContain('first')
      }, 20_000)
      expect(turns).not.toContain('second')
      stop()
    })
  })
}
