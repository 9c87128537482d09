import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { certify } from '../../src/semantic/policy/certificate.js'
import { choose, compared, isKnownWrong } from '../../src/semantic/policy/choose.js'
import { cleanTrialsFor, incompleteBeta, upperBound } from '../../src/semantic/policy/clopper-pearson.js'
import { driftAfter, driftLimit, driftStep } from '../../src/semantic/policy/drift.js'
import {
  type Bound,
  confidenceIn,
  firstPolicy,
  lengthOf,
  nextPolicy,
  policyAfterDrift,
} from '../../src/semantic/policy/epochs.js'
import { solve } from '../../src/semantic/policy/linear.js'
import { confidenceOf, featuresOf, firstModel, fitModel } from '../../src/semantic/policy/model.js'
import { seededRandom } from './labelled-set.js'

const bound: Bound = { maxErrorRate: 0.02, confidence: 0.95, judgeMissRate: 0 }

describe('the bound of an error rate', () => {
  it('is the textbook one: 183 clean trials prove 2 % with 97.5 %, 368 prove 1 %', () => {
    expect(cleanTrialsFor(0.02, 0.975)).toBe(183)
    expect(cleanTrialsFor(0.01, 0.975)).toBe(368)
    expect(upperBound(0, 183, 0.975)).toBeLessThanOrEqual(0.02)
    expect(upperBound(0, 182, 0.975)).toBeGreaterThan(0.02)
  })

  it('agrees with the sum of the binomial distribution', () => {
    const atMost = (errors: number, trials: number, rate: number) => {
      let [term, sum] = [(1 - rate) ** trials, 0]
      for (let k = 0; k <= errors; k++) {
        sum += term
        term *= ((trials - k) / (k + 1)) * (rate / (1 - rate))
      }
      return sum
    }
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 400 }),
        fc.nat(40),
        fc.constantFrom(0.9, 0.95, 0.99),
        (trials, e, confidence) => {
          fc.pre(e < trials)
          expect(atMost(e, trials, upperBound(e, trials, confidence))).toBeCloseTo(1 - confidence, 6)
        },
      ),
    )
    expect(incompleteBeta(0.5, 2, 2)).toBeCloseTo(0.5, 12)
    expect(upperBound(0, 0, 0.95)).toBe(1)
    expect(upperBound(5, 5, 0.95)).toBe(1)
  })
})

describe('the certificate', () => {
  const audits = (count: number, right: (at: number) => boolean) =>
    Array.from({ length: count }, (_, at) => ({ score: 1 - at / count, right: right(at) }))

  it('is given for 183 clean audits, and not for one fewer', () => {
    const options = { maxErrorRate: 0.02, confidence: 0.975 }
    expect(
      certify(
        audits(183, () => true),
        options,
      ),
    ).toMatchObject({ audits: 183, errors: 0 })
    expect(
      certify(
        audits(182, () => true),
        options,
      ),
    ).toBeUndefined()
  })

  it('reaches down to where the errors begin, and not beyond', () => {
    const found = certify(
      audits(1_000, (at) => at < 700),
      { maxErrorRate: 0.02, confidence: 0.975 },
    )
    expect(found?.audits).toBeGreaterThan(600)
    expect(found?.audits).toBeLessThan(715)
    expect(found?.errorBound).toBeLessThanOrEqual(0.02)
  })

  it('takes all audits of one score together, so that no error hides behind an equal', () => {
    const tied = Array.from({ length: 400 }, (_, at) => ({ score: 0.5, right: at < 200 }))
    expect(certify(tied, { maxErrorRate: 0.02, confidence: 0.975 })).toBeUndefined()
  })

  it('is wrong no more often than its confidence allows, in 1,000 streams at the worst rate', () => {
    const random = seededRandom(7)
    const options = { maxErrorRate: 0.05, confidence: 0.9 }
    let given = 0
    for (let run = 0; run < 1_000; run++) {
      // The true rate passes 5 % at the score of 0.5 and grows below it; the walk ends somewhere near there.
      const rateBelow = (score: number) => (score > 0.5 ? 0.052 : 0.08)
      const stream = Array.from({ length: 600 }, () => {
        const score = random()
        return { score, right: random() >= rateBelow(score) }
      })
      if (certify(stream, options) !== undefined) given++
    }
    // The true rate is above 5 % at every threshold here: each certificate is a wrong one.
    expect(given / 1_000).toBeLessThan(0.1 + 3 * Math.sqrt((0.1 * 0.9) / 1_000))
    expect(given).toBeGreaterThan(0)
  })

  it('is given often where the rate is well below the bound', () => {
    const random = seededRandom(8)
    let given = 0
    for (let run = 0; run < 200; run++) {
      const stream = Array.from({ length: 366 }, () => ({ score: random(), right: random() >= 0.001 }))
      if (certify(stream, { maxErrorRate: 0.02, confidence: 0.975 })) given++
    }
    expect(given).toBeGreaterThan(150)
  })
})

