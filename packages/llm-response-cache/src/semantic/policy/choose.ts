import type { Comparison, Objection } from '../features/compare.js'
import type { Neighbour } from '../index/port.js'
import type { Vector } from './linear.js'
import { confidenceOf, featuresOf, type Model } from './model.js'

/** A neighbour, compared with the question. */
export interface Compared extends Neighbour {
  readonly overlap: number
  readonly objection: Objection | 'distance' | undefined
}

export interface Candidate extends Neighbour {
  readonly features: Vector
  /** How sure the model is that its answer is right, from 0 to 1. */
  readonly score: number
}

/** Joins what the guard says of a neighbour; one that is too far is not asked about. */
export function compared(neighbour: Neighbour, comparison: Comparison, minSimilarity: number): Compared {
  const { overlap, objection } = comparison
  return { ...neighbour, overlap, objection: neighbour.similarity < minSimilarity ? 'distance' : objection }
}

/** The neighbour that a model is surest of, among those without an objection. Nothing if there is none. */
export function choose(neighbours: readonly Compared[], model: Model): Candidate | undefined {
  let best: Candidate | undefined
  for (const neighbour of neighbours) {
    if (neighbour.objection !== undefined) continue
    const features = featuresOf(neighbour.similarity, neighbour.overlap)
    const score = confidenceOf(model, features, neighbour.observations)
    if (best === undefined || score > best.score) best = { ...neighbour, features, score }
  }
  return best
}

/**
 * Whether the row was wrong before, for a question as near or nearer. It is not served then at once; this
 * only takes hits away from what is proved, and so needs no proof.
 */
export function isKnownWrong({ observations, similarity }: Neighbour): boolean {
  return observations.some((seen) => !seen.right && seen.similarity >= similarity - 1e-4)
}
