/**
 * Work that goes on although no caller waits for it any more, because the next caller can use its answer. Its amount
 * is bounded: beyond the maximum the oldest work is ended, so that callers that give up one after another, as the
 * clients of a provider that hangs do, can't pile up calls.
 */
export class AbandonedWork {
  readonly #max: number
  /** In the order in which the work was abandoned. */
  readonly #ends = new Map<object, (reason: Error) => void>()

  constructor(max: number) {
    this.#max = max
  }

  get size(): number {
    return this.#ends.size
  }

  /** `end` is called, at most once, when there is too much work and this is the oldest. */
  add(work: object, end: (reason: Error) => void): void {
    this.#ends.set(work, end)
    const [oldest] = this.#ends
    if (this.#ends.size <= this.#max || oldest === undefined) return
    this.#ends.delete(oldest[0])
    oldest[1](new Error('Too much is under way that nobody waits for'))
  }

  /** For work that ended, or that a caller waits for again. */
  delete(work: object): void {
    this.#ends.delete(work)
  }
}