describe('the model', () => {
  it('solves equations: what was multiplied comes back', () => {
    const number = fc.double({ min: -5, max: 5, noNaN: true })
    const three = fc.tuple(number, number, number)
    fc.assert(
      fc.property(fc.tuple(three, three, three), three, (rows, x) => {
        // A product with its own transpose is symmetric; one more on the diagonal makes it positive definite.
        const matrix = rows.map((one, i) =>
          rows.map((other, j) => one.reduce((sum, v, k) => sum + v * (other[k] ?? 0), i === j ? 1 : 0)),
        )
        const right = matrix.map((line) => line.reduce((sum, v, k) => sum + v * (x[k] ?? 0), 0))
        for (const [index, value] of solve(matrix, right).entries())
          expect(value).toBeCloseTo(x[index] ?? 0, 6)
      }),
    )
  })

  it('is surer of what is nearer and shares more words', () => {
    const sure = (similarity: number, overlap: number) =>
      confidenceOf(firstModel, featuresOf(similarity, overlap), [])
    fc.assert(
      fc.property(
        fc.double({ min: 0.6, max: 0.99, noNaN: true }),
        fc.double({ min: 0, max: 0.9, noNaN: true }),
        (s, o) => {
          expect(sure(s + 0.01, o)).toBeGreaterThanOrEqual(sure(s, o))
          expect(sure(s, o + 0.1)).toBeGreaterThanOrEqual(sure(s, o))
        },
      ),
    )
    expect(sure(1, 1)).toBeGreaterThan(0.95)
    expect(sure(0.7, 0)).toBeLessThan(0.05)
  })

  it('learns from audits how near is near enough, with labels that a line separates too', () => {
    const labelled = Array.from({ length: 200 }, (_, at) => ({
      features: featuresOf(0.6 + at / 500, 0.5),
      right: at > 100,
    }))
    const learned = fitModel(labelled, firstModel, 2)
    expect(learned.epoch).toBe(2)
    expect(confidenceOf(learned, featuresOf(0.95, 0.5), [])).toBeGreaterThan(0.9)
    expect(confidenceOf(learned, featuresOf(0.65, 0.5), [])).toBeLessThan(0.1)
    expect(learned.weights.every(Number.isFinite)).toBe(true)
  })

  it('learns for each row by itself, from earlier epochs alone', () => {
    const model = { weights: firstModel.weights, epoch: 3 }
    const features = featuresOf(0.95, 0.5)
    const seen = (right: boolean, epoch: number) =>
      Array.from({ length: 6 }, (_, at) => ({ id: `${at}`, epoch, features, similarity: 0.95, right }))
    const plain = confidenceOf(model, features, [])
    expect(confidenceOf(model, features, seen(true, 2))).toBeGreaterThan(plain)
    expect(confidenceOf(model, features, seen(false, 2))).toBeLessThan(plain)
    expect(confidenceOf(model, features, seen(false, 3))).toBe(plain)
  })

  it('gives a number from 0 to 1 whatever it is told', () => {
    const features = fc.array(fc.double({ min: -20, max: 20, noNaN: true }), { minLength: 3, maxLength: 3 })
    const labelled = fc.array(fc.record({ features, right: fc.boolean() }), { maxLength: 40 })
    fc.assert(
      fc.property(labelled, features, (labels, where) => {
        const score = confidenceOf(fitModel(labels, firstModel, 2), where, [])
        expect(score).toBeGreaterThanOrEqual(0)
        expect(score).toBeLessThanOrEqual(1)
      }),
    )
  })
})

describe('the choice', () => {
  const neighbour = { id: 'x', similarity: 0.99, sheet: '', observations: [] }
  const fine = { overlap: 1, objection: undefined }

  it('is the surest without an objection, and none where there is none', () => {
    const near = compared(neighbour, { overlap: 1, objection: 'numbers' }, 0.6)
    const next = compared({ ...neighbour, id: 'y', similarity: 0.9 }, fine, 0.6)
    const far = compared({ ...neighbour, id: 'z', similarity: 0.5 }, fine, 0.6)
    expect(choose([near, next, far], firstModel)?.id).toBe('y')
    expect(choose([near, far], firstModel)).toBeUndefined()
  })

  it('remembers at once at which nearness a row was wrong', () => {
    const wrong = { id: 'o', epoch: 9, features: [], similarity: 0.95, right: false }
    expect(isKnownWrong({ ...neighbour, similarity: 0.94, observations: [wrong] })).toBe(true)
    expect(isKnownWrong({ ...neighbour, similarity: 0.99, observations: [wrong] })).toBe(false)
    expect(isKnownWrong({ ...neighbour, similarity: 0.94, observations: [{ ...wrong, right: true }] })).toBe(
      false,
    )
  })
})

