import QuickLRU from 'quick-lru'

interface Cell {
  readonly subject: string
  readonly name: string
}

interface Named<T> {
  readonly name: string
  value: T
}

/**
 * Something for each limit of a subject; beyond its size the least recently used subjects are forgotten. By
 * subject first, so that a look-up builds no key of its own.
 */
export class CellMap<T> {
  readonly #subjects: QuickLRU<string, Named<T>[]>

  constructor(maxSubjects: number) {
    // quick-lru holds up to twice its maximum.
    this.#subjects = new QuickLRU({ maxSize: Math.max(1, Math.floor(maxSubjects / 2)) })
  }

  /** Subjects. */
  get size(): number {
    return this.#subjects.size
  }

  get({ subject, name }: Cell): T | undefined {
    const cells = this.#subjects.get(subject)
    if (cells === undefined) return undefined
    for (let index = 0; index < cells.length; index++) {
      const cell = cells[index]
      if (cell?.name === name) return cell.value
    }
    return undefined
  }

  set({ subject, name }: Cell, value: T): void {
    const cells = this.#subjects.get(subject)
    const known = cells?.find((cell) => cell.name === name)
    if (known !== undefined) known.value = value
    else if (cells !== undefined) cells.push({ name, value })
    else this.#subjects.set(subject, [{ name, value }])
  }

  delete({ subject, name }: Cell): void {
    const cells = this.#subjects.get(subject)
    const index = cells?.findIndex((cell) => cell.name === name) ?? -1
    if (cells === undefined || index < 0) return
    cells.splice(index, 1)
    if (cells.length === 0) this.#subjects.delete(subject)
  }

  clear(): void {
    this.#subjects.clear()
  }

  *values(): Iterable<T> {
    for (const [, cells] of this.#subjects) for (const { value } of cells) yield value
  }
}
