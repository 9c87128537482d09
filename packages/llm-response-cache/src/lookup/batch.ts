import { type Deferred, deferred, nextTick, onAbort } from '@evenkeel/core/kit'

interface Wanted<I, R> extends Deferred<R> {
  readonly item: I
  readonly signal: AbortSignal
}

export interface BatchOptions<I, R> {
  /** Number of items that are looked up; loads are gathered until all of them have arrived. */
  readonly expected: number
  /** Maximum number of items in one call; more take several calls in sequence. */
  readonly maxBatch: number
  /** Answers items in their order. The signal aborts when none of them is wanted any more. */
  load(items: readonly I[], signal: AbortSignal): Promise<readonly R[]>
}

/**
 * Loads the items of one request that are in no store in one call. Each item is looked up by itself, and arrives when
 * it needs a load, or is found, or waits for another caller's load. When all have arrived, those that need a load are
 * loaded together. An item that turns out later to need one goes into another call.
 */
export class Batch<I, R> {
  readonly #options: BatchOptions<I, R>
  #expected: number
  #waiting: Wanted<I, R>[] = []
  #isScheduled = false

  constructor(options: BatchOptions<I, R>) {
    this.#options = options
    this.#expected = options.expected
  }

  /** Returns a function to call when one item has arrived without needing a load for now. It may be called again. */
  arrival(): () => void {
    let isCounted = false
    return () => {
      if (isCounted) return
      isCounted = true
      this.#expected--
      this.#flushWhenAllCame()
    }
  }

  load(item: I, signal: AbortSignal, arrived: () => void): Promise<R> {
    const wanted = { item, signal, ...deferred<R>() }
    this.#waiting.push(wanted)
    arrived()
    this.#flushWhenAllCame()
    return wanted.promise
  }

  #flushWhenAllCame(): void {
    if (this.#expected > 0 || this.#waiting.length === 0 || this.#isScheduled) return
    this.#isScheduled = true
    // Items that come in the same turn go into the same call.
    nextTick(() => {
      this.#isScheduled = false
      const all = this.#waiting
      this.#waiting = []
      void this.#loadAll(all)
    })
  }

  async #loadAll(all: readonly Wanted<I, R>[]): Promise<void> {
    const { maxBatch, load } = this.#options
    for (let at = 0; at < all.length; at += maxBatch) {
      const some = all.slice(at, at + maxBatch)
      try {
        const items = some.map(({ item }) => item)
        const linked = signalOfAll(some.map(({ signal }) => signal))
        const results = await load(items, linked.signal).finally(linked.unlink)
        for (const [index, { resolve, reject }] of some.entries()) {
          const result = results[index]
          if (result === undefined)
            reject(new TypeError(`${some.length} items were answered by ${results.length}`))
          else resolve(result)
        }
      } catch (error) {
        for (const { reject } of all.slice(at)) reject(error)
        return
      }
    }
  }
}

/** A signal that aborts when all of them have; `unlink` stops listening to them. */
function signalOfAll(signals: readonly AbortSignal[]): { signal: AbortSignal; unlink: () => void } {
  const controller = new AbortController()
  let left = signals.length
  const gone = (reason: unknown) => {
    if (--left === 0) controller.abort(reason)
  }
  const stops = signals.map((signal) => onAbort(signal, gone))
  const unlink = () => {
    for (const stop of stops) stop()
  }
  return { signal: controller.signal, unlink }
}
