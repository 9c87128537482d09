import { InvalidInputError } from '@evenkeel/core'
import type { Place } from './index/port.js'

/** Which row answered, and how near it was: what a report of a wrong hit has to name. */
export interface Hit {
  readonly place: Place
  readonly id: string
  readonly similarity: number
}

/** Leaves out the tenant and the model, so that a report only reaches rows of the cache that receives it. */
export function writeHitId({ place, id, similarity }: Hit): string {
  const dimensions = place.space.slice(place.space.lastIndexOf('/') + 1)
  return [place.scope, id, dimensions, String(similarity)].map(encodeURIComponent).join('/')
}

/** @throws InvalidInputError for what `writeHitId` did not write */
export function readHitId(hitId: unknown, { tenant, model }: { tenant: string; model: string }): Hit {
  const [scope = '', id = '', dimensions = '', similarity = '', ...more] = partsOf(hitId)
  const isNumber = similarity !== '' && Number.isFinite(Number(similarity))
  if (scope === '' || id === '' || dimensions === '' || more.length > 0 || !isNumber) {
    throw new InvalidInputError('hitId', 'the hitId of a semantic hit', hitId)
  }
  return { place: { tenant, space: `${model}/${dimensions}`, scope }, id, similarity: Number(similarity) }
}

function partsOf(hitId: unknown): readonly string[] {
  try {
    return String(hitId).split('/').map(decodeURIComponent)
  } catch {
    return []
  }
}
