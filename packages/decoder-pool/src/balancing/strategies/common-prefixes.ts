/** Number of requests after which all counts are halved, so that what was common once is forgotten. */
const maxSeen = 8_192
/** Fewer requests say nothing about how common a block is. */
const minSeen = 4
/** A block is common if more requests begin with it than this part of one node's share of all requests. */
const commonShare = 0.5

/**
 * Finds the block of a prompt that identifies its conversation or document. Many prompts begin with the same blocks,
 * such as a system prompt, and one node could not serve all of these. So the first block counts that is not common.
 * Each coordinator counts for itself; they agree because they have the same traffic.
 */
export class CommonPrefixes {
  readonly #counts = new Map<string | number, number>()
  #seen = 0

  /** The first block that is not common, or the last one. `nodes` is the number of nodes that share the requests. */
  own(blocks: readonly (string | number)[], nodes: number): string | number | undefined {
    const common = Math.max(minSeen, (commonShare * this.#seen) / nodes)
    for (const block of blocks) if ((this.#counts.get(block) ?? 0) <= common) return block
    return blocks.at(-1)
  }

  /** Counts the first blocks of a prompt, up to and including the first rare one. */
  note(blocks: readonly (string | number)[]): void {
    this.#seen++
    for (const block of blocks) {
      const count = (this.#counts.get(block) ?? 0) + 1
      this.#counts.set(block, count)
      if (count <= minSeen) break
    }
    if (this.#seen >= maxSeen) this.#halve()
  }

  #halve(): void {
    this.#seen /= 2
    for (const [block, count] of this.#counts) {
      if (count < 2) this.#counts.delete(block)
      else this.#counts.set(block, count / 2)
    }
  }
}
