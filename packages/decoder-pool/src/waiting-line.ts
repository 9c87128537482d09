interface Waiter<T> {
  readonly take: () => T | undefined
  readonly settle: (taken: T | undefined) => void
  /** Rises with each who comes. */
  readonly number: number
}

export interface WaitOptions {
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
}

/**
 * Callers that wait for something to take: first come, first served among those of one wish, bounded. Where
 * the first of a wish gets nothing, nobody behind him would, so a long line costs no more than a short one.
 */
export class WaitingLine<T> {
  readonly #wishes = new Map<string, Set<Waiter<T>>>()
  readonly #max: number
  #length = 0
  #next = 0
  #closed = false

  constructor(max: number) {
    this.#max = max
  }

  get length(): number {
    return this.#length
  }

  /** Whether somebody with this wish waits. */
  has(wish: string): boolean {
    return this.#wishes.has(wish)
  }

  /** Resolves with what was taken, with nothing when time is up, or at once with `'full'`. */
  wait(
    wish: string,
    take: () => T | undefined,
    { timeoutMs, signal }: WaitOptions,
  ): Promise<T | undefined | 'full'> {
    if (this.#closed) return Promise.resolve(undefined)
    if (this.#length >= this.#max) return Promise.resolve('full')
    return new Promise((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
        this.#leave(wish, waiter)
      }
      const settle = (taken: T | undefined) => {
        leave()
        resolve(taken)
      }
      const onAbort = () => {
        leave()
        reject(signal?.reason)
      }
      const waiter: Waiter<T> = { take, settle, number: this.#next++ }
      const timer = setTimeout(() => settle(undefined), timeoutMs)
      timer.unref()
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#length++
      this.#wishes.set(wish, (this.#wishes.get(wish) ?? new Set()).add(waiter))
    })
  }

  /** Something may be there: whoever can take it does, in the order in which they came. */
  serve(): void {
    const hopeful = new Set(this.#wishes.keys())
    for (;;) {
      const first = this.#firstOf(hopeful)
      if (first === undefined) return
      const [wish, waiter] = first
      const taken = waiter.take()
      if (taken === undefined) hopeful.delete(wish)
      else waiter.settle(taken)
    }
  }

  close(): void {
    this.#closed = true
    for (const waiters of [...this.#wishes.values()])
      for (const waiter of [...waiters]) waiter.settle(undefined)
  }

  #firstOf(wishes: ReadonlySet<string>): [string, Waiter<T>] | undefined {
    let first: [string, Waiter<T>] | undefined
    for (const wish of wishes) {
      const [waiter] = this.#wishes.get(wish) ?? []
      if (waiter !== undefined && (first === undefined || waiter.number < first[1].number))
        first = [wish, waiter]
    }
    return first
  }

  #leave(wish: string, waiter: Waiter<T>): void {
    const waiters = this.#wishes.get(wish)
    if (!waiters?.delete(waiter)) return
    this.#length--
    if (waiters.size === 0) this.#wishes.delete(wish)
  }
}
