import { randomUUID } from 'node:crypto'
import { type Logger, notify } from '@evenkeel/core/kit'
import { wordsOf } from '../limit-list.js'

/** What the limiters of one process know of each other. */
export interface LocalLimiter {
  /** What its limits are, as `limitList` writes it. */
  readonly limits: string
  /** It was asked a short while ago. */
  readonly isActive: boolean
}

/** The limiters of one name and namespace in this process: one instance to all others. */
export class LocalLimiters {
  readonly id = randomUUID()
  readonly #limiters = new Set<LocalLimiter>()

  add(limiter: LocalLimiter, name: string, logger: Logger | undefined): void {
    for (const { limits } of this.#limiters) {
      if (limits !== limiter.limits) warnOfOtherLimits(name, limiter.limits, limits, logger)
    }
    this.#limiters.add(limiter)
  }

  /** Says whether it was the last one. */
  remove(limiter: LocalLimiter): boolean {
    this.#limiters.delete(limiter)
    return this.#limiters.size === 0
  }

  /** Those that share this one's limits and are in use, this one among them. */
  active(limiter: LocalLimiter): readonly LocalLimiter[] {
    if (this.#limiters.size <= 1) return [limiter]
    return [...this.#limiters].filter(
      (other) => other === limiter || (other.isActive && other.limits === limiter.limits),
    )
  }
}

/** Kept under `Symbol.for`, since the ESM and the CommonJS build of this package may both be in one process. */
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

/** Limiters of one name share their counts: with other limits, the calls of one would be denied by those of the other. */
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
