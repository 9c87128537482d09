import { setTimeout as pause } from 'node:timers/promises'

/** The time of a run, in milliseconds from its start. It can be held, and then nothing of the run's later part begins. */
export class Schedule {
  readonly #startedAt = performance.now()
  #heldMs = 0
  #hold: { readonly at: number; readonly end: Promise<void> } | undefined

  now(): number {
    return (this.#hold?.at ?? performance.now()) - this.#startedAt - this.#heldMs
  }

  /** Waits until this time has come. */
  async reach(atMs: number): Promise<void> {
    for (let leftMs = atMs - this.now(); leftMs > 0; leftMs = atMs - this.now()) {
      await (this.#hold?.end ?? pause(leftMs))
    }
  }

  /** Holds the time until the condition is true, or this much real time has passed. */
  async holdUntil(condition: () => boolean, maxMs: number): Promise<void> {
    const at = performance.now()
    let resume = () => {}
    this.#hold = {
      at,
      end: new Promise<void>((resolve) => {
        resume = resolve
      }),
    }
    while (!condition() && performance.now() - at < maxMs) await pause(5)
    this.#heldMs += performance.now() - at
    this.#hold = undefined
    resume()
  }
}
