import { ByteBoundedLru } from '@evenkeel/core'
import type { NodeState } from '../../node-state.js'
import type { Tier } from '../candidates.js'
import { hash32 } from '../hash.js'
import type { Strategy } from '../strategy.js'
import { bestOfTwo } from '../strategy.js'
import type { Wanted } from '../wanted.js'
import { firstInBounds } from './consistent-hash.js'

/** Blocks that are remembered, with the node that was last given them. */
const mostBlocks = 200_000
/** How much load outweighs a prefix that is known whole. */
const loadWeight = 1

/**
 * The node that was given the longest beginning of the prompt before, and so has it in its KV cache, weighed
 * against its load: matched share of the prompt, less how much busier it is than the mean. A prompt that nobody
 * knows has a home by the hash of its first block, so that all coordinators send it to the same node.
 */
export function prefix(otherwise: Strategy): Strategy {
  const holders = new ByteBoundedLru<string>({
    maxEntries: mostBlocks * 2,
    sizeOf: () => 16,
    maxBytes: 256 << 20,
  })
  return {
    name: 'prefix',
    choose: (tier, wanted, now, random) => {
      const blocks = wanted.prefix
      if (blocks === undefined || blocks.length === 0) return otherwise.choose(tier, wanted, now, random)
      const matched = longest(tier, blocks, holders)
      if (matched === undefined) return firstInBounds(tier, hash32(String(blocks[0])))
      const { state, share } = matched
      const other = bestOfTwo(tier.states, (one) => one.loadAt(now), random)
      if (other === undefined || other === state) return state
      const mean = Math.max(1 / state.node.capacity, meanLoad(tier, now))
      const score = share - (loadWeight * (state.loadAt(now) - other.loadAt(now))) / Math.max(mean, 0.25)
      return score >= 0 ? state : other
    },
    given: (state, { prefix: blocks }: Wanted) => {
      if (blocks === undefined) return
      for (const block of blocks) holders.set(String(block), state.node.id)
    },
  }
}

/** From the end: the first block that is known tells of all before it. */
function longest(
  tier: Tier,
  blocks: readonly (string | number)[],
  holders: ByteBoundedLru<string>,
): { readonly state: NodeState; readonly share: number } | undefined {
  const byId = tier.derive('by id', (states) => new Map(states.map((state) => [state.node.id, state])))
  for (let at = blocks.length - 1; at >= 0; at--) {
    const id = holders.get(String(blocks[at]))
    const state = id === undefined ? undefined : byId.get(id)
    if (state !== undefined) return { state, share: (at + 1) / blocks.length }
  }
  return undefined
}

/** Of a few is near enough, and takes the same time for any pool. */
function meanLoad({ states }: Tier, now: number): number {
  const step = Math.max(1, Math.floor(states.length / 8))
  let [sum, count] = [0, 0]
  for (let at = 0; at < states.length; at += step) {
    sum += states[at]?.loadAt(now) ?? 0
    count++
  }
  return sum / Math.max(1, count)
}
