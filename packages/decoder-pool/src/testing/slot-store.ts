import { beforeEach, describe, expect, it } from 'vitest'
import {
  type Coordinator,
  offerMs,
  type SlotCounts,
  type SlotRequest,
  type SlotStore,
} from '../slots/port.js'

export interface SlotStoreHarness {
  /** An empty store. */
  create(): Promise<SlotStore> | SlotStore
  /** Lets this many milliseconds go by, for the store. */
  pass(ms: number): Promise<void> | void
}

const leaseMs = 300

/** What every {@link SlotStore} must do, as vitest tests. */
export function testSlotStore(name: string, harness: SlotStoreHarness): void {
  describe(`a slot store: ${name}`, () => {
    let store: SlotStore
    let sequence = 0

    beforeEach(async () => {
      store = await harness.create()
    })

    const one: Coordinator = { id: 'one', region: 'eu' }
    const two: Coordinator = { id: 'two', region: undefined }
    const none: SlotCounts = new Map()
    const heartbeat = (who: Coordinator, held: SlotCounts = none, ms = leaseMs) =>
      store.heartbeat(who, ++sequence, held, ms)
    const wants = (capacity: number, ...nodes: readonly string[]): SlotRequest => ({
      candidates: nodes.map((node) => ({ node, capacity })),
      requirement: 'any',
      waitedMs: 0,
    })
    const take = (who: Coordinator, requests: readonly SlotRequest[], held = none, waiting = none) =>
      store.take(who, { sequence: ++sequence, held, requests, waiting })
    const totals = async () =>
      Object.fromEntries((await heartbeat({ id: 'onlooker', region: undefined })).totals)

    it('tells who lives, with their regions', async () => {
      await heartbeat(one)
      const { live, known } = await heartbeat(two)
      expect(known).toBe(true)
      expect([...live].sort((a, b) => (a.id < b.id ? -1 : 1))).toMatchObject([one, two])
      expect(live.every(({ leftMs }) => leftMs > 0 && leftMs <= leaseMs)).toBe(true)
    })

    it('gives the first candidate that has room, up to the capacity of all coordinators together', async () => {
      await heartbeat(one)
      await heartbeat(two)
      const some = Array.from({ length: 3 }, () => wants(2, 'a', 'b'))
      expect(await take(one, some)).toMatchObject({ known: true, given: [0, 0, 1] })
      const { given, totals: seen } = await take(two, some)
      expect(given).toEqual([1, -1, -1])
      expect(Object.fromEntries(seen)).toEqual({ a: 2, b: 2 })
    })

    it('knows counts as they are: told twice they are the same, told less they are free', async () => {
      await heartbeat(one)
      await take(one, [wants(3, 'a'), wants(3, 'a')])
      await heartbeat(one, new Map([['a', 2]]))
      await heartbeat(one, new Map([['a', 2]]))
      expect(await totals()).toEqual({ a: 2 })
      await take(one, [], new Map([['a', 1]]))
      await take(one, [], new Map([['a', 1]]))
      expect(await totals()).toEqual({ a: 1 })
      await take(one, [], new Map([['a', 0]]))
      expect(await totals()).toEqual({})
    })

    it('refuses what arrives after something later', async () => {
      await heartbeat(one)
      const early = ++sequence
      await take(one, [wants(5, 'a')])
      const late = { sequence: early, held: none, requests: [wants(5, 'a')], waiting: none }
      expect((await store.take(one, late)).known).toBe(false)
      expect((await store.heartbeat(one, early, new Map([['a', 5]]), leaseMs)).known).toBe(false)
      expect(await totals()).toEqual({ a: 1 })
    })

    it('takes nothing for who has sent no heartbeat, and gives back what an ended lease held', async () => {
      expect((await take(one, [wants(1, 'a')])).known).toBe(false)
      await heartbeat(one)
      await heartbeat(two)
      await take(one, [wants(1, 'a')])
      await harness.pass(leaseMs * 0.7)
      await heartbeat(two)
      await harness.pass(leaseMs * 0.7)
      // The other coordinator was not reaped yet: its request may still be in flight.
      expect((await take(two, [wants(1, 'a')])).given).toEqual([-1])
      const { live, totals: left } = await heartbeat(two)
      expect(live).toMatchObject([two])
      expect(left.size).toBe(0)
      expect((await take(two, [wants(1, 'a')])).given).toEqual([0])
      expect((await take(one, [wants(2, 'a')])).known).toBe(false)
    })

    it('reaps no coordinator at once where no lease lives: it was away itself', async () => {
      await heartbeat(one, new Map([['a', 1]]))
      await heartbeat(two, new Map([['a', 1]]))
      await harness.pass(leaseMs * 1.1)
      const { live, totals: left } = await heartbeat(one, new Map([['a', 1]]))
      expect(live).toMatchObject([one])
      expect(Object.fromEntries(left)).toEqual({ a: 2 })
      expect(Object.fromEntries((await heartbeat(one)).totals)).toEqual({})
    })

    it('forgets for whom a coordinator waited whose lease has ended', async () => {
      await heartbeat(one, none, 60_000)
      await heartbeat(two)
      await take(two, [], none, new Map([['any', 1_000]]))
      await harness.pass(leaseMs * 1.1)
      await heartbeat(one, none, 60_000)
      await heartbeat(two)
      expect(await take(one, [wants(1, 'a')])).toMatchObject({ given: [0], othersWait: false })
    })

    it('counts all that a coordinator holds who comes back after that, though it is too much', async () => {
      await heartbeat(two, none, leaseMs * 10)
      await heartbeat(one, new Map([['a', 1]]))
      await harness.pass(leaseMs * 1.1)
      await heartbeat(two)
      await take(two, [wants(1, 'a')])
      await heartbeat(one, new Map([['a', 1]]))
      expect(await totals()).toEqual({ a: 2 })
      await heartbeat(one)
      expect((await take(one, [wants(1, 'a')])).given).toEqual([-1])
    })

    it('gives back at once what a coordinator held who leaves', async () => {
      await heartbeat(one, new Map([['a', 4]]))
      await store.leave(one)
      await store.leave(one)
      expect(await totals()).toEqual({})
    })

    it('keeps a slot a moment for a request of another coordinator that has waited longer', async () => {
      await heartbeat(one, none, 60_000)
      await heartbeat(two, none, 60_000)
      await take(one, [wants(1, 'a')])
      await take(two, [wants(1, 'a')], none, new Map([['any', 100]]))
      const free = new Map([['a', 0]])
      // The coordinator that releases the slot has a request of its own.
      const own = { ...wants(1, 'a'), waitedMs: 10 }
      expect(await take(one, [own], free, new Map([['any', 10]]))).toMatchObject({
        given: [-1],
        othersWait: true,
      })
      const other = { ...wants(1, 'a'), waitedMs: 100 }
      expect((await take(two, [other])).given).toEqual([0])
      await take(two, [], free, new Map([['any', 200]]))
      expect((await take(one, [own], none, new Map([['any', 10]]))).given).toEqual([-1])
      // The other coordinator does not claim the slot.
      await harness.pass(offerMs * 1.5)
      expect((await take(one, [own])).given).toEqual([0])
    })

    it('gives another requirement nothing less for that', async () => {
      await heartbeat(one)
      await heartbeat(two)
      await take(two, [], none, new Map([['other', 1_000]]))
      expect((await take(one, [wants(1, 'a')])).given).toEqual([0])
    })

    it('gives no request a slot before the first of its requirement', async () => {
      await heartbeat(one)
      await take(one, [wants(1, 'a')])
      const { given } = await take(one, [
        wants(1, 'a'),
        wants(1, 'b'),
        { ...wants(1, 'b'), requirement: 'other' },
      ])
      expect(given).toEqual([-1, -1, 0])
    })
  })
}
