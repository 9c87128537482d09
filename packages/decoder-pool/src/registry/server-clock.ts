import type { Clock } from '@evenkeel/core'

/**
 * The registry's time, continued by this process's monotonic clock while the registry is away. So changes that
 * coordinators make in one outage have one order, whatever their wall clocks say. A coordinator that has never reached
 * the registry has only its own clock.
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
