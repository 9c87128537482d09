import type { Source } from '@evenkeel/core'
import type { Totals } from './counters.js'
import { HighestUse } from './highest-use.js'

/** Counts what this process has decided since the limiter was created. */
export class LocalCounts {
  readonly decisions = { allowed: { redis: 0, memory: 0 }, denied: { redis: 0, memory: 0 } }
  /** Denied calls by the limit that denied them. */
  readonly denials = new Map<string, number>()
  readonly highestUse = new HighestUse()
  #abandoned = 0

  count(allowed: boolean, source: Source, deniedBy: string | undefined): void {
    this.decisions[allowed ? 'allowed' : 'denied'][source]++
    if (allowed) return
    const limit = deniedBy ?? 'blocked'
    this.denials.set(limit, (this.denials.get(limit) ?? 0) + 1)
  }

  countAbandoned(count: number): void {
    this.#abandoned += count
  }

  /** @param isShared whether the limiter uses Redis, so that what memory decided was a fallback */
  totals(isShared: boolean): Totals {
    const { allowed, denied } = this.decisions
    return {
      allowed: allowed.redis + allowed.memory,
      denied: denied.redis + denied.memory,
      deniedBy: Object.fromEntries(this.denials),
      fallback: isShared ? allowed.memory + denied.memory : 0,
      abandoned: this.#abandoned,
    }
  }
}
