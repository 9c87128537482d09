import type { Source } from '@evenkeel/core'
import type { Policy } from '../call-options.js'
import type { Entry, Version } from '../entry/entry.js'
import type { EntryKey, LogRecord } from '../stores/port.js'
import type { FlightLease } from './flight.js'

/** Callers of one owner with the same credentials may get each other's errors. */
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
  /** Captured before the call; the entry of the answer carries them. */
  readonly versions: readonly Version[]
  /** Aborts if the call stalled, or no caller wants it any more. It is no caller's own signal. */
  readonly signal: AbortSignal
  /** Restarts the time after which the call counts as stalled. */
  progress(): void
}

/** An answer that the provider has given, or has begun to give. */
export interface Produced<L> {
  readonly live: L
  /** Resolves when the answer has ended, with the entry to store, if any; rejects if the answer broke off. */
  readonly ended: Promise<Entry | undefined>
  /** The provider answered that it fails (5xx, 429, 408): a stale answer may be served in its place. */
  readonly isFailure?: boolean | undefined
  /** Whether the whole answer was published to followers in other instances; `undefined` if that has not begun. */
  published?(): Promise<boolean> | undefined
  /** Publishes the whole answer. Returns whether followers have all of it. */
  publish?(): Promise<boolean>
}

/** The result of following another instance's call. */
export type Followed<L> =
  | { readonly kind: 'live'; readonly live: L; readonly ended: Promise<unknown> }
  /** The answer is in the entry. */
  | { readonly kind: 'entry' }
  /** The leader died or gave up: another instance may lead now. */
  | { readonly kind: 'lost' }
  /** The provider failed for the leader, whose error is not passed on. */
  | { readonly kind: 'failed' }

/** How a followed answer continues after its leader was lost. */
export type Successor<L> =
  | { readonly kind: 'body'; readonly body: Buffer }
  | { readonly kind: 'live'; readonly live: L }

/** An answer found another way than by the exact key, before the provider is called. */
export interface Alternative {
  readonly entry: Entry | undefined
  /** How it was found, for the caller. */
  readonly told: string | undefined
  /** Called with the provider's answer once that is stored. */
  learn(fresh: Entry): void
  /** Returns what to serve if the provider fails. */
  fallback(): { readonly entry: Entry; readonly told: string } | undefined
}

/** One caller's look-up: what `Lookup` needs to know about the caller and its kind of answers. */
export interface Call<L> {
  readonly entryKey: EntryKey
  readonly policy: Policy
  readonly model: string
  /** Ends this caller's wait at once, and nobody else's. */
  readonly signal?: AbortSignal | undefined
  /** The caller gave up an earlier call, so it does not join a first attempt that has no answer yet. */
  readonly isRetry?: boolean | undefined
  readonly identity?: CallerIdentity | undefined
  /** One call of the provider serves several look-ups, and is counted where it is made. */
  readonly isPartOfBatch?: boolean | undefined
  /** Callers that can't use the shared answer share one per form; without a form, each makes a call of its own. */
  readonly form?: string | undefined
  /** Whether an entry can answer this caller. */
  suits(entry: Entry): boolean
  /** Whether an answer under way can answer this caller. */
  joins(live: L): boolean
  /** Calls the provider. */
  produce(context: ProduceContext): Promise<Produced<L>>
  /** Follows another instance's call; by default its end is awaited, and the entry read. */
  follow?(records: AsyncGenerator<LogRecord>, options: FollowOptions<L>): Promise<Followed<L>>
  /** Called if nothing usable is stored under the exact key. */
  alternative?(): Promise<Alternative | undefined>
  /** Whether the provider failed, so that an older answer may be served in its place. */
  isOutage(error: unknown): boolean
  /** Releases an answer that came after its call was ended. */
  discard?(live: L): void
  /** Called when this caller begins to wait for a call that is not its own. */
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
  /** Nothing is stored, and the caller wants no call. */
  | { readonly kind: 'nothing' }
