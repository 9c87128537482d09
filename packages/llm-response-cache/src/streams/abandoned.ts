/**
 * Work that goes on although no caller waits for it any more, because its answer will be of use to the next one. How
 * much of it may be under way is bounded: beyond that the oldest ends, so that callers who give up one after another,
 * as the clients of a provider that hangs do, can't pile up calls.
 */
export class AbandonedWork {
  readonly #max: number
  /** In the order in which it was left. */
  readonly #ends = new Map<object, (reason: Error) => void>()

  constructor(max: number) {
    this.#max = max
  }

  get size(): number {
    return this.#ends.size
  }

  /** `end` is called once, where this or a later work is one too many. */
  add(work: object, end: (reason: Error) => void): void {
    this.#ends.set(work, end)
    const [oldest] = this.#ends
    if (this.#ends.size <= this.#max || oldest === undefined) return
    this.#ends.delete(oldest[0])
    oldest[1](new Error('Too much is under way that nobody waits for'))
  }

  /** It ended, or a caller waits for it again. */
  delete(work: object): void {
    this.#ends.delete(work)
  }
}
