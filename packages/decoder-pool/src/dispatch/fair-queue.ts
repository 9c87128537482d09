interface Waiter<T> {
  /** Tries to take something; how long it has waited is told, in milliseconds. */
  readonly take: (waitedMs: number) => Promise<T | undefined>
  readonly settle: (taken: T | undefined) => void
  readonly since: number
  /** Rises with each who comes. */
  readonly number: number
  hasLeft: boolean
}

export interface WaitOptions {
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
}

export interface WaitingLineOptions<T> {
  /** Callers that wait at once. */
  readonly most: number
  /** A number of milliseconds that never goes back. */
  readonly now: () => number
  /** What was taken for one who has left meanwhile. */
  readonly giveBack: (taken: T) => void
}

/** So many of one wish try at once. */
const together = 64

/**
 * Callers that wait for something to take: first come, first served among those of one wish, bounded. Where
 * the first of a wish gets nothing, nobody behind him would, so a long line costs no more than a short one.
 */
export class WaitingLine<T> {
  readonly #wishes = new Map<string, Set<Waiter<T>>>()
  readonly #options: WaitingLineOptions<T>
  #length = 0
  #next = 0
  #isServing = false
  #isDue = false
  #closed = false

  constructor(options: WaitingLineOptions<T>) {
    this.#options = options
  }

  get length(): number {
    return this.#length
  }

  /** Whether somebody with this wish waits. */
  has(wish: string): boolean {
    return this.#wishes.has(wish)
  }

  /** For how many milliseconds the oldest of each wish has waited. */
  oldest(): ReadonlyMap<string, number> {
    const now = this.#options.now()
    return new Map(
      [...this.#wishes].map(([wish, waiters]) => {
        const [first] = waiters
        return [wish, now - (first?.since ?? now)]
      }),
    )
  }

  /** Resolves with what was taken, with nothing when time is up, or at once with `'full'`. */
  wait(
    wish: string,
    take: (waitedMs: number) => Promise<T | undefined>,
    { timeoutMs, signal }: WaitOptions,
  ): Promise<T | undefined | 'full'> {
    if (this.#closed) return Promise.resolve(undefined)
    if (this.#length >= this.#options.most) return Promise.resolve('full')
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
      const waiter = { take, settle, since: this.#options.now(), number: this.#next++, hasLeft: false }
      const timer = setTimeout(() => settle(undefined), timeoutMs)
      timer.unref()
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#length++
      this.#wishes.set(wish, (this.#wishes.get(wish) ?? new Set()).add(waiter))
    })
  }

  /** Something may be there: whoever can take it does, in the order in which they came. */
  serve(): void {
    this.#isDue = true
    if (this.#isServing || this.#length === 0) return
    void this.#serveAll()
  }

  close(): void {
    this.#closed = true
    for (const waiters of [...this.#wishes.values()])
      for (const waiter of [...waiters]) waiter.settle(undefined)
  }

  async #serveAll(): Promise<void> {
    this.#isServing = true
    while (this.#isDue && this.#length > 0) {
      this.#isDue = false
      const hopeful = new Set(this.#wishes.keys())
      // One of a wish at first, and twice as many each time that all got something.
      for (let count = 1; hopeful.size > 0; count = Math.min(together, count * 2)) {
        await this.#tryFirst(hopeful, count)
      }
    }
    // In the turn of the last look, so that nobody who calls after it is missed.
    this.#isServing = false
  }

  /** A wish whose first get nothing is given up for now. */
  async #tryFirst(hopeful: Set<string>, count: number): Promise<void> {
    const first = [...hopeful]
      .flatMap((wish) =>
        [...(this.#wishes.get(wish) ?? [])].slice(0, count).map((waiter) => ({ wish, waiter })),
      )
      .sort((one, other) => one.waiter.number - other.waiter.number)
    const now = this.#options.now()
    const lucky = new Set<string>()
    const unlucky = new Set<string>()
    await Promise.all(
      first.map(async ({ wish, waiter }) => {
        const taken = await waiter.take(now - waiter.since)
        if (taken === undefined) unlucky.add(wish)
        else if (waiter.hasLeft) this.#options.giveBack(taken)
        else {
          lucky.add(wish)
          waiter.settle(taken)
        }
      }),
    )
    for (const wish of hopeful) if (unlucky.has(wish) || !lucky.has(wish)) hopeful.delete(wish)
  }

  #leave(wish: string, waiter: Waiter<T>): void {
    const waiters = this.#wishes.get(wish)
    if (!waiters?.delete(waiter)) return
    waiter.hasLeft = true
    this.#length--
    if (waiters.size === 0) this.#wishes.delete(wish)
  }
}
