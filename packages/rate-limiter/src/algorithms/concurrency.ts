import type { Concurrency } from '../limits.js'
import type { Charge, Meter } from './meter.js'

interface HeldSlots {
  readonly cost: number
  expiresAtMs: number
}

/** A waiter that does not ask again for this long leaves the line. */
export const waiterMs = 3_000

/** The slots that are held until their release or the end of their lease, and the line of waiting calls. */
export class SlotMeter implements Meter {
  readonly #held = new Map<string, HeldSlots>()
  /** Waiting calls in order of arrival, each with the time until which it counts. */
  readonly #line = new Map<string, number>()
  #used = 0
  #now = 0
  #limit = 0
  #leaseMs = 1

  advance({ limit, leaseMs }: Concurrency, now: number): void {
    this.#now = now
    this.#limit = limit
    this.#leaseMs = leaseMs
    for (const [id, { cost, expiresAtMs }] of this.#held) {
      if (expiresAtMs > now) continue
      this.#held.delete(id)
      this.#used -= cost
    }
    for (const [id, aliveUntilMs] of this.#line) if (aliveUntilMs <= now) this.#line.delete(id)
  }

  admits(cost: number, most: number, id: string): boolean {
    return cost === 0 || this.#used + cost + this.#ahead(id) <= most
  }

  /** When the next lease ends: a release may come sooner, and a renewal moves that end. */
  earliest(cost: number, most: number, from: number): number {
    if (this.#used + this.#line.size + cost <= most) return from
    let next = Number.POSITIVE_INFINITY
    for (const { expiresAtMs } of this.#held.values()) next = Math.min(next, expiresAtMs)
    return Math.max(from, Number.isFinite(next) ? next : this.#now + 1)
  }

  /** Puts a call at the end of the line, or keeps its place there if it asks again. */
  join(id: string): void {
    this.#line.set(id, this.#now + waiterMs)
  }

  charge(when: number, cost: number, id: string): void {
    if (id === '') return
    const known = this.#held.get(id)
    this.#used += cost - (known?.cost ?? 0)
    this.#held.set(id, { cost, expiresAtMs: Math.max(this.#now, when) + this.#leaseMs })
    this.#line.delete(id)
  }

  book(): void {}

  refund(_when: number, _cost: number, id: string): void {
    this.#used -= this.#held.get(id)?.cost ?? 0
    this.#held.delete(id)
    this.#line.delete(id)
  }

  /** The first waiting calls, as many as there are free slots. */
  next(): readonly string[] {
    return [...this.#line.keys()].slice(0, Math.max(0, this.#limit - this.#used))
  }

  /** Renews the slots for another lease; `false` if they are lost. */
  renew(id: string): boolean {
    const holding = this.#held.get(id)
    if (holding === undefined) return false
    holding.expiresAtMs = this.#now + this.#leaseMs
    return true
  }

  /** Holds slots that were granted elsewhere. */
  adopt(id: string, cost: number): void {
    if (!this.#held.has(id)) this.charge(this.#now, cost, id)
  }

  remaining(extra: number, most: number): number {
    return Math.max(0, most - this.#used - extra)
  }

  resetAt(): number {
    let last = this.#now
    for (const { expiresAtMs } of this.#held.values()) last = Math.max(last, expiresAtMs)
    return last
  }

  lower(): void {}

  charges(): readonly Charge[] {
    return []
  }

  #ahead(id: string): number {
    if (!this.#line.has(id)) return this.#line.size
    let place = 0
    for (const waiter of this.#line.keys()) {
      if (waiter === id) return place
      place++
    }
    return place
  }
}
