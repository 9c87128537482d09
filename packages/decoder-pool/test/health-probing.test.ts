import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { adaptersIn } from '../src/health/probe.js'
import { ProbeRecord } from '../src/health/probe-record.js'
import { ProberAssignment } from '../src/health/prober-assignment.js'

describe('nodes and their probers', () => {
  const coordinators = (count: number, region?: string) =>
    Array.from({ length: count }, (_, index) => ({ id: `${region}-${index}`, region }))
  const nodes = Array.from({ length: 300 }, (_, index) => ({ id: `n${index}`, region: 'eu' }))

  it('are the same for all, two each, evenly spread', () => {
    const live = coordinators(5)
    const counts = new Map<string, number>()
    for (const node of nodes) {
      const probers = new ProberAssignment(2).of(node, live)
      expect(new ProberAssignment(2).of(node, [...live].reverse())).toEqual(probers)
      expect(new Set(probers).size).toBe(2)
      for (const id of probers) counts.set(id, (counts.get(id) ?? 0) + 1)
    }
    for (const count of counts.values()) expect(Math.abs(count - 120)).toBeLessThan(40)
  })

  it('come from the node’s own region where it has any', () => {
    const choice = new ProberAssignment(2)
    for (const node of nodes) {
      const two = choice.of(node, [...coordinators(9, 'us'), ...coordinators(3, 'eu')])
      expect(two.every((id) => id.startsWith('eu'))).toBe(true)
      const one = choice.of(node, [...coordinators(9, 'us'), ...coordinators(1, 'eu')])
      expect(one.map((id) => id.slice(0, 2))).toEqual(['eu', 'us'])
    }
  })

  it('stay when another coordinator leaves', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 12 }), fc.nat(11), (count, gone) => {
        const live = coordinators(count, 'eu')
        const rest = live.filter((_, index) => index !== gone % count)
        const left = live[gone % count]?.id ?? ''
        const choice = new ProberAssignment(2)
        for (const node of nodes.slice(0, 40)) {
          const before = choice.of(node, live)
          const stayed = before.filter((id) => id !== left)
          expect(choice.of(node, rest)).toEqual(expect.arrayContaining(stayed))
        }
      }),
    )
  })
})

describe('probes of one coordinator', () => {
  const thresholds = { unhealthyAfter: 2, healthyAfter: 3 }

  it('decide by thresholds both ways', () => {
    const record = new ProbeRecord()
    const seen = (
      ['ok', 'failed', 'ok', 'failed', 'failed', 'ok', 'ok', 'failed', 'ok', 'ok', 'ok'] as const
    ).map((outcome, now) => {
      record.note(outcome, false, now, thresholds)
      return record.healthy
    })
    expect(seen).toEqual([true, true, true, true, false, false, false, false, false, false, true])
  })

  it('weigh a timeout of a node that works as a third of a failure', () => {
    const outcomes = (isBusy: boolean) => {
      const record = new ProbeRecord()
      let count = 0
      while (record.healthy !== false) record.note('timeout', isBusy, count++, thresholds)
      return count
    }
    expect([outcomes(false), outcomes(true)]).toEqual([2, 6])
  })

  it.each([
    [
      ['b', 'a', 'b'],
      ['a', 'b'],
    ],
    [{ adapters: ['a'] }, ['a']],
    [{ loaded_adapters: [{ id: 'a', rank: 8 }, { name: 'b' }] }, ['a', 'b']],
    [{ hot_adapters: [] }, []],
    [{ object: 'list', data: [{ id: 'a' }] }, ['a']],
    [{ adapters: 'a' }, undefined],
    [{ adapters: ['a', 7] }, undefined],
    [null, undefined],
    ['a', undefined],
  ])('read %j', (body, adapters) => {
    expect(adaptersIn(body)).toEqual(adapters)
  })

  it('take no list that is too long', () => {
    expect(adaptersIn(Array.from({ length: 257 }, (_, index) => `a${index}`))).toBeUndefined()
  })
})
