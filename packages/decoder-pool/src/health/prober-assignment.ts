import { hash32, mix } from '../balancing/hash.js'
import { maxNodes } from '../registry/port.js'
import type { ProbingCoordinator } from './port.js'

const maxHashes = 2 * maxNodes

/**
 * The coordinators that probe a node: the first ones in the node's own order, which all compute alike without a message
 * (rendezvous hashing; Thaler and Ravishankar, 1998). Those of its region come first, because a node that another
 * region can't reach may still be alive. When a coordinator comes or goes, only its own nodes get other probers.
 */
export class ProberAssignment {
  readonly #count: number
  readonly #hashes = new Map<string, number>()

  constructor(count: number) {
    this.#count = count
  }

  of(
    node: { readonly id: string; readonly region: string | undefined },
    live: readonly ProbingCoordinator[],
  ): readonly string[] {
    if (live.length <= this.#count) return live.map(({ id }) => id)
    const seed = this.#hashOf(node.id)
    return live
      .map(({ id, region }) => ({
        id,
        isNear: node.region !== undefined && region === node.region,
        rank: mix(seed, this.#hashOf(id)),
      }))
      .sort(
        (one, other) =>
          Number(other.isNear) - Number(one.isNear) || other.rank - one.rank || (one.id < other.id ? -1 : 1),
      )
      .slice(0, this.#count)
      .map(({ id }) => id)
  }

  #hashOf(id: string): number {
    const hash = this.#hashes.get(id) ?? hash32(id)
    // All are cleared, because a search for those of nodes that have gone would cost more.
    if (this.#hashes.size >= maxHashes) this.#hashes.clear()
    this.#hashes.set(id, hash)
    return hash
  }
}
