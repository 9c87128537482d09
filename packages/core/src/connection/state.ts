export type ConnectionState = 'connecting' | 'up' | 'down' | 'closed'

/** Which store of a pair answers: Redis, memory, or memory while recovery runs. */
export type FailoverState = 'primary' | 'fallback' | 'recovering'

/**
 * What it means if Redis loses the data of a pair of stores:
 * - `durable`: the data is lost for good, so it must survive a restart of Redis (append-only file) and eviction
 * - `transient`: instances write the data again after a restart, but eviction must spare it (limits, registrations)
 * - `disposable`: the data can be obtained again, as in a cache, so Redis may evict it
 */
export type Durability = 'durable' | 'transient' | 'disposable'

export interface PairStatus {
  readonly name: string
  readonly durability: Durability
  readonly state: FailoverState
  /** When memory began to answer, in milliseconds of the monotonic clock. */
  readonly fallbackSince: number | undefined
  /** What memory holds. */
  readonly held: (() => { readonly entries: number; readonly bytes: number }) | undefined
}
