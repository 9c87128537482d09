import { describe, expect, it } from 'vitest'
import { runHarness } from './harness.js'
import { contenders, isPossible, kinds } from './plan.js'

const processes = 3

describe.each(contenders.filter((contender) => contender.startsWith('evenkeel')))('%s', (contender) => {
  it.each(kinds.filter((kind) => isPossible(contender, kind)))(
    'promise 4: holds a limit over processes, with Redis killed twice and frozen once: %s',
    async (kind) => {
      const run = await runHarness({ contender, kind, processes, ms: 7_000, faults: true })
      expect(run.admitted).toBeGreaterThan(100)
      expect(run.byMemory).toBeGreaterThan(0)
      expect(run.denied).toBeGreaterThan(0)
      expect(run.failed).toBe(0)
      expect(run.steady).toBeLessThanOrEqual(1)
      // Across an outage: the limit and one process's share; twice the limit if a process was cut off alone.
      const cutOff = run.strays > 0 ? 1 - 1 / processes : 0
      expect(run.anywhere).toBeLessThanOrEqual(1 + 1 / processes + cutOff)
    },
  )
})
