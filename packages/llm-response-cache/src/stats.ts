export interface CacheStats {
  /** Answered from an entry. */
  readonly hits: number
  /** Answered by the provider. */
  readonly misses: number
  /** Joined a call that was under way in this process. */
  readonly coalesced: number
  /** Passed on without a look: not cacheable, or the caller asked for that. */
  readonly bypassed: number
  /** Calls of the provider that failed. */
  readonly errors: number
  /** Entries written. */
  readonly stored: number
  /** Tokens that the provider had counted for the answers that hits and joined calls reused. */
  readonly tokensSaved: number
  /** Hits and joined calls by all that could have been; 0 before the first. */
  readonly hitRate: number
}

type Counter = Exclude<keyof CacheStats, 'hitRate'>

/** Counts in this process, so that a hit costs no second round trip. */
export class StatsCounter {
  readonly #counts: Record<Counter, number> = {
    hits: 0,
    misses: 0,
    coalesced: 0,
    bypassed: 0,
    errors: 0,
    stored: 0,
    tokensSaved: 0,
  }

  add(counter: Counter, amount = 1): void {
    this.#counts[counter] += amount
  }

  read(): CacheStats {
    const { hits, misses, coalesced } = this.#counts
    const all = hits + misses + coalesced
    return { ...this.#counts, hitRate: all === 0 ? 0 : (hits + coalesced) / all }
  }
}
