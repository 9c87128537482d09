/**
 * The time source of the packages, injected so that tests can move time instead of sleeping.
 * `now` is wall-clock milliseconds (for what is shared or stored); `monotonic` never goes back
 * (for durations and deadlines within this process).
 */
export interface Clock {
  now(): number
  monotonic(): number
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
}

/** A clock for tests that moves only when it is told to; `now` and `monotonic` return the same time. */
export class ManualClock implements Clock {
  #time: number

  constructor(startMs = 1_700_000_000_000) {
    this.#time = startMs
  }

  now(): number {
    return this.#time
  }

  monotonic(): number {
    return this.#time
  }

  advance(ms: number): void {
    this.#time += ms
  }
}
