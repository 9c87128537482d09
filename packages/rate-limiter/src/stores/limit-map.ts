import { ByteBoundedLru } from '@evenkeel/core/kit'

interface LimitKey {
  readonly subject: string
  readonly name: string
}

interface Named<T> {
  readonly name: string
  value: T
}

/**
 * A map with a value for each limit of a subject. Above `maxSubjects`, it evicts the least recently used subjects. It
 * is indexed by subject first, so that a look-up need not build a key.
 */
export class LimitMap<T> {
  readonly #subjects: ByteBoundedLru<Named<T>[]>

  constructor(maxSubjects: number) {
    this.#subjects = new ByteBoundedLru({ maxEntries: maxSubjects })
  }

  /** Number of subjects. */
  get size(): number {
    return this.#subjects.size
  }

  get({ subject, name }: LimitKey): T | undefined {
    const limitKeys = this.#subjects.get(subject)
    if (limitKeys === undefined) return undefined
    for (let index = 0; index < limitKeys.length; index++) {
      const limitKey = limitKeys[index]
      if (limitKey?.name === name) return limitKey.value
    }
    return undefined
  }

  set({ subject, name }: LimitKey, value: T): void {
    const limitKeys = this.#subjects.get(subject)
    const known = limitKeys?.find((limitKey) => limitKey.name === name)
    if (known !== undefined) known.value = value
    else if (limitKeys !== undefined) limitKeys.push({ name, value })
    else this.#subjects.set(subject, [{ name, value }])
  }

  delete({ subject, name }: LimitKey): void {
    const limitKeys = this.#subjects.get(subject)
    const index = limitKeys?.findIndex((limitKey) => limitKey.name === name) ?? -1
    if (limitKeys === undefined || index < 0) return
    limitKeys.splice(index, 1)
    if (limitKeys.length === 0) this.#subjects.delete(subject)
  }

  clear(): void {
    this.#subjects.clear()
  }

  *values(): Iterable<T> {
    for (const [, limitKeys] of this.#subjects.entries()) for (const { value } of limitKeys) yield value
  }
}
