import { ByteBoundedLru } from '@evenkeel/core/kit'
import type { NodeState } from '../../nodes/node-state.js'
import type { Tier } from '../candidates.js'

type Block = string | number

/** Blocks that are remembered, with the node that was last given them. */
const maxBlocks = 200_000
const bytesEach = 16

/** Remembers which node was last given each block, and so most likely has it in its KV cache. */
export class PrefixHolders {
  readonly #holders = new ByteBoundedLru<string>({
    maxEntries: maxBlocks,
    sizeOf: () => bytesEach,
    maxBytes: maxBlocks * 512,
  })

  /** The node with the longest beginning of a prompt, and how many blocks that has. */
  longest(
    tier: Tier,
    blocks: readonly Block[],
  ): { readonly state: NodeState; readonly known: number } | undefined {
    const byId = tier.derive('by id', (states) => new Map(states.map((state) => [state.node.id, state])))
    let longest: { readonly state: NodeState; readonly known: number } | undefined
    // A node that has a block has all before it, so a binary search finds the longest beginning.
    let [from, to] = [0, blocks.length]
    while (from < to) {
      const middle = (from + to) >>> 1
      const id = this.#holders.get(String(blocks[middle]))
      const state = id === undefined ? undefined : byId.get(id)
      if (state === undefined) to = middle
      else {
        longest = { state, known: middle + 1 }
        from = middle + 1
      }
    }
    return longest
  }

  /** How many blocks of the prompt's beginning the node has. */
  knownBy(state: NodeState, blocks: readonly Block[]): number {
    for (let at = blocks.length - 1; at >= 0; at--)
      if (this.#holders.get(String(blocks[at])) === state.node.id) return at + 1
    return 0
  }

  given(state: NodeState, blocks: readonly Block[]): void {
    // From the end, so that the end of a prompt is forgotten before its beginning.
    for (let at = blocks.length - 1; at >= 0; at--) this.#holders.set(String(blocks[at]), state.node.id)
  }
}
