/** A node's cache of prompt blocks: the least recently used goes when it is full. */
export class PrefixCache {
  readonly #blocks = new Set<number>()
  readonly #most: number

  constructor(most: number) {
    this.#most = most
  }

  get size(): number {
    return this.#blocks.size
  }

  /** How many blocks from the beginning it holds; they count as used. */
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

  /** From the end, so that the beginning of a prompt, which others share, goes last. */
  #touch(blocks: readonly number[], count: number): void {
    for (let at = count - 1; at >= 0; at--) {
      const block = blocks[at] ?? -1
      this.#blocks.delete(block)
      this.#blocks.add(block)
    }
  }
}
