/** Tasks that are put off, one of each name at a time; none keeps the process alive. */
export class Delays<Name extends string> {
  readonly #timers = new Map<Name, NodeJS.Timeout>()
  #isClosed = false

  /** Nothing where a task of the name is due already. */
  later(name: Name, ms: number, task: () => unknown): void {
    if (this.#isClosed || this.#timers.has(name)) return
    const timer = setTimeout(() => {
      this.#timers.delete(name)
      task()
    }, ms)
    this.#timers.set(name, timer.unref())
  }

  cancel(name: Name): void {
    clearTimeout(this.#timers.get(name))
    this.#timers.delete(name)
  }

  close(): void {
    this.#isClosed = true
    for (const timer of this.#timers.values()) clearTimeout(timer)
  }
}
