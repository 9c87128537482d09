import type { Entry, Version } from '../entry/entry.js'
import type { EntryKey } from './entry-key.js'

export type { EntryKey }

export interface Reading {
  /** The stored entry, live or not, if it can be read. */
  readonly entry: Entry | undefined
  /** The id of the stored entry, even if the entry cannot be read; empty if there is none. */
  readonly id: string
  /** The present versions, in the order of their names in the call. */
  readonly versions: readonly string[]
}

/** How long a store remembers deletions, so that no older entry is handed over to it. Milliseconds. */
export const deletionMs = 60 * 60_000

export interface WriteOptions {
  /** When the store may forget the entry. Milliseconds. */
  readonly ttlMs: number
  /** Does not replace an entry. @default false */
  readonly onlyIfAbsent?: boolean | undefined
  /** Not if the key was deleted within the last {@link deletionMs}: the entry may be older. @default false */
  readonly unlessDeleted?: boolean | undefined
  /** Stores an entry only the second time within this number of milliseconds. @default 0: always */
  readonly admitWithinMs?: number | undefined
}

/**
 * Stores entries. `testEntryStore` of `@evenkeel/llm-response-cache/testing` proves an implementation.
 *
 * Tenants and tags are invalidated by a new version, a random text: an entry carries the versions that were present
 * when its call began, and is valid only while they still are. So an invalidation costs the same for one entry
 * and for a million, an answer begun before it is never served after it, and the loss of a version causes misses,
 * but never makes an old entry valid again.
 */
export interface EntryStore {
  /**
   * Returns the entry, and the versions of these names (the tenant's is the empty name), created if they are missing.
   * One round trip, two if a version is missing; reads of one turn of the event loop may share one.
   * `known` is the reader's copy, which is returned if its id is still the stored one.
   */
  read(entryKey: EntryKey, versions: readonly string[], known?: Entry): Promise<Reading>
  /** Returns whether the entry was stored. Idempotent. One round trip. */
  write(entryKey: EntryKey, entry: Entry, options: WriteOptions): Promise<boolean>
  /** Returns how many there were. Flights of these keys that began before store nothing. One round trip. */
  delete(entryKeys: readonly EntryKey[]): Promise<number>
  /** Whether each was deleted within the last {@link deletionMs}, in their order. One round trip. */
  wereDeleted(entryKeys: readonly EntryKey[]): Promise<readonly boolean[]>
  /** Returns the present versions, created if they are missing. One round trip. */
  versions(tenant: string, names: readonly string[]): Promise<readonly string[]>
  /** Sets versions. Idempotent. One round trip. */
  invalidate(tenant: string, versions: ReadonlyMap<string, string>): Promise<void>
  /** Pages of names that match a glob pattern (`*`, `?`, `[…]`); a name may come twice. */
  names(tenant: string, pattern: string): AsyncIterable<readonly string[]>
}

/** What a caller that wants an entry does: use it, call the provider, or follow the instance that calls. */
export type Role =
  | { readonly role: 'hit'; readonly entry: Entry }
  /** The caller holds the lease now, with the generation that it gave. */
  | { readonly role: 'lead' }
  /** Another instance calls the provider; `versions` were present when it began. */
  | {
      readonly role: 'follow'
      readonly generation: string
      readonly owner: string
      readonly versions: readonly Version[]
    }
  /** A flight that began before the entry was deleted still has followers: the caller calls without a lease. */
  | { readonly role: 'apart' }

export interface BeginOptions {
  /** Id of this attempt: random, never used again. */
  readonly generation: string
  /** The instance that followers notify. */
  readonly owner: string
  readonly leaseMs: number
  /** The id of an entry that the caller cannot use; empty for none. */
  readonly unlessId: string
  /** Captured before the call. @default none */
  readonly versions?: readonly Version[] | undefined
  /** Which model is called, for {@link FlightStore.void}. @default '' */
  readonly model?: string | undefined
}

/** A record of the log that a leader publishes. */
export type LogRecord =
  /** Status and headers of an answer over HTTP; comes first. */
  | { readonly type: 'head'; readonly data: Buffer }
  | { readonly type: 'data'; readonly data: Buffer }
  /** The whole answer was published, or is in the entry. */
  | { readonly type: 'end'; readonly data: Buffer }
  /** There will be no answer; the data says why. */
  | { readonly type: 'failed'; readonly data: Buffer }

/** The reason that a leader writes if all its callers have left, so that a follower leads. */
export const givenUp = Buffer.from('given up')

export interface LogView {
  /** `live`: the leader holds its lease. `gone`: it does not; nothing will be added. */
  readonly state: 'live' | 'gone'
  readonly records: readonly LogRecord[]
  /** Where the next look continues. */
  readonly cursor: string
}

export interface CommitOptions extends WriteOptions {
  /** Whether the whole answer is in the log. */
  readonly published: boolean
  /** How many records the log has; the end record is sealed with this number. @default 0 */
  readonly records?: number | undefined
}

export type CommitOutcome =
  /** The entry was written. */
  | 'kept'
  /** The lease is given back; there was nothing to write, or it was not admitted. */
  | 'released'
  /** The lease was lost; nothing was changed. */
  | 'fenced'
  /** There are followers, and no entry was written for them: publish the answer, then commit again. */
  | 'publish'

/**
 * Lets many instances share one call. A leader holds a lease, fenced by its generation; the log of that generation
 * passes the leader's answer on to followers. `testFlightStore` proves an implementation. Each operation but `void`
 * is one round trip and idempotent.
 */
export interface FlightStore {
  begin(entryKey: EntryKey, options: BeginOptions): Promise<Role>
  /** Returns the number of followers so far, or -1 if the lease is lost. */
  renew(entryKey: EntryKey, generation: string, leaseMs: number): Promise<number>
  /**
   * Adds to the log, which has `from` records before, and renews the lease. Returns the number of followers so far, or
   * -1 if the lease is lost and nothing was added. A log that has fewer records ends the lease.
   */
  append(
    entryKey: EntryKey,
    generation: string,
    leaseMs: number,
    from: number,
    records: readonly LogRecord[],
  ): Promise<number>
  /** Writes the entry, ends the log and gives back the lease, in one step. */
  commit(
    entryKey: EntryKey,
    generation: string,
    entry: Entry | undefined,
    options: CommitOptions,
  ): Promise<CommitOutcome>
  /** Ends the log, which has this number of records, without an answer, and gives back the lease. */
  fail(entryKey: EntryKey, generation: string, reason: Buffer, records?: number): Promise<void>
  look(entryKey: EntryKey, generation: string, cursor: string): Promise<LogView>
  /**
   * Voids the flights of names that match a glob, and of the model if one is given: their answers are not stored, and
   * callers that begin later do not follow them. Two round trips for each page of names.
   */
  void(tenant: string, pattern: string, model?: string): Promise<void>
  /** Calls `onNews` when a log has grown or ended; calls may be missed. Returns a function that stops this. */
  watch(entryKey: EntryKey, onNews: () => void): Promise<() => void>
  /** Tells a leader that it has a follower; the message may be lost. */
  notifyLeader(owner: string, entryKey: EntryKey): void
  /** Calls `listener` with the keys of flights of `owner` that got a follower; some may be missed. */
  onNotified(owner: string, listener: (entryKey: EntryKey) => void): Promise<() => void>
}
