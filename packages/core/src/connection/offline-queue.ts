import { onAbort } from '../kit/signals.js'

export interface OfflineQueueHost {
  /** Calls back when the connection is up or closed, whichever comes first. Returns a function that stops it. */
  onceSettled(callback: () => void): () => void
}

/**
 * Holds commands while the connection is not up, if the host asked for that: at most as many as may be in flight, and
 * each until its own deadline.
 */
export class OfflineQueue {
  readonly #host: OfflineQueueHost
  readonly #capacity: number
  #waiting = 0

  constructor(host: OfflineQueueHost, capacity: number) {
    this.#host = host
    this.#capacity = capacity
  }

  get isFull(): boolean {
    return this.#waiting >= this.#capacity
  }

  /**
   * Resolves when the connection is up or closed, the deadline has passed, or the signal aborts, with the
   * milliseconds that are left of the deadline.
   */
  async wait(deadlineMs: number, signal: AbortSignal | undefined): Promise<number> {
    const startedAt = performance.now()
    this.#waiting++
    let timer: NodeJS.Timeout | undefined
    const stops: (() => void)[] = []
    await new Promise<void>((resolve) => {
      timer = setTimeout(resolve, deadlineMs)
      stops.push(
        this.#host.onceSettled(resolve),
        onAbort(signal, () => resolve()),
      )
    })
    clearTimeout(timer)
    for (const stop of stops) stop()
    this.#waiting--
    return Math.ceil(deadlineMs - (performance.now() - startedAt))
  }
}