describe('the epochs', () => {
  const audits = (count: number) =>
    Array.from({ length: count }, (_, at) => ({
      features: featuresOf(0.7 + at / count / 4, 0.5),
      score: at / count,
      right: true,
    }))

  it('share the doubt so that all of them together stay within it', () => {
    let doubt = 0
    for (let epoch = 1; epoch < 60; epoch++) doubt += 1 - confidenceIn(epoch, bound)
    expect(doubt).toBeLessThanOrEqual(0.05 + 1e-9)
    expect(lengthOf(1, bound)).toBe(366)
    expect(lengthOf(2, bound)).toBeGreaterThan(2 * 366)
  })

  it('serve nothing in the first, and by what the one before has proved after that', () => {
    const second = nextPolicy(firstPolicy, audits(366), bound)
    expect(second.epoch).toBe(2)
    expect(second.serving?.model).toBe(firstPolicy.candidate)
    expect(second.serving?.certificate.errorBound).toBeLessThanOrEqual(0.02)
    const third = nextPolicy(second, audits(900), bound)
    expect(third.serving?.model).toBe(second.candidate)
    expect(policyAfterDrift(third)).toMatchObject({ epoch: 4, serving: undefined })
  })

  it('prove less by a judge that lets wrong answers pass', () => {
    const lenient = { ...bound, judgeMissRate: 0.5 }
    expect(lengthOf(1, lenient)).toBeGreaterThan(2 * 366)
    expect(nextPolicy(firstPolicy, audits(366), lenient).serving).toBeUndefined()
  })
})

describe('the whole of learning', () => {
  it('serves above the bound in no epoch, save in as many runs as its confidence allows', () => {
    const random = seededRandom(21)
    const strict: Bound = { maxErrorRate: 0.1, confidence: 0.9, judgeMissRate: 0 }
    const runs = 300
    let broken = 0
    let served = 0
    for (let run = 0; run < runs; run++) {
      // Each run has a world of its own: how likely a candidate is right, by its similarity.
      const [middle, steepness] = [0.7 + 0.2 * random(), 10 + 50 * random()]
      const chanceAt = (similarity: number) => 1 / (1 + Math.exp(-steepness * (similarity - middle)))
      let policy = firstPolicy
      for (let epoch = 1; epoch <= 4; epoch++) {
        const audits = Array.from({ length: lengthOf(epoch, strict) }, () => {
          const similarity = 0.6 + 0.4 * random()
          const features = featuresOf(similarity, 0.5)
          const score = confidenceOf(policy.candidate, features, [])
          return { features, score, right: random() < chanceAt(similarity) }
        })
        policy = nextPolicy(policy, audits, strict)
        const { serving } = policy
        if (serving === undefined) continue
        served++
        const rates = Array.from({ length: 400 }, (_, at) => 0.6 + at / 1_000)
          .filter((s) => confidenceOf(serving.model, featuresOf(s, 0.5), []) >= serving.certificate.threshold)
          .map((similarity) => 1 - chanceAt(similarity))
        const rate = rates.reduce((sum, value) => sum + value, 0) / Math.max(1, rates.length)
        if (rate > strict.maxErrorRate) {
          broken++
          break
        }
      }
    }
    expect(served).toBeGreaterThan(runs)
    expect(broken / runs).toBeLessThan(0.1 + 3 * Math.sqrt((0.1 * 0.9) / runs))
  })
})

describe('the watch for drift', () => {
  const run = (rate: number, audits: number, seed: number) => {
    const random = seededRandom(seed)
    let wealth = 0
    for (let at = 1; at <= audits; at++) {
      wealth = driftAfter(wealth, driftStep(random() >= rate, 0.02))
      if (wealth >= driftLimit) return at
    }
    return undefined
  }

  it('stays calm for long at the bound itself', () => {
    const alarms = Array.from({ length: 40 }, (_, seed) => run(0.02, 1_000, seed)).filter(
      (at) => at !== undefined,
    )
    // 10,000 audits from one false alarm to the next on average: 40 runs of 1,000 see 4 at most or so.
    expect(alarms.length).toBeLessThanOrEqual(9)
  })

  it('tells within hundreds of audits that errors have tripled', () => {
    const delays = Array.from({ length: 40 }, (_, seed) => run(0.06, 5_000, seed + 100) ?? 5_000).sort(
      (a, b) => a - b,
    )
    expect(delays[20]).toBeLessThan(600)
    expect(delays[39]).toBeLessThan(3_000)
  })
})
