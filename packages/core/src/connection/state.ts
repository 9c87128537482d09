export type ConnectionState = 'connecting' | 'up' | 'down' | 'closed'

/** Which store of a pair answers: Redis, memory, or memory while Redis takes over again. */
export type FailoverState = 'primary' | 'fallback' | 'recovering'

export interface PairStatus {
  readonly name: string
  readonly state: FailoverState
  /** When memory began to answer, on the monotonic clock. */
  readonly fallbackSince: number | undefined
  /** What memory holds. */
  readonly held: (() => { readonly entries: number; readonly bytes: number }) | undefined
}
