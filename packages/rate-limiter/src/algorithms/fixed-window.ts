import type { FixedWindow } from '../limits.js'
import { type Charge, type Meter, slackMs } from './meter.js'

/** A counter of one window. A start in the future means that all windows before it are booked up. */
export class CounterMeter implements Meter {
  #startMs = 0
  #count = 0
  #now = 0
  #windowMs = 1
  #limit = 0

  advance({ limit, windowMs, align }: FixedWindow, now: number): void {
    this.#now = now
    this.#limit = limit
    this.#windowMs = windowMs
    // A window without charges is none: the next one starts when it is first used.
    if (this.#count > 0 && this.#startMs + windowMs > now) return
    this.#startMs = align === 'clock' ? now - (now % windowMs) : now
    this.#count = 0
  }

  admits(cost: number, most: number): boolean {
    if (cost === 0) return this.#count <= most
    return this.#startMs <= this.#now && this.#count + cost <= most
  }

  earliest(cost: number, most: number, from: number): number {
    let at = Math.max(from, this.#startMs)
    if (this.#count + cost > most) at = Math.max(at, this.#startMs + this.#windowMs)
    // A call that starts late must not fall into the next window.
    const startMs = at - ((at - this.#startMs) % this.#windowMs)
    return at + slackMs < startMs + this.#windowMs ? at : startMs + this.#windowMs
  }

  charge(when: number, cost: number): void {
    if (when < this.#startMs) return
    if (when >= this.#startMs + this.#windowMs) {
      this.#startMs = when - ((when - this.#startMs) % this.#windowMs)
      this.#count = 0
    }
    this.#count += cost
  }

  book(): void {}

  refund(when: number, cost: number): void {
    if (when < this.#startMs || when >= this.#startMs + this.#windowMs) return
    this.#count = Math.max(0, this.#count - cost)
  }

  remaining(extra: number, most: number): number {
    return this.#startMs > this.#now ? 0 : Math.max(0, most - this.#count - extra)
  }

  resetAt(extra: number): number {
    return this.#count + extra === 0 ? this.#now : this.#startMs + this.#windowMs
  }

  lower(remaining: number): void {
    const excess = this.#limit - this.#count - remaining
    if (excess > 0) this.charge(Math.max(this.#now, this.#startMs), excess)
  }

  charges(): readonly Charge[] {
    return this.#count === 0 ? [] : [{ atMs: this.#startMs, cost: this.#count }]
  }
}
