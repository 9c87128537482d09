import type { TokenBucket } from '../limits.js'
import { type Charge, type Meter, slackMs } from './meter.js'

/** Above this number, bookings are merged in pairs, each pair as of the later one's time. */
const maxBookings = 128

interface Booking {
  atMs: number
  /** In units of 1/everyMs tokens, like the level. */
  cost: number
}

/**
 * A token bucket, kept as a leaky meter (the two are equivalent, ITU-T I.371): `level` is what was taken and has not
 * been refilled. It is counted in units of 1/everyMs tokens, so that a refill of a fraction of a token per millisecond
 * is a whole number, and JavaScript and Lua agree to the last bit.
 *
 * A booking (a charge as of a later time) is kept apart until that time, because nothing of it may refill before, and
 * it may be refunded. Direct calls see it as charged already, which is safe: the level is never above the sum of the
 * charges.
 */
export class BucketMeter implements Meter {
  /** The state at the last charge. `advance` does not change it, because the clock may step back. */
  readonly #kept = { level: 0, atMs: 0 }
  /** In the order of their times. */
  #bookings: Booking[] = []
  /** How many bookings, from the first on, are due and included in the level. */
  #due = 0
  /** The sum of the costs of all other bookings. */
  #booked = 0
  #level = 0
  #atMs = 0
  #now = 0
  #capacity = 0
  #refill = 1
  #everyMs = 1

  /** Refills for the time that has passed. A clock that stepped back refills nothing. */
  advance(limit: TokenBucket, now: number): void {
    this.#capacity = limit.limit * limit.everyMs
    this.#refill = limit.refill
    this.#everyMs = limit.everyMs
    this.#now = now
    let { level, atMs } = this.#kept
    if (this.#bookings.length > 0) [level, atMs] = this.#afterDueBookings(level, atMs)
    this.#level = this.#refilled(level, now - atMs)
    this.#atMs = level === 0 ? now : Math.max(atMs, now)
  }

  admits(cost: number, most: number): boolean {
    return this.#level + this.#booked + cost * this.#everyMs <= most * this.#everyMs
  }

  earliest(cost: number, most: number, from: number): number {
    const [level, atMs] = this.#afterBookings(this.#level)
    const over = level + cost * this.#everyMs - most * this.#everyMs
    // No call comes before the last booking, which is charged as of the end of its slack.
    const first = this.#bookings.length === this.#due ? this.#now : atMs - slackMs
    return Math.max(from, first, atMs + Math.ceil(over / this.#refill))
  }

  charge(when: number, cost: number): void {
    if (when > this.#now) this.#book(when, cost * this.#everyMs)
    else this.#keep(this.#level + cost * this.#everyMs)
  }

  book(): void {}

  refund(when: number, cost: number): void {
    let units = cost * this.#everyMs
    // The booking may have been merged into a later one, so the later ones are reduced.
    this.#dropDueBookings()
    for (const booking of this.#bookings) {
      if (units === 0 || when <= this.#now) break
      if (booking.atMs < when) continue
      const given = Math.min(units, booking.cost)
      booking.cost -= given
      this.#booked -= given
      units -= given
    }
    this.#bookings = this.#bookings.filter((booking) => booking.cost > 0)
    this.#keep(Math.max(0, this.#level - units))
  }

  /** 0 if the capacity was lowered below what was taken. */
  remaining(extra: number, most: number): number {
    const free = most * this.#everyMs - this.#level - this.#booked - extra * this.#everyMs
    return Math.max(0, Math.floor(free / this.#everyMs))
  }

  resetAt(extra: number): number {
    const [level, atMs] = this.#afterBookings(this.#level + extra * this.#everyMs)
    return atMs + Math.ceil(level / this.#refill)
  }

  lower(remaining: number): void {
    const wanted = this.#capacity - remaining * this.#everyMs
    if (wanted > this.#level) this.#keep(wanted)
  }

  charges(): readonly Charge[] {
    const units = (level: number) => Math.ceil(level / this.#everyMs)
    const now = this.#level === 0 ? [] : [{ atMs: this.#atMs, cost: units(this.#level) }]
    return [...now, ...this.#bookings.slice(this.#due).map(({ atMs, cost }) => ({ atMs, cost: units(cost) }))]
  }

  #refilled(level: number, elapsedMs: number): number {
    if (elapsedMs <= 0) return level
    // Compares before it multiplies: after years without a charge, the product would not be an exact integer.
    return elapsedMs >= level / this.#refill ? 0 : level - this.#refill * elapsedMs
  }

  #afterDueBookings(level: number, atMs: number): [level: number, atMs: number] {
    this.#due = 0
    this.#booked = 0
    for (const booking of this.#bookings) {
      if (booking.atMs > this.#now) {
        this.#booked += booking.cost
        continue
      }
      this.#due++
      level = this.#refilled(level, booking.atMs - atMs) + booking.cost
      atMs = Math.max(atMs, booking.atMs)
    }
    return [level, atMs]
  }

  /** The level at the last booking, and its time. */
  #afterBookings(level: number): [level: number, atMs: number] {
    let atMs = this.#now
    for (let index = this.#due; index < this.#bookings.length; index++) {
      const booking = this.#bookings[index]
      if (booking === undefined) break
      level = this.#refilled(level, booking.atMs - atMs) + booking.cost
      atMs = Math.max(atMs, booking.atMs)
    }
    return [level, atMs]
  }

  #dropDueBookings(): void {
    if (this.#due > 0) this.#bookings.splice(0, this.#due)
    this.#due = 0
  }

  #book(atMs: number, cost: number): void {
    // Stores the level, which includes the due bookings, and drops those.
    this.#keep(this.#level)
    this.#booked += cost
    const place = this.#bookings.findLastIndex((booking) => booking.atMs <= atMs)
    const before = this.#bookings[place]
    if (before?.atMs === atMs) before.cost += cost
    else this.#bookings.splice(place + 1, 0, { atMs, cost })
    if (this.#bookings.length > maxBookings) this.#bookings = joined(this.#bookings)
  }

  #keep(level: number): void {
    this.#dropDueBookings()
    this.#level = level
    this.#kept.level = level
    this.#kept.atMs = this.#atMs
  }
}

function joined(bookings: readonly Booking[]): Booking[] {
  const result: Booking[] = []
  for (let index = 0; index < bookings.length; index += 2) {
    const [one, other] = [bookings[index], bookings[index + 1]]
    if (one === undefined) break
    result.push(other === undefined ? one : { atMs: other.atMs, cost: one.cost + other.cost })
  }
  return result
}
