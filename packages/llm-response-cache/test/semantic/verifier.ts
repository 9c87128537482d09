import type { PairToVerify } from '../../src/semantic/evaluate.js'
import { seededRandom } from './labelled-set.js'

/** A `verify` that is right in a share of the cases, drawn from a seed: what a judge of that quality would change. */
export function verifierRightIn(share: number, seed = 1): (pair: PairToVerify) => boolean {
  const random = seededRandom(seed)
  return ({ same }) => (random() < share ? same : !same)
}
