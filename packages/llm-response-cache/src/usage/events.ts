import type { Emitter } from '@evenkeel/core/kit'

/** Whose answer an event is about. */
export interface CacheEvent {
  readonly tenant: string
  /** `unknown` or `other` where no provider has answered for it yet, so that it can be a label of a metric. */
  readonly model: string
  /** Of the entry, as `clear({ pattern })` matches it; where `encrypt` hides names, hidden. Not of a call that has none. */
  readonly name: string | undefined
}

export interface CacheAnswerEvent extends CacheEvent {
  /** Tokens that the provider had counted for an answer that was reused; 0 of a stream that is still under way. */
  readonly tokensSaved: number
}

export interface CacheBypassEvent extends CacheEvent {
  /** As `explain()` tells it. */
  readonly reason: string
}

/** What a cache tells of each call, in the turn in which it is counted. */
export interface CacheEvents {
  /** Answered from an entry. */
  readonly hit: (event: CacheAnswerEvent) => void
  /** Answered by the provider. */
  readonly miss: (event: CacheAnswerEvent) => void
  /** Joined a call that was under way, here or in another instance. */
  readonly coalesced: (event: CacheAnswerEvent) => void
  /** Answered from an entry past its time. */
  readonly stale: (event: CacheAnswerEvent) => void
  /** Passed on without a look. */
  readonly bypass: (event: CacheBypassEvent) => void
  /** An entry was written. */
  readonly stored: (event: CacheEvent) => void
  /** A call of the provider failed. */
  readonly failed: (event: CacheEvent) => void
}

export type CacheEmitter = Emitter<{ [K in keyof CacheEvents]: CacheEvents[K] }>
