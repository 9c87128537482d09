import { quietDeferred } from './deferred.js'

/** How long a write may wait for the end of a replay; after that it is journaled like those before it. */
const maxHoldMs = 250

/** Writes wait at this gate while a replay is about to end. It opens by itself if that takes too long. */
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
