interface Waiter<T> {
  readonly take: () => T | undefined
  readonly settle: (taken: T | undefined) => void
}

/** Callers that wait for something to take: first come, first served, bounded. */
export class WaitingLine<T> {
  readonly #waiters = new Set<Waiter<T>>()
  readonly #max: number

  constructor(max: number) {
    this.#max = max
  }

  get isEmpty(): boolean {
    return this.#waiters.size === 0
  }

  get length(): number {
    return this.#waiters.size
  }

  /** Resolves with what was taken, with nothing when time is up, or at once with `'full'`. */
  wait(
    take: () => T | undefined,
    { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal | undefined },
  ): Promise<T | undefined | 'full'> {
    if (this.#waiters.size >= this.#max) return Promise.resolve('full')
    return new Promise((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
        this.#waiters.delete(waiter)
      }
      const settle = (taken: T | undefined) => {
        leave()
        resolve(taken)
      }
      const onAbort = () => {
        leave()
        reject(signal?.reason)
      }
      const waiter: Waiter<T> = { take, settle }
      const timer = setTimeout(() => settle(undefined), timeoutMs)
      if (signal?.aborted) return onAbort()
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#waiters.add(waiter)
    })
  }

  /** Something may be there: whoever can take it does, in order. One whose wish can't be met holds up nobody. */
  serve(): void {
    for (const waiter of this.#waiters) {
      const taken = waiter.take()
      if (taken !== undefined) waiter.settle(taken)
    }
  }

  close(): void {
    for (const waiter of [...this.#waiters]) waiter.settle(undefined)
  }
}
