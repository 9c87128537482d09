import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Evaluation, evaluatePairs, type LabelledPair } from '../../src/semantic/evaluate.js'
import type { Embed } from '../../src/semantic/judge.js'
import { unitVector } from '../../src/semantic/vector.js'
import { readLabelledFile } from './labelled-file.js'
import { labelledSet, shuffled } from './labelled-set.js'
import { localEmbedder } from './local-embedder.js'
import { verifierRightIn } from './verifier.js'

const file = fileURLToPath(new URL('written-pairs.tsv', import.meta.url))

let embed: Embed
let pairs: readonly LabelledPair[]

// The encoder takes some 10 ms a text; each text is encoded once.
beforeAll(async () => {
  embed = await localEmbedder()
  pairs = shuffled(await readLabelledFile(file))
  await embed(pairs.flatMap(({ a, b }) => [a, b]))
}, 180_000)

const fixedAt = ({ fixed }: Evaluation, cosine: number) => {
  const found = fixed.find(({ threshold }) => threshold === cosine)
  if (found === undefined) throw new Error(`no figures at ${cosine}`)
  return found
}

describe('with a sentence encoder, on pairs written by hand, half of which differ in a word that matters', () => {
  it('the set is one to learn from: hundreds of pairs, no text with two labels', () => {
    expect(pairs.length).toBeGreaterThan(600)
    const labels = new Map<string, boolean>()
    for (const { a, b, same } of pairs) {
      const key = [a, b].sort().join('\n')
      expect(labels.get(key) ?? same, key).toBe(same)
      labels.set(key, same)
    }
  })

  it('the encoder knows meaning, which letters do not tell', async () => {
    const [question = [], reworded = [], other = []] = await embed([
      'My dog is ill',
      'The puppy feels sick',
      'My log is full',
    ])
    const cosine = (one: ArrayLike<number>, two: ArrayLike<number>) => {
      const [from, to] = [unitVector(one), unitVector(two)]
      return from.reduce((sum, value, at) => sum + value * (to[at] ?? 0), 0)
    }
    expect(cosine(question, reworded)).toBeGreaterThan(cosine(question, other))
  })

  it.each([0.8, 0.9, 0.95])(
    'a fixed cosine of %s serves a third or more wrong, the guard a fraction of that',
    async (at) => {
      const { plain, guarded } = fixedAt(await evaluatePairs(pairs, { embed }), at)
      expect(plain.served).toBeGreaterThan(80)
      expect(plain.errorRate).toBeGreaterThan(0.33)
      expect(guarded.served).toBeGreaterThan(30)
      expect(guarded.errorRate).toBeLessThan(plain.errorRate / 3)
      // The guard alone keeps no bound: that is what the proof is for.
      expect(guarded.errorRate).toBeGreaterThan(0.02)
    },
  )

  it.each([0.02, 0.05])(
    'serves nothing where a share of at most %s can not be proved',
    async (maxErrorRate) => {
      const { learned, epochs } = await evaluatePairs(pairs, { embed, maxErrorRate })
      expect(learned.served).toBe(0)
      expect(epochs.every(({ serving }) => serving === undefined)).toBe(true)
    },
  )

  it('serves within the bound once `verify` refuses most of what is wrong', async () => {
    const verify = verifierRightIn(0.9)
    const { learned } = await evaluatePairs(pairs, { embed, maxErrorRate: 0.05, verify })
    expect(learned.served).toBeGreaterThan(20)
    expect(learned.errorRate).toBeLessThanOrEqual(0.05)
  })

  it('every number and name that changed is refused before any cosine', async () => {
    const { refused } = await evaluatePairs(pairs, { embed })
    expect(refused.find(({ reason }) => reason === 'numbers')).toMatchObject({ same: 0 })
    const needless = refused.reduce((sum, { same }) => sum + same, 0)
    // What the guard costs: rewordings that it takes for something else.
    expect(needless).toBeLessThan(pairs.length / 4)
  })
})

describe('with the same encoder, on questions that come back in a few forms each', () => {
  it('serves most of them within the bound, where a fixed cosine is wrong more often', async () => {
    const result = await evaluatePairs(labelledSet(450, 5), { embed, maxErrorRate: 0.05 })
    expect(result.learned.served).toBeGreaterThan(50)
    expect(result.learned.errorRate).toBeLessThanOrEqual(0.05)
    expect(result.learned.recall).toBeGreaterThan(0.6)
    expect(fixedAt(result, 0.95).plain.errorRate).toBeGreaterThan(0.1)
  }, 180_000)
})
