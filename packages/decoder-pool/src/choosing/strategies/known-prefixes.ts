import { ByteBoundedLru } from '@evenkeel/core'
import type { NodeState } from '../../node-state.js'
import type { Tier } from '../candidates.js'

type Block = string | number

/** Blocks that are remembered, with the node that was last given them. */
const mostBlocks = 400_000
const bytesEach = 16

/** Which node was last given each block, and so most likely has it in its KV cache. */
export class KnownPrefixes {
  readonly #holders = new ByteBoundedLru<string>({
    maxEntries: mostBlocks,
    sizeOf: () => bytesEach,
    maxBytes: mostBlocks * 512,
  })

  /** The node with the longest beginning of a prompt, and how many blocks that has. */
  longest(
    tier: Tier,
    blocks: readonly Block[],
  ): { readonly state: NodeState; readonly known: number } | undefined {
    const byId = tier.derive('by id', (states) => new Map(states.map((state) => [state.node.id, state])))
    // From the end: the first block that is known tells of all before it.
    for (let at = blocks.length - 1; at >= 0; at--) {
      const id = this.#holders.get(String(blocks[at]))
      const state = id === undefined ? undefined : byId.get(id)
      if (state !== undefined) return { state, known: at + 1 }
    }
    return undefined
  }

  /** How many blocks of the prompt's beginning the node has. */
  knownBy(state: NodeState, blocks: readonly Block[]): number {
    for (let at = blocks.length - 1; at >= 0; at--)
      if (this.#holders.get(String(blocks[at])) === state.node.id) return at + 1
    return 0
  }

  given(state: NodeState, blocks: readonly Block[]): void {
    for (const block of blocks) this.#holders.set(String(block), state.node.id)
  }
}
