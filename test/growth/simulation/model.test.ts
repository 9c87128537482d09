import { describe, expect, test } from 'vitest'
import { fitCosts } from './fit.js'
import { type Setting, simulate } from './model.js'

const free = { perWakeup: 0, perWrite: 0, perCommand: 0, perDecision: 0 }
const setting: Setting = {
  instances: 4,
  primaries: 1,
  together: 1,
  load: 1_000,
  roundTripMs: 0,
  decisions: 20_000,
  seed: 1,
  server: { perWakeup: 0, perWrite: 20, perCommand: 10, perDecision: 5 },
  process: free,
}

describe('the simulation of instances on Redis', () => {
  test('is the same for a seed, and another for another one', () => {
    const [one, again, other] = [simulate(setting), simulate(setting), simulate({ ...setting, seed: 2 })]
    expect(again).toEqual(one)
    expect(other.p99Ms).not.toBe(one.p99Ms)
  })

  test.each([0.3, 0.6, 0.85])(
    'waits as a queue of random arrivals and even service does, at a load of %d',
    (load) => {
      const serviceMs = 0.035
      const perSecond = (load / serviceMs) * 1_000
      // Many instances: with few, some calls would wait for their own instance's turn.
      const { meanMs, busiest, decisionsPerSecond } = simulate({
        ...setting,
        instances: 500,
        load: perSecond / 500,
        decisions: 60_000,
      })
      expect(Math.abs(busiest / load - 1)).toBeLessThan(0.03)
      expect(Math.abs(decisionsPerSecond / perSecond - 1)).toBeLessThan(0.03)
      // The Pollaczek–Khinchine formula.
      const expected = serviceMs * (1 + load / (2 * (1 - load)))
      expect(Math.abs(meanMs / expected - 1)).toBeLessThan(0.06)
    },
  )

  test('does what a full server does: as many as its time has room for', () => {
    const { decisionsPerSecond, busiest } = simulate({ ...setting, instances: 50, load: 'closed' })
    expect(busiest).toBeCloseTo(1, 2)
    expect(decisionsPerSecond / (1e6 / 35)).toBeCloseTo(1, 2)
  })

  test('shares one command among the calls of a turn on one server, and not on a Cluster', () => {
    const closed = { ...setting, together: 32, load: 'closed', decisions: 12_800 } as const
    expect(simulate(closed).commandsPerDecision).toBeCloseTo(1 / 32, 6)
    expect(simulate(closed).serverUsPerDecision).toBeCloseTo((20 + 10 + 32 * 5) / 32, 6)
    expect(simulate({ ...closed, primaries: 3 }).commandsPerDecision).toBe(1)
    // A command carries 128 at most.
    expect(simulate({ ...closed, together: 256 }).commandsPerDecision).toBeCloseTo(2 / 256, 6)
  })

  test('spreads evenly over primaries, so that capacity grows with their number', () => {
    const closed = { ...setting, instances: 400, load: 'closed' } as const
    const [three, nine] = [3, 9].map((primaries) => simulate({ ...closed, primaries }))
    expect((three?.decisionsPerSecond ?? 0) / (3e6 / 35)).toBeGreaterThan(0.9)
    expect((nine?.decisionsPerSecond ?? 0) / (9e6 / 35)).toBeGreaterThan(0.85)
  })

  test('wakes a server once for what comes together, and not while it works', () => {
    const server = { ...setting.server, perWakeup: 100 }
    const one = { ...setting, server, instances: 1, connections: 1, load: 'closed' } as const
    expect(simulate(one).serverUsPerDecision).toBeCloseTo(135, 6)
    // Eight connections of a process that takes a millisecond a turn: their writes come in one or two lots.
    const slow = { ...one, connections: 8, process: { ...free, perWakeup: 1_000 } }
    expect(simulate(slow).serverUsPerDecision).toBeGreaterThan(35 + 100 / 8 - 0.1)
    expect(simulate(slow).serverUsPerDecision).toBeLessThan(35 + 200 / 8 + 0.1)
    const full = { ...one, connections: 8 }
    expect(simulate(full).serverUsPerDecision).toBeLessThan(36)
  })

  test('lets what comes while an instance works travel together', () => {
    const busy = { ...setting, instances: 1, load: 50_000, process: { ...free, perWrite: 100 } }
    expect(simulate(busy).commandsPerDecision).toBeLessThan(0.3)
  })
})

test('costs that explain measurements are found again', () => {
  const samples = [1, 4].flatMap((writes) =>
    [1, 4, 16].flatMap((commands) =>
      [1, 8, 128].map((decisions) => ({
        writes,
        commands,
        decisions,
        us: 12 + writes * (6 + commands * (11 + decisions * 5)),
      })),
    ),
  )
  const costs = fitCosts(samples)
  const found = [costs.perWakeup, costs.perWrite, costs.perCommand, costs.perDecision]
  expect(found.map((value) => value.toFixed(6))).toEqual(['12.000000', '6.000000', '11.000000', '5.000000'])
  expect(() => fitCosts([{ writes: 1, commands: 1, decisions: 1, us: 9 }])).toThrow('tell writes')
})
