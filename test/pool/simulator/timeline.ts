import TinyQueue from 'tinyqueue'

interface Event {
  readonly atMs: number
  /** Events of one moment happen in the order in which they were planned. */
  readonly order: number
  readonly happen: () => void
}

/** Virtual time: it jumps from one planned event to the next. */
export class Timeline {
  readonly #events = new TinyQueue<Event>(
    [],
    (one, other) => one.atMs - other.atMs || one.order - other.order,
  )
  #now = 0
  #planned = 0

  /** Milliseconds since the beginning. */
  get now(): number {
    return this.#now
  }

  at(atMs: number, happen: () => void): void {
    this.#events.push({ atMs: Math.max(atMs, this.#now), order: this.#planned++, happen })
  }

  after(ms: number, happen: () => void): void {
    this.at(this.#now + ms, happen)
  }

  /** Runs until nothing is planned. */
  run(): void {
    for (let event = this.#events.pop(); event !== undefined; event = this.#events.pop()) {
      this.#now = event.atMs
      event.happen()
    }
  }
}
