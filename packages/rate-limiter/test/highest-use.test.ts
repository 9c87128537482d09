import { describe, expect, it } from 'vitest'
import { slidingWindow } from '../src/index.js'
import { HighestUse } from '../src/usage/highest-use.js'

const limits = { requests: slidingWindow(10, '1m'), tokens: slidingWindow(1_000, '1m') }
const costs = (...names: readonly (keyof typeof limits)[]) =>
  names.map((name) => ({ subject: 'u', name, limit: limits[name], cost: 1 }))

describe('the highest use of limits', () => {
  it('is that of the subject who used most, by limit', () => {
    const highest = new HighestUse()
    highest.record(costs('requests', 'tokens'), [{ remaining: 4 }, { remaining: 1_000 }], 1_000)
    highest.record(costs('requests'), [{ remaining: 8 }], 2_000)
    expect([...highest.read(3_000)]).toEqual([
      ['requests', 0.6],
      ['tokens', 0],
    ])
  })

  it('is of the last minute, and 0 once nobody asks', () => {
    const highest = new HighestUse()
    const at = (nowMs: number) => highest.read(nowMs).get('requests')
    highest.record(costs('requests'), [{ remaining: 0 }], 1_000)
    expect([at(20_000), at(40_000), at(100_000), at(200_000)]).toEqual([1, 1, 0, 0])
    highest.record(costs('requests'), [{ remaining: 5 }], 200_001)
    expect(at(200_002)).toBe(0.5)
  })

  it('of a debt is more than all', () => {
    const highest = new HighestUse()
    highest.record(costs('requests'), [{ remaining: -5 }], 1_000)
    expect(highest.read(1_000).get('requests')).toBe(1.5)
  })
})
