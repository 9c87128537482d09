import type { Clock } from '@evenkeel/core'

/**
 * The registry's time, carried on by this process's own monotonic clock while the registry is away: so changes
 * that coordinators make in one outage are in one order, whatever their clocks on the wall say. A coordinator
 * that has never reached the registry has only its own clock.
 */
export class SharedClock implements Clock {
  readonly #own: Clock
  #offsetMs: number | undefined

  constructor(own: Clock) {
    this.#own = own
  }

  /** The registry told its time. */
  heard(timeMs: number): void {
    this.#offsetMs = timeMs - this.#own.monotonic()
  }

  now(): number {
    return this.#offsetMs === undefined ? this.#own.now() : this.#own.monotonic() + this.#offsetMs
  }

  monotonic(): number {
    return this.#own.monotonic()
  }
}
