import type { FixedWindow } from '../limits.js'
import { type Charge, type Meter, slackMs } from './meter.js'

interface Window {
  readonly startMs: number
  count: number
}

/**
 * Counts the current window, and later windows in which calls are booked. While there are later ones, no call is
 * admitted directly, because waiting calls come first.
 */
export class CounterMeter implements Meter {
  #current: Window = { startMs: 0, count: 0 }
  /** In the order of their starts; none is empty. */
  #later: Window[] = []
  /** When the last window that had charges ended. A charge as of an earlier time counts in no window any more. */
  #endedMs = 0
  #now = 0
  #windowMs = 1
  #limit = 0

  advance({ limit, windowMs, align }: FixedWindow, now: number): void {
    this.#now = now
    this.#limit = limit
    this.#windowMs = windowMs
    const { startMs, count } = this.#current
    const isUnused = count === 0 && this.#later.length === 0
    if (!isUnused && startMs + windowMs > now) return
    // A window without charges is replaced, so that with `first-use` the next one starts with its first charge.
    let nextMs = align === 'clock' ? now - (now % windowMs) : now
    if (!isUnused) this.#endedMs = (this.#later.at(-1)?.startMs ?? startMs) + windowMs
    if (this.#later.length > 0) {
      this.#later = this.#later.filter((window) => window.startMs + windowMs > now)
      const first = this.#later[0]
      if (first !== undefined && first.startMs <= now) {
        this.#later.shift()
        this.#current = first
        return
      }
      // Booked windows continue the grid of the window in which the calls were booked.
      if (first !== undefined) nextMs = now - ((now - startMs) % windowMs)
    }
    this.#current = { startMs: nextMs, count: 0 }
  }

  admits(cost: number, most: number): boolean {
    const { startMs, count } = this.#current
    if (cost === 0) return count <= most
    return startMs <= this.#now && this.#later.length === 0 && count + cost <= most
  }

  earliest(cost: number, most: number, from: number): number {
    const last = this.#later.at(-1) ?? this.#current
    let at = Math.max(from, last.startMs)
    if (at < last.startMs + this.#windowMs && last.count + cost > most) at = last.startMs + this.#windowMs
    // A call that starts late must not fall into the next window.
    const startMs = at - ((at - last.startMs) % this.#windowMs)
    return at + slackMs < startMs + this.#windowMs ? at : startMs + this.#windowMs
  }

  charge(when: number, cost: number): void {
    const { startMs } = this.#current
    const isUnused = this.#current.count === 0 && this.#later.length === 0
    if (when < startMs || (isUnused && when < this.#endedMs)) return
    if (when < startMs + this.#windowMs) {
      this.#current.count += cost
      return
    }
    const own = when - ((when - startMs) % this.#windowMs)
    const place = this.#later.findLastIndex((window) => window.startMs <= own)
    const known = this.#later[place]
    if (known?.startMs === own) known.count += cost
    else this.#later.splice(place + 1, 0, { startMs: own, count: cost })
  }

  book(): void {}

  refund(when: number, cost: number): void {
    for (const window of [this.#current, ...this.#later]) {
      if (when < window.startMs || when >= window.startMs + this.#windowMs) continue
      window.count = Math.max(0, window.count - cost)
    }
    this.#later = this.#later.filter(({ count }) => count > 0)
  }

  remaining(extra: number, most: number): number {
    const { startMs, count } = this.#current
    return startMs > this.#now || this.#later.length > 0 ? 0 : Math.max(0, most - count - extra)
  }

  resetAt(extra: number): number {
    const last = this.#later.at(-1)
    if (last !== undefined) return last.startMs + this.#windowMs
    return this.#current.count + extra === 0 ? this.#now : this.#current.startMs + this.#windowMs
  }

  lower(remaining: number): void {
    const excess = this.#limit - this.#current.count - remaining
    if (excess > 0) this.charge(Math.max(this.#now, this.#current.startMs), excess)
  }

  charges(): readonly Charge[] {
    return [this.#current, ...this.#later]
      .filter(({ count }) => count > 0)
      .map(({ startMs, count }) => ({ atMs: startMs, cost: count }))
  }
}
