import { setImmediate } from '../kit/event-loop.js'
import { afterGrace } from './grace.js'

/** Something with a deadline; an element of one of the queue's lists. */
export interface Timed {
  dueAt: number
  previous: Timed | undefined
  next: Timed | undefined
  list: List | undefined
}

export interface List {
  first: Timed | undefined
  last: Timed | undefined
}

/** Beyond this the timer was late because the event loop was blocked, not because Redis was slow. */
const lateMs = 5
/** Expiries between two turns of the event loop, so that 10,000 at once do not block it. */
const chunk = 500

/**
 * Deadlines of commands, with one timer for all of them.
 *
 * Commands of a connection mostly share one duration, so the pending ones of a duration form a list that
 * is in order of time by construction: adding and removing are O(1), and only the heads are checked. If
 * the timer fires late, the event loop was blocked, so replies that have arrived are read before anything
 * expires.
 */
export class DeadlineQueue<T extends Timed> {
  readonly #expire: (item: T) => void
  readonly #lists = new Map<number, List>()
  #timer: NodeJS.Timeout | undefined
  #armedFor = Number.POSITIVE_INFINITY

  constructor(expire: (item: T) => void) {
    this.#expire = expire
  }

  add(item: T, durationMs: number, now: number): void {
    item.dueAt = now + durationMs
    let list = this.#lists.get(durationMs)
    if (list === undefined) {
      list = { first: undefined, last: undefined }
      this.#lists.set(durationMs, list)
    }
    item.list = list
    item.previous = list.last
    if (list.last === undefined) list.first = item
    else list.last.next = item
    list.last = item
    if (item.dueAt < this.#armedFor) this.#arm(item.dueAt, now)
  }

  remove(item: T): void {
    const { list, previous, next } = item
    if (list === undefined) return
    if (previous === undefined) list.first = next
    else previous.next = next
    if (next === undefined) list.last = previous
    else next.previous = previous
    item.list = item.previous = item.next = undefined
  }

  /** How many durations are kept apart. */
  get durations(): number {
    return this.#lists.size
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#armedFor = Number.POSITIVE_INFINITY
    this.#lists.clear()
  }

  #arm(dueAt: number, now: number): void {
    clearTimeout(this.#timer)
    this.#armedFor = dueAt
    this.#timer = setTimeout(this.#onTimer, Math.max(1, Math.ceil(dueAt - now)))
    this.#timer.unref()
  }

  readonly #onTimer = (): void => {
    const late = performance.now() - this.#armedFor
    if (late > lateMs) afterGrace(() => this.#sweep())
    else this.#sweep()
  }

  #sweep(): void {
    const now = performance.now()
    let expired = 0
    let nextDueAt = Number.POSITIVE_INFINITY
    for (const [durationMs, list] of this.#lists) {
      while (list.first !== undefined && list.first.dueAt <= now && expired < chunk) {
        const item = list.first as T
        this.remove(item)
        this.#expire(item)
        expired++
      }
      if (list.first !== undefined) nextDueAt = Math.min(nextDueAt, list.first.dueAt)
      // A duration that only one call used must not stay for ever.
      else if (this.#lists.size > 8) this.#lists.delete(durationMs)
    }
    this.#armedFor = Number.POSITIVE_INFINITY
    if (expired === chunk) {
      this.#armedFor = now
      setImmediate(() => this.#sweep())
    } else if (nextDueAt !== Number.POSITIVE_INFINITY) this.#arm(nextDueAt, now)
  }
}
