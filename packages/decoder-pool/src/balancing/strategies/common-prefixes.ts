/** Number of requests after which all counts are halved, so that what was common once is forgotten. */
const maxSeen = 8_192
/** Fewer say nothing of how common a block is. */
const minSeen = 4
/** A block that more than this share of a node's share of all requests begin with is everybody's. */
const commonShare = 0.5

/**
 * Which block of a prompt names its conversation or document. Prompts begin with what many have in common: the
 * system's own, a tenant's. To give all of these one node would drown it, so the first block counts that fewer
 * begin with than half a node's share. Coordinators count for themselves, and agree since traffic is the same.
 */
export class CommonPrefixes {
  readonly #counts = new Map<string | number, number>()
  #seen = 0

  /** `nodes` share the requests. */
  own(blocks: readonly (string | number)[], nodes: number): string | number | undefined {
    const common = Math.max(minSeen, (commonShare * this.#seen) / nodes)
    for (const block of blocks) if ((this.#counts.get(block) ?? 0) <= common) return block
    return blocks.at(-1)
  }

  /** Counts what a prompt begins with, as far as that is common, and one block beyond. */
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
