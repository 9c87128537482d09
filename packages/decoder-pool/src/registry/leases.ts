/** When each node's lease ends, kept so that those that have ended are found without a look at the others. */
export class Leases {
  /** In the order in which they end, as long as all last the same. */
  readonly #ends = new Map<string, number>()
  #latest = Number.NEGATIVE_INFINITY
  #isOrdered = true

  get(id: string): number | undefined {
    return this.#ends.get(id)
  }

  set(id: string, endsAt: number): void {
    this.#ends.delete(id)
    if (this.#ends.size === 0) this.#isOrdered = true
    else if (endsAt < this.#latest) this.#isOrdered = false
    this.#ends.set(id, endsAt)
    this.#latest = this.#isOrdered ? endsAt : Math.max(this.#latest, endsAt)
  }

  delete(id: string): void {
    this.#ends.delete(id)
  }

  /** Those that have ended, with how long ago, in whole milliseconds. */
  ended(now: number): ReadonlyMap<string, number> {
    const ended = new Map<string, number>()
    for (const [id, endsAt] of this.#ends) {
      if (endsAt <= now) ended.set(id, Math.floor(now - endsAt))
      else if (this.#isOrdered) break
    }
    return ended
  }
}
