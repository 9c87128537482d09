import { UnavailableError } from '@evenkeel/core'

/** Maximum amount of work that waits; beyond it calls are refused. */
const maxWaiting = 10_000

/** Runs work by line: one at a time in each line, in the order in which it came. */
export class KeyedQueue {
  readonly #last = new Map<string, Promise<unknown>>()
  #waiting = 0;

  /** @throws UnavailableError OVERLOADED when 10,000 wait already */
  async in<T>(line: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(line)
    if (before !== undefined && this.#waiting >= maxWaiting) {
      throw new UnavailableError('OVERLOADED', `${this.#waiting} writes wait already`, 'not-sent')
    }
    const mine = before === undefined ? work() : this.#after(before, work)
    this.#last.set(line, mine)
    try {
      return await mine
    } finally {
      if (this.#last.get(line) === mine) this.#last.delete(line)
    }
  }

  async #after<T>(before: Promise<unknown>, work: () => Promise<T>): Promise<T> {
    this.#waiting++
    await before.catch(() => {})
    this.#waiting--
    return work()
  }
}
