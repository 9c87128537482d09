/** When each node's lease ends. Leases that have ended are usually found without a search of all others. */
export class Leases {
  /** In the order in which leases end, as long as all have the same length. */
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
