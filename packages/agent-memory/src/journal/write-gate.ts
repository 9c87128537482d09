import { quietDeferred } from './deferred.js'

/** How long a write may be held up for a replay to end; then it is journaled like those before it. */
const maxHoldMs = 250

/** What writes wait for while a replay is about to end. It ends by itself when that takes too long. */
export class WriteGate {
  readonly #ended = quietDeferred<void>()
  readonly #timer: NodeJS.Timeout

  constructor() {
    this.#timer = setTimeout(() => this.end(), maxHoldMs)
    this.#timer.unref()
  }

  get promise(): Promise<void> {
    return this.#ended.promise
  }

  end(): void {
    clearTimeout(this.#timer)
    this.#ended.resolve()
  }
}
