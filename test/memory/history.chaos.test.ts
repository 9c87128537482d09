import { describe, expect, it } from 'vitest'
import { runRound } from './harness.js'
import { judge } from './judge.js'
import { scenarios } from './scenarios.js'

const nothing = { lost: [], twice: [], late: [], gaps: 0, strayReads: 0, walkFaults: [] }

it.each(scenarios)(
  'promises 1 to 3: four processes keep every acknowledged message, once and in order: Redis $name',
  {
    // Each wait in a round has a bound of its own, and a busy machine takes several times as long for all of them.
    timeout: 900_000,
  },
  async (scenario) => {
    const round = await runRound({ library: 'evenkeel', scenario, ms: 0 })
    expect(round).toMatchObject({ ...nothing, refused: 0, faults: scenario.faults.length })
    expect(round.acknowledged).toBeGreaterThan(100)
    expect(round.journaled).toBeGreaterThan(20)
    expect(round.reads).toBeGreaterThan(20)
    if (scenario.isOfFiles !== true) expect(round.walks).toBeGreaterThan(5)
    if (scenario.loses) expect(round.healed).toBeGreaterThan(20)
  },
)

describe('who judges histories', () => {
  const writers = [{ name: 'a', acknowledged: [1, 2] }]

  it('finds what is lost, twice, late, or read and not there', () => {
    const readers = [{ reads: [['a-1', 'a-2'], ['b-7'], [], ['a-2', 'a-1']] }]
    expect(judge({ ids: ['a-1', 'a-2'], gaps: 0 }, writers, [{ reads: [['a-2'], []] }])).toEqual(nothing)
    expect(judge({ ids: ['a-2', 'a-3', 'b-1', 'a-1', 'a-3'], gaps: 1 }, writers, readers)).toEqual({
      lost: [],
      twice: ['a-3'],
      late: ['a-1'],
      gaps: 1,
      strayReads: 3,
      walkFaults: [],
    })
    expect(judge({ ids: ['a-1'], gaps: 0 }, writers, []).lost).toEqual(['a-2'])
  })
})
