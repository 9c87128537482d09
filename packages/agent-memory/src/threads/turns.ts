import { AsyncLocalStorage } from 'node:async_hooks'
import { KeyedQueue } from './keyed-queue.js'

/** Maximum number of tries of an update with which other processes interfere. */
const maxTries = 50

/** Maximum pause before another try; the pause is random. */
const maxPauseMs = 100

/**
 * Updates that read a value before they write it: in one process, updates of the same value wait for each other; if
 * another process writes in between, the update is tried again.
 */
export class Turns {
  readonly #queue = new KeyedQueue()
  /** Values that the caller is updating already, so that an update within its own update does not wait for itself. */
  readonly #own = new AsyncLocalStorage<ReadonlySet<string>>();

  /** @param isAgain whether an error says that another writer was faster */
  async in<T>(value: string, work: () => Promise<T>, isAgain: (error: unknown) => boolean): Promise<T> {
    const own = this.#own.getStore()
    if (own?.has(value)) return retried(work, isAgain)
    const mine = new Set([...(own ?? []), value])
    return this.#queue.in(value, () => this.#own.run(mine, () => retried(work, isAgain)))
  }
}

async function retried<T>(work: () => Promise<T>, isAgain: (error: unknown) => boolean): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work()
    } catch (error) {
      if (!isAgain(error) || tries >= maxTries) throw error
    }
    const pauseMs = Math.random() * Math.min(maxPauseMs, 2 ** tries)
    await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
}
