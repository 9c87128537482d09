import { hash32, mix } from '../balancing/hash.js'
import type { Coordinator } from './port.js'

/**
 * A coordinator's part of a node's capacity, if no store counts for all: an even share, and the remainder goes to the
 * first coordinators in the node's own order (rendezvous hashing; Thaler and Ravishankar, 1998). Coordinators that know
 * the same coordinators agree, and their parts add up to the whole.
 */
export function shareOf(
  { node, capacity }: { readonly node: string; readonly capacity: number },
  me: string,
  live: readonly Coordinator[],
): number {
  const share = Math.floor(capacity / live.length)
  const rest = capacity % live.length
  if (rest === 0) return share
  const seed = hash32(node)
  const rankOf = (id: string) => mix(seed, hash32(id))
  const own = rankOf(me)
  const before = live.filter(({ id }) => {
    const rank = rankOf(id)
    return rank > own || (rank === own && id < me)
  })
  return before.length < rest ? share + 1 : share
}
