import type { Emitter } from '@evenkeel/core/kit'

/** Tenant, model and entry of an event. */
export interface CacheEvent {
  readonly tenant: string
  /** `unknown` or `other` until a provider has answered for this model, so that it can be a label of a metric. */
  readonly model: string
  /** Name of the entry, as `clear({ pattern })` matches it (hidden with `encrypt`); `undefined` if there is none. */
  readonly name: string | undefined
}

export interface CacheAnswerEvent extends CacheEvent {
  /** Tokens that the provider counted for a reused answer; 0 for a stream that is still under way. */
  readonly tokensSaved: number
}

export interface CacheBypassEvent extends CacheEvent {
  /** The reason, as in `explain()`. */
  readonly reason: string
}

/** Events of a cache, emitted synchronously when a call is counted. */
export interface CacheEvents {
  /** Answered from an entry. */
  readonly hit: (event: CacheAnswerEvent) => void
  /** Answered by the provider. */
  readonly miss: (event: CacheAnswerEvent) => void
  /** Joined a call that was under way, here or in another instance. */
  readonly coalesced: (event: CacheAnswerEvent) => void
  /** Answered from an entry whose ttl was over. */
  readonly stale: (event: CacheAnswerEvent) => void
  /** Passed to the provider without a look-up. */
  readonly bypass: (event: CacheBypassEvent) => void
  /** An entry was written. */
  readonly stored: (event: CacheEvent) => void
  /** A call of the provider failed. */
  readonly failed: (event: CacheEvent) => void
}

export type CacheEmitter = Emitter<{ [K in keyof CacheEvents]: CacheEvents[K] }>
