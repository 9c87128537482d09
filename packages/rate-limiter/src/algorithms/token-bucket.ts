import type { TokenBucket } from '../limits.js'
import type { Charge, Meter } from './meter.js'

/**
 * A token bucket kept as its mirror image, a leaky meter (the two are equivalent, ITU-T I.371): `level` is
 * what was taken and has not refilled. It is counted in units of 1/everyMs tokens, so that a refill of a
 * fraction of a token a millisecond stays a whole number, and JavaScript and Lua agree to the last bit.
 */
export class BucketMeter implements Meter {
  /** As it was when something was last charged: a look at it must not move it, since clocks step back. */
  readonly #kept = { level: 0, atMs: 0 }
  #level = 0
  #atMs = 0
  #now = 0
  #capacity = 0
  #refill = 1
  #everyMs = 1

  /** Refills what has come in since. A clock that stepped back refills nothing. */
  advance(limit: TokenBucket, now: number): void {
    this.#capacity = limit.limit * limit.everyMs
    this.#refill = limit.refill
    this.#everyMs = limit.everyMs
    this.#now = now
    const { level, atMs } = this.#kept
    const elapsedMs = Math.max(0, now - atMs)
    // Compared before multiplying: after years away the product would leave the exact numbers.
    this.#level = elapsedMs >= level / this.#refill ? 0 : level - this.#refill * elapsedMs
    this.#atMs = level === 0 ? now : Math.max(atMs, now)
  }

  admits(cost: number, most: number): boolean {
    return this.#level + cost * this.#everyMs <= most * this.#everyMs
  }

  earliest(cost: number, most: number, from: number): number {
    const over = this.#level + cost * this.#everyMs - most * this.#everyMs
    return Math.max(from, this.#now + Math.ceil(Math.max(0, over) / this.#refill))
  }

  /** What is used later is charged as of then: until that time the bucket must not refill on its account. */
  charge(when: number, cost: number): void {
    const ahead = this.#refill * Math.max(0, when - this.#now)
    this.#keep(Math.max(this.#level, ahead) + cost * this.#everyMs)
  }

  book(): void {}

  refund(_when: number, cost: number): void {
    this.#keep(Math.max(0, this.#level - cost * this.#everyMs))
  }

  /** Nothing where the capacity became smaller than what was taken. */
  remaining(extra: number, most: number): number {
    const free = most * this.#everyMs - this.#level - extra * this.#everyMs
    return Math.max(0, Math.floor(free / this.#everyMs))
  }

  resetAt(extra: number): number {
    return this.#now + Math.ceil((this.#level + extra * this.#everyMs) / this.#refill)
  }

  lower(remaining: number): void {
    const wanted = this.#capacity - remaining * this.#everyMs
    if (wanted > this.#level) this.#keep(wanted)
  }

  charges(): readonly Charge[] {
    return this.#level === 0 ? [] : [{ atMs: this.#atMs, cost: Math.ceil(this.#level / this.#everyMs) }]
  }

  #keep(level: number): void {
    this.#level = level
    this.#kept.level = level
    this.#kept.atMs = this.#atMs
  }
}
