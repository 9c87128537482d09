import { describe, expect, it } from 'vitest'
import { evaluatePairs } from '../../src/semantic/evaluate.js'
import { lexicalEmbedder } from '../../src/semantic/lexical-embedder.js'
import { labelledSet } from './labelled-set.js'

describe('the learned policy on a labelled set with hard negatives', () => {
  it.each([0.01, 0.02, 0.05])(
    'keeps the errors within %s, and finds most of what a fixed cosine finds',
    async (maxErrorRate) => {
      const result = await evaluatePairs(labelledSet(8_000, 5), { embed: lexicalEmbedder(), maxErrorRate })
      const { learned, fixed } = result
      expect(learned.served).toBeGreaterThan(1_000)
      expect(learned.errorRate).toBeLessThanOrEqual(maxErrorRate)
      expect(learned.recall).toBeGreaterThan(0.6)
      const careful = fixed.find(({ threshold }) => threshold === 0.95)
      // Even the careful cosine is wrong more often than that, and finds less.
      expect(careful?.plain.errorRate).toBeGreaterThan(learned.errorRate)
      expect(learned.hitRate).toBeGreaterThan(careful?.plain.hitRate ?? 1)
    },
  )

  it('serves nothing where nothing can be proved: without the guard, by letters alone', async () => {
    const result = await evaluatePairs(labelledSet(3_000, 5), {
      embed: lexicalEmbedder(),
      guard: false,
      maxErrorRate: 0.02,
    })
    expect(result.epochs.length).toBeGreaterThan(1)
    expect(result.learned.served).toBe(0)
  })

  it('gives the same for the same pairs', async () => {
    const run = () => evaluatePairs(labelledSet(1_000, 3), { embed: lexicalEmbedder() })
    expect(await run()).toEqual(await run())
  })
})
