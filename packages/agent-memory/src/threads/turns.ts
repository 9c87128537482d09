import { AsyncLocalStorage } from 'node:async_hooks'
import { KeyedQueue } from './keyed-queue.js'

/** Tries of an update that other processes are in the way of. */
const maxTries = 50

/** The longest pause before another try, at random below it. */
const maxPauseMs = 100

/**
 * Reads and writes that depend on each other, of one value at a time: in one process they wait for each other, and what
 * another process writes in between is met by another try.
 */
export class Turns {
  readonly #queue = new KeyedQueue()
  /** Values whose turn the caller has already: one that updates a value within its own update waits for nothing. */
  readonly #own = new AsyncLocalStorage<ReadonlySet<string>>();

  /** @param isAgain whether an error says that another one was faster */
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
