import { randomUUID } from 'node:crypto'
import { type Logger, notify } from '@evenkeel/core/kit'
import { wordsOf } from '../limit-list.js'

/** What the limiters of one process know about each other. */
export interface LocalLimiter {
  /** The limits as text, as `limitList` writes them. */
  readonly limits: string
  /** Whether it was used a short while ago. */
  readonly isActive: boolean
}

/** The limiters of one name and namespace in this process, which are one instance to all others. */
export class LocalLimiters {
  readonly id = randomUUID()
  readonly #limiters = new Set<LocalLimiter>()

  add(limiter: LocalLimiter, name: string, logger: Logger | undefined): void {
    for (const { limits } of this.#limiters) {
      if (limits !== limiter.limits) warnOfOtherLimits(name, limiter.limits, limits, logger)
    }
    this.#limiters.add(limiter)
  }

  /** Returns whether the limiter was the last one. */
  remove(limiter: LocalLimiter): boolean {
    this.#limiters.delete(limiter)
    return this.#limiters.size === 0
  }

  /** The limiters in use that have the same limits, including this one. */
  active(limiter: LocalLimiter): readonly LocalLimiter[] {
    if (this.#limiters.size <= 1) return [limiter]
    return [...this.#limiters].filter(
      (other) => other === limiter || (other.isActive && other.limits === limiter.limits),
    )
  }
}

/** A `Symbol.for`, since the ESM and the CommonJS build of this package may both be in one process. */
const registryKey = Symbol.for('evenkeel.rate-limiter.processes')
const warned = new Set<string>()

export function limitersOfProcess(key: string): LocalLimiters {
  const holder = globalThis as { [registryKey]?: Map<string, LocalLimiters> }
  holder[registryKey] ??= new Map()
  let limiters = holder[registryKey].get(key)
  if (limiters === undefined) {
    limiters = new LocalLimiters()
    holder[registryKey].set(key, limiters)
  }
  return limiters
}

/** Limiters of one name share their counts. If their limits differ, each is denied because of the other. */
export function warnOfOtherLimits(
  name: string,
  own: string,
  other: string,
  logger: Logger | undefined,
): void {
  const pair = JSON.stringify([name, ...[own, other].sort()])
  if (warned.has(pair)) return
  warned.add(pair)
  const message = `two limiters are named '${name}' and share their counts, though their limits differ: ${wordsOf(own)} and ${wordsOf(other)}; give one of them another name`
  notify(logger, 'warn', message, 'EVENKEEL_LIMITER_NAME')
}
