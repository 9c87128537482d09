import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SelfPreservation, type Sight } from '../src/health/preservation.js'

const leaseMs = 30_000
const epoch = 1_700_000_000_000
const fine: Sight = {
  isAuthoritative: true,
  nodes: 10,
  expired: new Map(),
  lostData: false,
  timeMs: undefined,
}
const ended = (count: number, agoMs = 1_000) =>
  new Map(Array.from({ length: count }, (_, index) => [`n${index}`, agoMs]))

/** Observes the registry each second until `endMs`. Returns the reason after each observation. */
function watch(preservation: SelfPreservation, endMs: number, sightAt: (now: number) => Partial<Sight>) {
  const reasons: (string | undefined)[] = []
  for (let now = reasons.length * 1_000; now <= endMs; now += 1_000) {
    preservation.observe({ ...fine, ...sightAt(now) }, now)
    reasons.push(preservation.status(now)?.reason)
  }
  return reasons
}

describe('self-preservation', () => {
  it('is off while single nodes come and go', () => {
    const preservation = new SelfPreservation(leaseMs)
    const reasons = watch(preservation, 600_000, (now) => ({
      expired: new Map([[`n${Math.floor(now / 40_000)}`, now % 40_000]]),
      timeMs: epoch + now,
    }))
    expect(new Set(reasons)).toEqual(new Set([undefined]))
  })

  it.each([
    [1, 1, false],
    [2, 1, false],
    [3, 2, true],
    [10, 3, false],
    [10, 4, true],
    [100, 30, false],
    [100, 31, true],
  ])('of %i nodes, %i leases that end at once turn it on: %s', (nodes, count, isOn) => {
    const preservation = new SelfPreservation(leaseMs)
    preservation.observe({ ...fine, nodes, expired: ended(count) }, 0)
    expect(preservation.status(0)?.reason).toBe(isOn ? 'many-leases-ended' : undefined)
  })

  it('does not take leases that ended one after the other for many at once', () => {
    const preservation = new SelfPreservation(leaseMs)
    const expired = new Map(Array.from({ length: 9 }, (_, index) => [`n${index}`, index * 20_000]))
    preservation.observe({ ...fine, expired }, 0)
    expect(preservation.isOn).toBe(false)
  })

  it('is on while the registry is away, and after that until it is known who renews', () => {
    const preservation = new SelfPreservation(leaseMs)
    const reasons = watch(preservation, 100_000, (now) => ({
      isAuthoritative: now < 10_000 || now >= 40_000,
      expired: now >= 40_000 && now < 45_000 ? ended(10, 5_000) : new Map(),
    }))
    expect(reasons[9]).toBeUndefined()
    expect(reasons.slice(10, 40)).toEqual(Array(30).fill('registry-away'))
    expect(reasons.slice(40, 70)).toEqual(Array(30).fill('registry-back'))
    expect(reasons[75]).toBeUndefined()
  })

  it('is on after data was lost', () => {
    const preservation = new SelfPreservation(leaseMs)
    const reasons = watch(preservation, 60_000, (now) => ({ lostData: now === 5_000 }))
    expect([reasons[4], reasons[5], reasons[34], reasons[35]]).toEqual([
      ...[undefined, 'registry-lost-data', 'registry-lost-data', undefined],
    ])
  })

  it.each([3_600_000, -3_600_000, 16_000])('is on when the registry’s clock jumps by %i ms', (jump) => {
    const preservation = new SelfPreservation(leaseMs)
    const reasons = watch(preservation, 60_000, (now) => ({
      timeMs: epoch + now + (now >= 10_000 ? jump : 0),
    }))
    expect([reasons[9], reasons[10], reasons[60]]).toEqual([undefined, 'registry-clock-jumped', undefined])
  })

  it('sees a jump that happened while the registry was away', () => {
    const preservation = new SelfPreservation(leaseMs)
    const reasons = watch(preservation, 30_000, (now) => ({
      isAuthoritative: now < 10_000 || now > 20_000,
      timeMs: epoch + now + (now > 20_000 ? 600_000 : 0),
    }))
    expect(reasons[21]).toBe('registry-clock-jumped')
  })

  it('takes no slow answer for a jump', () => {
    const preservation = new SelfPreservation(leaseMs)
    const reasons = watch(preservation, 60_000, (now) => ({ timeMs: epoch + now - (now % 3) * 400 }))
    expect(new Set(reasons)).toEqual(new Set([undefined]))
  })

  it('goes on until every suspect is resolved, and names them', () => {
    const preservation = new SelfPreservation(leaseMs)
    const suspectsAt = (now: number) => (now < 20_000 ? 8 : now < 300_000 ? 2 : 0)
    const reasons = watch(preservation, 400_000, (now) => ({ expired: ended(suspectsAt(now), now) }))
    expect(reasons[0]).toBe('many-leases-ended')
    expect(reasons[299]).toBe('many-leases-ended')
    expect(reasons[300]).toBeUndefined()
    const again = new SelfPreservation(leaseMs)
    again.observe({ ...fine, expired: ended(4) }, 0)
    again.observe({ ...fine, expired: ended(2, 50_000) }, 50_000)
    expect(again.status(51_000)).toEqual({
      reason: 'many-leases-ended',
      forMs: 51_000,
      suspects: ['n0', 'n1'],
    })
  })

  it('ends once nothing is amiss and nobody is suspect, whatever was before', () => {
    const sight = fc.record({
      isAuthoritative: fc.boolean(),
      lostData: fc.boolean(),
      ended: fc.nat(10),
      jump: fc.integer({ min: -1e7, max: 1e7 }),
      afterMs: fc.nat(100_000),
    })
    fc.assert(
      fc.property(fc.array(sight), (sights) => {
        const preservation = new SelfPreservation(leaseMs)
        let now = 0
        let offset = 0
        for (const { ended: count, jump, afterMs, ...rest } of sights) {
          now += afterMs
          offset += jump
          preservation.observe({ ...fine, ...rest, expired: ended(count), timeMs: epoch + now + offset }, now)
        }
        for (let looks = 0; looks < 40; looks++) {
          now += 2_000
          preservation.observe({ ...fine, timeMs: epoch + now + offset }, now)
        }
        expect(preservation.isOn).toBe(false)
      }),
    )
  })

  it('begins the countdowns anew: no silence from before counts', () => {
    const preservation = new SelfPreservation(leaseMs)
    expect(preservation.silentMs(-500_000, 100_000)).toBe(600_000)
    preservation.observe({ ...fine, isAuthoritative: false }, 100_000)
    preservation.observe({ ...fine, isAuthoritative: false }, 200_000)
    expect(preservation.silentMs(-500_000, 200_000)).toBe(0)
    preservation.observe(fine, 210_000)
    expect(preservation.silentMs(-500_000, 260_000)).toBe(50_000)
    expect(preservation.silentMs(250_000, 260_000)).toBe(10_000)
  })

  it('lets few go in a minute, and none while the registry is away', () => {
    const preservation = new SelfPreservation(leaseMs)
    const gone = (now: number) =>
      Array.from({ length: 100 }, () => preservation.mayRemove(now)).filter(Boolean).length
    expect(gone(0)).toBe(100)
    preservation.observe({ ...fine, isAuthoritative: false, nodes: 40 }, 0)
    expect(gone(0)).toBe(0)
    preservation.observe({ ...fine, nodes: 40, expired: ended(20) }, 1_000)
    expect([gone(1_000), gone(2_000), gone(61_001)]).toEqual([6, 0, 6])
    preservation.observe({ ...fine, nodes: 3, expired: ended(2) }, 122_000)
    expect(gone(122_000)).toBe(1)
  })
})
