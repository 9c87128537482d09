import type { NodeState } from '../../nodes/node-state.js'
import { hash32 } from '../hash.js'
import { bestOfFew, type Strategy } from '../strategy.js'
import { CommonPrefixes } from './common-prefixes.js'
import { homeOf } from './consistent-hash.js'
import { PrefixHolders } from './prefix-holders.js'

/** What a cached block saves, in blocks: its computation, and the memory that a second copy would take from others. */
const worth = 2
/** The part of a prompt that is expected at its home, to which other coordinators send the same conversation. */
const atHome = 0.5
/** A node's work counts half by requests and half by blocks, because the answer takes time after the prompt too. */
const byBlocks = 0.5
const averageShare = 0.01

/**
 * Chooses the node with the least work, in blocks: its own and the prompt's, less the beginning of the prompt that it
 * has in its KV cache. Candidates are the node that was given the longest beginning, a few drawn at random, and the
 * prompt's home: a node by the hash of the first block that is not common. All coordinators compute the same home, so a
 * conversation stays together without a message between them.
 */
export function prefix(otherwise: Strategy): Strategy {
  const known = new PrefixHolders()
  const beginnings = new CommonPrefixes()
  const work = new OwnWork()
  return {
    name: 'prefix',
    choose: (tier, wanted, now, random) => {
      const blocks = wanted.prefix
      if (blocks === undefined || blocks.length === 0) return otherwise.choose(tier, wanted, now, random)
      const costOf = (state: NodeState, spared: number) =>
        work.on(state, now) + (blocks.length - worth * spared) / state.node.capacity
      const held = known.longest(tier, blocks)
      const home = homeOf(tier, hash32(String(beginnings.own(blocks, tier.states.length))))
      const idle = bestOfFew(tier.states, (state) => costOf(state, 0), random)
      let best = idle
      let least = idle === undefined ? Number.POSITIVE_INFINITY : costOf(idle, 0)
      const consider = (state: NodeState, spared: number) => {
        const cost = costOf(state, spared)
        // Of equal nodes, the one with cached blocks is chosen.
        if (cost > least) return
        best = state
        least = cost
      }
      if (home !== undefined) consider(home, atHome * blocks.length)
      if (held !== undefined) consider(held.state, held.known)
      return best
    },
    given: (state, { prefix: blocks }) => {
      if (blocks === undefined || blocks.length === 0) return undefined
      const over = work.add(state, blocks.length - known.knownBy(state, blocks))
      known.given(state, blocks)
      beginnings.note(blocks)
      return over
    },
  }
}

/** Blocks that this coordinator's requests in flight have to compute, by node. */
class OwnWork {
  readonly #blocks = new WeakMap<NodeState, number>()
  /** Average number of blocks that a request has to compute. */
  #average = 1

  /** The work on a node, divided by what it can take now. Others' requests count as average ones. */
  on(state: NodeState, now: number): number {
    const own = (this.#blocks.get(state) ?? 0) - state.inFlight * this.#average
    return state.loadAt(now, 1) * this.#average + (byBlocks * own) / state.node.capacity
  }

  /** Returns what to call when the request has ended. */
  add(state: NodeState, blocks: number): () => void {
    this.#average += (blocks - this.#average) * averageShare
    this.#blocks.set(state, (this.#blocks.get(state) ?? 0) + blocks)
    return () => this.#blocks.set(state, (this.#blocks.get(state) ?? 0) - blocks)
  }
}
