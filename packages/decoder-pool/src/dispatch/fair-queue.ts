import { onAbort, setLongTimeout } from '@evenkeel/core/kit'

interface Waiter<T> {
  /** Tries to take something for a caller that has waited for `waitedMs`. */
  readonly take: (waitedMs: number) => Promise<T | undefined>
  readonly settle: (taken: T | undefined) => void
  readonly since: number
  /** Grows with each waiter. */
  readonly number: number
  hasLeft: boolean
}

export interface WaitOptions {
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
}

export interface FairQueueOptions<T> {
  /** Maximum number of waiting callers. */
  readonly most: number
  /** A number of milliseconds that never goes back. */
  readonly now: () => number
  /** Returns what was taken for a caller that has left meanwhile. */
  readonly giveBack: (taken: T) => void
}

/** Number of requests of one requirement that try at once. */
const together = 64

/**
 * A bounded queue of callers, first come, first served within each requirement. If the first one of a requirement gets
 * nothing, no later one would, so a long queue costs no more than a short one.
 */
export class FairQueue<T> {
  readonly #requirements = new Map<string, Set<Waiter<T>>>()
  readonly #options: FairQueueOptions<T>
  #length = 0
  #next = 0
  #isServing = false
  #isDue = false
  #closed = false

  constructor(options: FairQueueOptions<T>) {
    this.#options = options
  }

  get length(): number {
    return this.#length
  }

  /** Whether a request with this requirement waits. */
  has(requirement: string): boolean {
    return this.#requirements.has(requirement)
  }

  /** For how many milliseconds the oldest of each requirement has waited. */
  oldest(): ReadonlyMap<string, number> {
    const now = this.#options.now()
    return new Map(
      [...this.#requirements].map(([requirement, waiters]) => {
        const [first] = waiters
        return [requirement, now - (first?.since ?? now)]
      }),
    )
  }

  /** Resolves with what was taken, with nothing when time is up, or at once with `'full'`. */
  wait(
    requirement: string,
    take: (waitedMs: number) => Promise<T | undefined>,
    { timeoutMs, signal }: WaitOptions,
  ): Promise<T | undefined | 'full'> {
    if (this.#closed) return Promise.resolve(undefined)
    if (this.#length >= this.#options.most) return Promise.resolve('full')
    return new Promise((resolve, reject) => {
      const leave = () => {
        timer.clear()
        ignoreAbort()
        this.#leave(requirement, waiter)
      }
      const settle = (taken: T | undefined) => {
        leave()
        resolve(taken)
      }
      const waiter = { take, settle, since: this.#options.now(), number: this.#next++, hasLeft: false }
      // A caller waits for it: the process must not end before its time is up.
      const timer = setLongTimeout(() => settle(undefined), timeoutMs, { ref: true })
      this.#length++
      this.#requirements.set(requirement, (this.#requirements.get(requirement) ?? new Set()).add(waiter))
      const ignoreAbort = onAbort(signal, (reason) => {
        leave()
        reject(reason)
      })
    })
  }

  /** A slot may be free: the first waiting requests that can take it do, in the order in which they came. */
  serve(): void {
    this.#isDue = true
    if (this.#isServing || this.#length === 0) return
    void this.#serveAll()
  }

  close(): void {
    this.#closed = true
    for (const waiters of [...this.#requirements.values()])
      for (const waiter of [...waiters]) waiter.settle(undefined)
  }

  async #serveAll(): Promise<void> {
    this.#isServing = true
    while (this.#isDue && this.#length > 0) {
      this.#isDue = false
      const hopeful = new Set(this.#requirements.keys())
      // One of a requirement at first, and twice as many each time that all got something.
      for (let count = 1; hopeful.size > 0; count = Math.min(together, count * 2)) {
        await this.#tryFirst(hopeful, count)
      }
    }
    // Reset in the same turn as the last check of the loop, so that no later call is missed.
    this.#isServing = false
  }

  /** Serves the first callers of each requirement. One whose callers did not all get something is dropped for now. */
  async #tryFirst(hopeful: Set<string>, count: number): Promise<void> {
    const first = [...hopeful]
      .flatMap((requirement) =>
        [...(this.#requirements.get(requirement) ?? [])]
          .slice(0, count)
          .map((waiter) => ({ requirement, waiter })),
      )
      .sort((one, other) => one.waiter.number - other.waiter.number)
    const now = this.#options.now()
    const lucky = new Set<string>()
    const unlucky = new Set<string>()
    await Promise.all(
      first.map(async ({ requirement, waiter }) => {
        const taken = await waiter.take(now - waiter.since)
        if (taken === undefined) unlucky.add(requirement)
        else if (waiter.hasLeft) this.#options.giveBack(taken)
        else {
          lucky.add(requirement)
          waiter.settle(taken)
        }
      }),
    )
    for (const requirement of hopeful)
      if (unlucky.has(requirement) || !lucky.has(requirement)) hopeful.delete(requirement)
  }

  #leave(requirement: string, waiter: Waiter<T>): void {
    const waiters = this.#requirements.get(requirement)
    if (!waiters?.delete(waiter)) return
    waiter.hasLeft = true
    this.#length--
    if (waiters.size === 0) this.#requirements.delete(requirement)
  }
}
