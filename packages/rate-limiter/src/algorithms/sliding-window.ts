import type { SlidingWindow } from '../limits.js'
import { type Charge, type Meter, slackMs } from './meter.js'

interface Slot {
  /** A time, not an index: slots of different lengths stay distinct when a limit or its share changes. */
  readonly startMs: number
  lastChargeMs: number
  cost: number
}

/** Up to this limit every millisecond is a slot of its own: an exact log. */
const exactUpTo = 128
/** Slots per window for higher limits: few enough for Redis to keep the sorted set in its compact encoding. */
const slotsPerWindow = 60

export function slotMs({ limit, windowMs }: SlidingWindow): number {
  return limit <= exactUpTo ? 1 : Math.ceil(windowMs / slotsPerWindow)
}

/**
 * A slotted log. Each slot counts until its *last* charge has left the window, so every unit counts for at least the
 * window: at any admission, the total includes all units admitted within it. So no rolling window ever holds more than
 * the limit. The number of slots bounds the memory.
 */
export class WindowMeter implements Meter {
  /** In order of their last charge, from `#first` on; the slots before it have left the window. */
  #slots: Slot[] = []
  #first = 0
  #total = 0
  #booked = 0
  #now = 0
  #windowMs = 0
  #slotMs = 1
  #limit: SlidingWindow | undefined

  advance(limit: SlidingWindow, now: number): void {
    if (limit !== this.#limit) {
      this.#limit = limit
      this.#windowMs = limit.windowMs
      this.#slotMs = slotMs(limit)
    }
    this.#now = now
    const slots = this.#slots
    let slot = slots[this.#first]
    while (slot !== undefined && slot.lastChargeMs <= now - this.#windowMs) {
      this.#total -= slot.cost
      slot = slots[++this.#first]
    }
    if (this.#first > 64 && this.#first * 2 > slots.length) {
      slots.splice(0, this.#first)
      this.#first = 0
    }
  }

  /** Number of slots that count. */
  get size(): number {
    return this.#slots.length - this.#first
  }

  admits(cost: number, most: number): boolean {
    return this.#total + cost <= most
  }

  earliest(cost: number, most: number, from: number): number {
    let toFree = this.#total + cost - most
    if (toFree <= 0) return from
    let freedAt = this.#now
    for (let index = this.#first; toFree > 0; index++) {
      const slot = this.#slots[index]
      if (slot === undefined) break
      toFree -= slot.cost
      freedAt = slot.lastChargeMs
    }
    return Math.max(from, freedAt + this.#windowMs, this.#booked)
  }

  charge(when: number, cost: number): void {
    if (when <= this.#now - this.#windowMs) return
    this.#total += cost
    const startMs = when - (when % this.#slotMs)
    const slots = this.#slots
    const newest = slots.length > this.#first ? slots[slots.length - 1] : undefined
    if (newest === undefined || (newest.startMs < startMs && newest.lastChargeMs <= when)) {
      slots.push({ startMs, lastChargeMs: when, cost })
      return
    }
    if (newest.startMs === startMs) {
      newest.cost += cost
      newest.lastChargeMs = Math.max(newest.lastChargeMs, when)
      return
    }
    let index = this.#indexOf(startMs)
    const slot = slots[index] ?? { startMs, lastChargeMs: when, cost: 0 }
    if (index < 0) index = slots.push(slot) - 1
    slot.cost += cost
    slot.lastChargeMs = Math.max(slot.lastChargeMs, when)
    this.#sift(index)
  }

  book(when: number): void {
    this.#booked = Math.max(this.#booked, when)
  }

  refund(when: number, cost: number): void {
    const index = this.#indexOf(when - (when % this.#slotMs))
    const slot = this.#slots[index]
    if (slot === undefined || when <= this.#now - this.#windowMs) return
    const given = Math.max(0, Math.min(cost, slot.cost))
    slot.cost -= given
    this.#total -= given
    if (slot.cost === 0) this.#slots.splice(index, 1)
    // The next call comes after those that still wait, but not after one that has given up.
    if (this.#booked > this.#now) {
      const newestMs = this.#slots.length > this.#first ? (this.#slots.at(-1)?.lastChargeMs ?? 0) : 0
      this.#booked = newestMs > this.#now ? Math.min(this.#booked, newestMs - slackMs) : 0
    }
  }

  remaining(extra: number, most: number): number {
    return Math.max(0, most - this.#total - extra)
  }

  resetAt(extra: number): number {
    const newest = this.size === 0 ? this.#now - this.#windowMs : (this.#slots.at(-1)?.lastChargeMs ?? 0)
    return (extra > 0 ? Math.max(newest, this.#now) : newest) + this.#windowMs
  }

  lower(remaining: number, resetMs: number): void {
    const excess = (this.#limit?.limit ?? 0) - this.#total - remaining
    if (excess > 0) this.charge(this.#now + resetMs - this.#windowMs, excess)
  }

  charges(): readonly Charge[] {
    return this.#slots.slice(this.#first).map(({ lastChargeMs, cost }) => ({ atMs: lastChargeMs, cost }))
  }

  #indexOf(startMs: number): number {
    for (let index = this.#slots.length - 1; index >= this.#first; index--) {
      if (this.#slots[index]?.startMs === startMs) return index
    }
    return -1
  }

  /** Moves one slot to its place in the order of last charges. */
  #sift(index: number): void {
    const slots = this.#slots
    const slot = slots[index]
    if (slot === undefined) return
    slots.splice(index, 1)
    let place = slots.length
    while (place > this.#first && (slots[place - 1]?.lastChargeMs ?? 0) > slot.lastChargeMs) place--
    slots.splice(place, 0, slot)
  }
}
