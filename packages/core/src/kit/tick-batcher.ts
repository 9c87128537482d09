import { type Deferred, deferred } from './deferred.js'
import { nextTick } from './event-loop.js'

export interface TickBatcherOptions<Request, Result> {
  /** Number of requests in one call; the next request starts another call at once. */
  readonly max: number
  /** Answers all requests of one turn of the event loop, in their order. */
  send(requests: readonly Request[]): Promise<readonly Result[]>
}

interface Waiting<Request, Result> extends Deferred<Result> {
  readonly request: Request
}

/**
 * Sends the requests of one turn of the event loop in one call, because separate round trips cost each request several
 * times as much as answering it. A call with a single request is also sent in the same turn.
 */
export class TickBatcher<Request, Result> {
  readonly #options: TickBatcherOptions<Request, Result>
  #waiting: Waiting<Request, Result>[] = []
  readonly #flush = () => this.flush()

  constructor(options: TickBatcherOptions<Request, Result>) {
    this.#options = options
  }

  add(request: Request): Promise<Result> {
    // After all microtasks, so that requests caused by the answers of the last call share a call again.
    if (this.#waiting.length === 0) nextTick(this.#flush)
    const waiting = { request, ...deferred<Result>() }
    if (this.#waiting.push(waiting) >= this.#options.max) this.flush()
    return waiting.promise
  }

  /** Sends the waiting requests now. */
  flush(): void {
    const batch = this.#waiting
    if (batch.length === 0) return
    this.#waiting = []
    this.#send(batch).catch((error: unknown) => {
      for (const { reject } of batch) reject(error)
    })
  }

  async #send(batch: readonly Waiting<Request, Result>[]): Promise<void> {
    const results = await this.#options.send(batch.map(({ request }) => request))
    if (results.length !== batch.length) {
      throw new Error(`${batch.length} requests were answered with ${results.length} results`)
    }
    for (const [index, { resolve }] of batch.entries()) resolve(results[index] as Result)
  }
}
