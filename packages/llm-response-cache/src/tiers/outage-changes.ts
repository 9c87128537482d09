import { placeId } from '../stores/entry-key.js'
import type { Place } from '../stores/port.js'

/** Beyond it a whole namespace is invalidated instead, which is always right and only costs hits. */
const mostDeletions = 10_000
/** Beyond it the oldest is not handed over; it stays a hit here. */
const mostWrites = 10_000

/** What Redis has not heard of yet, because it was away. */
export class OutageLog {
  readonly stamps = new Map<string, Map<string, string>>()
  readonly deleted = new Map<string, Place>()
  readonly written = new Map<string, Place>()

  noteStamps(namespace: string, stamps: ReadonlyMap<string, string>): void {
    const known = this.stamps.get(namespace) ?? new Map<string, string>()
    for (const [name, value] of stamps) known.set(name, value)
    this.stamps.set(namespace, known)
  }

  /** Says whether it could be noted. */
  noteDeleted(place: Place): boolean {
    this.written.delete(placeId(place))
    if (this.deleted.size >= mostDeletions) return false
    this.deleted.set(placeId(place), place)
    return true
  }

  noteWritten(place: Place): void {
    const id = placeId(place)
    this.written.delete(id)
    const [oldest] = this.written.keys()
    if (this.written.size >= mostWrites && oldest !== undefined) this.written.delete(oldest)
    this.written.set(id, place)
  }

  hasWritten(place: Place): boolean {
    return this.written.size > 0 && this.written.has(placeId(place))
  }

  /** Forgets stamps that Redis has by now, unless they were changed meanwhile. */
  settleStamps(namespace: string, stamps: ReadonlyMap<string, string>): void {
    const known = this.stamps.get(namespace)
    if (known === undefined) return
    for (const [name, value] of stamps) if (known.get(name) === value) known.delete(name)
    if (known.size === 0) this.stamps.delete(namespace)
  }
}
