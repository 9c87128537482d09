import type { Source } from '@evenkeel/core'
import type { Policy } from '../call-options.js'
import type { Entry, Version } from '../entry/entry.js'
import type { EntryKey, LogRecord } from '../stores/port.js'
import type { FlightLease } from './flight.js'

/** Whose failures are told to whom: callers of one owner with the same credentials. */
export interface CallerIdentity {
  readonly owner: object
  readonly credentials: string
}

export function isSameCaller(one: CallerIdentity | undefined, other: CallerIdentity | undefined): boolean {
  return one?.owner === other?.owner && one?.credentials === other?.credentials
}

/** What a call of the provider may use. */
export interface ProduceContext {
  readonly lease: FlightLease
  /** Captured before the call; what is kept carries them. */
  readonly versions: readonly Version[]
  /** Ends the call: it stalled, or no caller wants it any more. No caller's signal is passed on. */
  readonly signal: AbortSignal
  /** Sign of life: the time after which the call counts as stalled begins anew. */
  progress(): void
}

/** An answer that the provider has given, or has begun to give. */
export interface Produced<L> {
  readonly live: L
  /** Settles when the answer has ended, with what is kept of it; rejects where it broke off. */
  readonly ended: Promise<Entry | undefined>
  /** The provider answered that it fails (5xx, 429, 408): a stale answer may stand in for it. */
  readonly isFailure?: boolean | undefined
  /** Whether all of it was published to followers in other instances; nothing where that was not begun. */
  published?(): Promise<boolean> | undefined
  /** Publishes all of it. Says whether followers have the whole answer. */
  publish?(): Promise<boolean>
}

/** What following another instance's call came to. */
export type Followed<L> =
  | { readonly kind: 'live'; readonly live: L; readonly ended: Promise<unknown> }
  /** The answer is in the entry. */
  | { readonly kind: 'entry' }
  /** Its leader died, or gave up: another one may lead now. */
  | { readonly kind: 'lost' }
  /** The provider failed for the leader; how, is not for everybody. */
  | { readonly kind: 'failed' }

/** Where a followed answer goes on after its leader was lost. */
export type Successor<L> =
  | { readonly kind: 'body'; readonly body: Buffer }
  | { readonly kind: 'live'; readonly live: L }

/** An answer found another way than by the exact key, before the provider is called. */
export interface Alternative {
  readonly entry: Entry | undefined
  /** How it was found, for the caller. */
  readonly told: string | undefined
  /** Called with the answer that was kept in its place. */
  learn(fresh: Entry): void
  /** For a provider that fails. */
  fallback(): { readonly entry: Entry; readonly told: string } | undefined
}

/** One caller's look-up: what is his own in the sentence of `Lookup`. */
export interface Call<L> {
  readonly entryKey: EntryKey
  readonly policy: Policy
  readonly model: string
  /** Ends this caller's wait at once, and nobody else's. */
  readonly signal?: AbortSignal | undefined
  /** He has given an earlier call up, so he is not tied to one that has shown no sign of life. */
  readonly isRetry?: boolean | undefined
  readonly identity?: CallerIdentity | undefined
  /** Its call of the provider is one with others', and is counted where that is made. */
  readonly isPartOfBatch?: boolean | undefined
  /** Callers of one form share what those of another can't be given; nothing: they call each for himself. */
  readonly form?: string | undefined
  /** Whether an entry can answer him. */
  suits(entry: Entry): boolean
  /** Whether an answer that is under way can. */
  joins(live: L): boolean
  /** Calls the provider. */
  produce(context: ProduceContext): Promise<Produced<L>>
  /** Follows another instance's call; by default its end is awaited, and the entry read. */
  follow?(records: AsyncGenerator<LogRecord>, options: FollowOptions<L>): Promise<Followed<L>>
  /** Asked where nothing is kept under the exact key. */
  alternative?(): Promise<Alternative | undefined>
  /** Whether the provider failed, so that an older answer may be served in its place. */
  isOutage(error: unknown): boolean
  /** Lets go of an answer that came after its call was ended. */
  discard?(live: L): void
  /** He begins to wait for a call that is not his own. */
  onWaits?(): void
}

export interface FollowOptions<L> {
  succeed(): Promise<Successor<L>>
  stop(): void
}

/** How one caller is answered. */
export type Found<L> =
  | {
      readonly kind: 'entry'
      readonly entry: Entry
      readonly outcome: 'hit' | 'stale' | 'coalesced'
      readonly source: Source
      readonly told?: string | undefined
      /** It is served in place of a failed provider's answer. */
      readonly isGrace?: boolean | undefined
    }
  | {
      readonly kind: 'live'
      readonly live: L
      readonly outcome: 'miss' | 'coalesced' | 'hit'
      readonly source: Source
      readonly isFailure?: boolean | undefined
    }
  /** Nothing is kept, and the caller wants no call. */
  | { readonly kind: 'nothing' }
