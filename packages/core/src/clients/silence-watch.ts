import { afterGrace } from '../guard/grace.js'
import { type LongTimer, setLongTimeout } from '../kit/timers.js'

/** Reports a node that has answered none of its commands for `maxMs`. It needs one timer, whatever the traffic. */
export class SilenceWatch {
  readonly #maxMs: number
  readonly #onSilence: () => void
  #unanswered = 0
  #heardAt = 0
  #timer: LongTimer | undefined

  constructor(maxMs: number, onSilence: () => void) {
    this.#maxMs = maxMs
    this.#onSilence = onSilence
  }

  sent(now: number): void {
    if (this.#unanswered++ === 0) this.#heardAt = now
    if (this.#timer === undefined) this.#arm(this.#maxMs)
  }

  /** A command has ended, with a reply or with an error. */
  ended(now: number): void {
    this.#unanswered--
    this.#heardAt = now
  }

  close(): void {
    this.#timer?.clear()
    this.#timer = undefined
  }

  #arm(ms: number): void {
    this.#timer = setLongTimeout(() => afterGrace(() => this.#look()), ms)
  }

  #look(): void {
    if (this.#timer === undefined) return
    this.#timer = undefined
    if (this.#unanswered === 0) return
    const leftMs = this.#maxMs - (performance.now() - this.#heardAt)
    if (leftMs > 0) this.#arm(leftMs)
    else this.#onSilence()
  }
}
