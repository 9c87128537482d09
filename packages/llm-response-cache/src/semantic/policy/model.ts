import type { Observation } from '../index/port.js'
import { solve, type Vector } from './linear.js'

/** How similarity and overlap make an answer likely, for all rows; a row's own observations are added later. */
export interface Model {
  /** Weights of a constant, the similarity and the overlap, in log-odds. */
  readonly weights: Vector
  /** The model uses observations of rows from epochs before this one, and no later ones. */
  readonly epoch: number
}

/**
 * Where learning begins: an even chance at a cosine of 0.94 and half of the words in common. Only the order in which
 * it ranks candidates counts for the first certificate.
 */
export const firstModel: Model = { weights: [-6.5, 2, 2], epoch: 1 }

/** Precisions of the prior of all rows' weights: low, so that audits soon outweigh the model before. */
const looseness: Vector = [0.1, 0.1, 0.1]
/** Precisions of a row's distance from all rows: standard deviations of 1/2, 1/4 and 1/2 in log-odds. */
const kinship: Vector = [4, 16, 4]

/** Cosines crowd just below 1; the logarithm spreads them: 0.9 becomes 2.3, and 0.99 becomes 4.5. */
export function featuresOf(similarity: number, overlap: number): Vector {
  return [1, -Math.log(1 - Math.min(1, similarity) + 1e-3), overlap]
}

export interface Labelled {
  readonly features: Vector
  readonly right: boolean
}

/** The model that explains the labels best, with the one before as a weak prior. */
export function fitModel(labelled: readonly Labelled[], before: Model, epoch: number): Model {
  const { weights } = fitWeights(labelled, before.weights, looseness)
  // More similarity or overlap must never lower the score, even if a small sample suggests it.
  return { weights: weights.map((weight, index) => (index === 0 ? weight : Math.max(0.01, weight))), epoch }
}

/**
 * Lower bound, from 0 to 1, of the probability that the row's answer is right for a question with these features.
 * The row's own observations move it away from the value for all rows (a logistic regression with the weights of
 * all rows as prior); the less is known, the lower the bound. The largest of
 * `(1 - e) * sigmoid(mean - z(1 - e) * deviation)` over e bounds the probability itself, as in
 * "vCache: Verified Semantic Prompt Caching" (arXiv 2502.03771).
 */
export function confidenceOf(
  { weights, epoch }: Model,
  features: Vector,
  observations: readonly Observation[],
): number {
  const known = observations.filter((seen) => seen.epoch < epoch && seen.features.length === features.length)
  const own = fitWeights(known, weights, kinship)
  const mean = dot(own.weights, features)
  const deviation = Math.sqrt(Math.max(0, dot(features, solve(own.precision, features))))
  let best = 0
  for (const [tail, z] of tails) best = Math.max(best, (1 - tail) * sigmoid(mean - z * deviation))
  return best
}

/** Upper tails of the normal distribution, and where each begins. */
const tails = [
  [0.5, 0],
  [0.3, 0.5244],
  [0.2, 0.8416],
  [0.1, 1.2816],
  [0.05, 1.6449],
  [0.02, 2.0537],
  [0.01, 2.3263],
  [0.005, 2.5758],
  [0.002, 2.8782],
  [0.001, 3.0902],
  [0.0001, 3.719],
] as const

interface Fit {
  readonly weights: Vector
  /** The curvature at the maximum: the inverse of the weights' covariance. */
  readonly precision: readonly Vector[]
}

/** Maximum a posteriori of a logistic regression by Newton's steps, halved where they would overshoot. */
function fitWeights(labelled: readonly Labelled[], prior: Vector, precisions: Vector): Fit {
  let weights = prior
  let loss = lossOf(labelled, weights, prior, precisions)
  for (let step = 0; step < 30 && labelled.length > 0; step++) {
    const { gradient, precision } = slopeOf(labelled, weights, prior, precisions)
    const move = solve(precision, gradient)
    let share = 1
    let next = weights
    let nextLoss = loss
    do {
      next = weights.map((weight, index) => weight - share * (move[index] ?? 0))
      nextLoss = lossOf(labelled, next, prior, precisions)
      share /= 2
    } while (nextLoss > loss && share > 1e-4)
    const gain = loss - nextLoss
    if (gain <= 1e-9) break
    weights = next
    loss = nextLoss
  }
  return { weights, precision: slopeOf(labelled, weights, prior, precisions).precision }
}

function lossOf(labelled: readonly Labelled[], weights: Vector, prior: Vector, precisions: Vector): number {
  let loss = 0
  for (const { features, right } of labelled) {
    const odds = dot(weights, features)
    loss += softplus(right ? -odds : odds)
  }
  for (const [index, weight] of weights.entries()) {
    loss += ((precisions[index] ?? 0) * (weight - (prior[index] ?? 0)) ** 2) / 2
  }
  return loss
}

function slopeOf(
  labelled: readonly Labelled[],
  weights: Vector,
  prior: Vector,
  precisions: Vector,
): { readonly gradient: Vector; readonly precision: readonly Vector[] } {
  const gradient = weights.map((weight, index) => (precisions[index] ?? 0) * (weight - (prior[index] ?? 0)))
  const precision = weights.map((_, row) =>
    weights.map((__, column) => (row === column ? (precisions[row] ?? 0) : 0)),
  )
  for (const { features, right } of labelled) {
    const chance = sigmoid(dot(weights, features))
    const weight = chance * (1 - chance)
    for (const [row, feature] of features.entries()) {
      gradient[row] = (gradient[row] ?? 0) + (chance - (right ? 1 : 0)) * feature
      const line = precision[row] ?? []
      for (const [column, other] of features.entries())
        line[column] = (line[column] ?? 0) + weight * feature * other
    }
  }
  return { gradient, precision }
}

function dot(one: Vector, other: Vector): number {
  return one.reduce((sum, value, index) => sum + value * (other[index] ?? 0), 0)
}

function sigmoid(odds: number): number {
  return 1 / (1 + Math.exp(-odds))
}

function softplus(value: number): number {
  return value > 0 ? value + Math.log1p(Math.exp(-value)) : Math.log1p(Math.exp(value))
}
