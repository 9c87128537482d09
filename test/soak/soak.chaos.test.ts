import { expect, it } from 'vitest'
import { soak } from './soak.js'

// Short runs; `pnpm soak --minutes 30` is the long one, also on Sentinel.
it.each(['standalone', 'cluster'] as const)(
  'nothing goes wrong in the whole family while faults are drawn at random, %s',
  async (topology) => {
    const { violations, answered, turns, faults } = await soak({
      topology,
      ms: 20_000,
      seed: 20_261_127,
      callers: 12,
      settledMs: 20_000,
    })
    expect(violations).toEqual([])
    expect(answered).toBeGreaterThan(100)
    expect(turns).toBeGreaterThan(5)
    expect(Object.keys(faults).length).toBeGreaterThan(1)
  },
  180_000,
)
