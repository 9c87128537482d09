/** Delayed tasks, one of each name at a time. They do not keep the process alive. */
export class Delays<Name extends string> {
  readonly #timers = new Map<Name, NodeJS.Timeout>()
  #isClosed = false

  /** Schedules a task, unless one of this name is already scheduled. */
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
