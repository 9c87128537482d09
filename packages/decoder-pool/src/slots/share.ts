import { hash32, mix } from '../balancing/hash.js'
import type { Coordinator } from './port.js'

/**
 * A coordinator's part of a node's capacity, where no store counts for all: divided evenly, and what does not divide
 * goes to the first in the node's own order of coordinators (rendezvous hashing; Thaler and Ravishankar, 1998). All
 * that know the same coordinators agree, and their parts make the whole.
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
