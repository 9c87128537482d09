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

/** Adds the guard's comparison to a neighbour; if the neighbour is too far, that is the objection. */
export function compared(neighbour: Neighbour, comparison: Comparison, minSimilarity: number): Compared {
  const { overlap, objection } = comparison
  return { ...neighbour, overlap, objection: neighbour.similarity < minSimilarity ? 'distance' : objection }
}

/** The neighbour without an objection that gets the model's highest score, if there is one. */
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
 * Whether the row was wrong before, for a question as near or nearer. Such a row is no longer served. This only
 * removes hits from those that are proved, and so needs no proof.
 */
export function isKnownWrong({ observations, similarity }: Neighbour): boolean {
  return observations.some((seen) => !seen.right && seen.similarity >= similarity - 1e-4)
}
