export type ConnectionState = 'connecting' | 'up' | 'down' | 'closed'

/** Which store of a pair answers: Redis, memory, or memory while Redis takes over again. */
export type FailoverState = 'primary' | 'fallback' | 'recovering'

/**
 * What it means when Redis loses what a pair of stores keeps there:
 * - `durable`: it is gone, so it must outlive a restart of Redis (append-only file) and must not be evicted
 * - `transient`: instances write it anew after a restart, but a part that is evicted is missed (limits, registrations)
 * - `disposable`: it can be had again, as what a cache holds, so it may be evicted
 */
export type Durability = 'durable' | 'transient' | 'disposable'

export interface PairStatus {
  readonly name: string
  readonly durability: Durability
  readonly state: FailoverState
  /** When memory began to answer, on the monotonic clock. */
  readonly fallbackSince: number | undefined
  /** What memory holds. */
  readonly held: (() => { readonly entries: number; readonly bytes: number }) | undefined
}
