/** A node's cache of prompt blocks, which evicts the least recently used ones. */
export class PrefixCache {
  readonly #blocks = new Set<number>()
  readonly #most: number

  constructor(most: number) {
    this.#most = most
  }

  get size(): number {
    return this.#blocks.size
  }

  /** How many of the first blocks it contains; they count as used. */
  match(blocks: readonly number[]): number {
    let matched = 0
    while (matched < blocks.length && this.#blocks.has(blocks[matched] ?? -1)) matched++
    this.#touch(blocks, matched)
    return matched
  }

  add(blocks: readonly number[]): void {
    this.#touch(blocks, blocks.length)
    for (const block of this.#blocks) {
      if (this.#blocks.size <= this.#most) return
      this.#blocks.delete(block)
    }
  }

  clear(): void {
    this.#blocks.clear()
  }

  /** Starts at the end, so that the beginning of a prompt, which others share, is evicted last. */
  #touch(blocks: readonly number[], count: number): void {
    for (let at = count - 1; at >= 0; at--) {
      const block = blocks[at] ?? -1
      this.#blocks.delete(block)
      this.#blocks.add(block)
    }
  }
}
