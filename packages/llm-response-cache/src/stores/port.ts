import type { Entry, Version } from '../entry/entry.js'
import type { EntryKey } from './entry-key.js'

export type { EntryKey }

export interface Reading {
  /** What can be read there, live or not. */
  readonly entry: Entry | undefined
  /** The id of what is there, although it may be unreadable; empty for nothing. */
  readonly id: string
  /** The present generations, in the order in which they were asked for. */
  readonly versions: readonly string[]
}

/** For how long a store knows what was deleted, so that nothing older is handed over to it. Milliseconds. */
export const deletionMs = 60 * 60_000

export interface WriteOptions {
  /** When the store may forget it. Milliseconds. */
  readonly ttlMs: number
  /** Leaves alone what is there. @default false */
  readonly onlyIfAbsent?: boolean | undefined
  /** Not where it was deleted within the last {@link deletionMs}: the entry may be older. @default false */
  readonly unlessDeleted?: boolean | undefined
  /** Keeps only what is asked for a second time within this number of milliseconds. @default 0: always */
  readonly admitWithinMs?: number | undefined
}

/**
 * Where answers live. `testEntryStore` of `@evenkeel/llm-response-cache/testing` proves an implementation.
 *
 * Tenants and tags are invalidated by a new version, a random text: entries carry the versions under which they
 * were begun, and count only while those are the present ones. So an invalidation costs the same for one entry
 * and for a million, an answer begun before it is never served after it, and a lost version makes misses,
 * never a resurrection.
 */
export interface EntryStore {
  /**
   * The entry, and the versions of those names (the tenant's is the empty name), made where there are none.
   * One round trip, two where a version is missing; reads of one turn of the event loop may share theirs.
   * `known` is what the reader has of it, and is given back where that is still what is there.
   */
  read(entryKey: EntryKey, versions: readonly string[], known?: Entry): Promise<Reading>
  /** Says whether it was kept. Idempotent. One round trip. */
  write(entryKey: EntryKey, entry: Entry, options: WriteOptions): Promise<boolean>
  /** How many there were. What a flight of theirs comes to, begun before, is not kept. One round trip. */
  delete(entryKeys: readonly EntryKey[]): Promise<number>
  /** Which of them were deleted within the last {@link deletionMs}, in their order. One round trip. */
  wereDeleted(entryKeys: readonly EntryKey[]): Promise<readonly boolean[]>
  /** The present versions, made where there are none. One round trip. */
  versions(tenant: string, names: readonly string[]): Promise<readonly string[]>
  /** Sets versions. Idempotent. One round trip. */
  invalidate(tenant: string, versions: ReadonlyMap<string, string>): Promise<void>
  /** Pages of names that match a glob pattern (`*`, `?`, `[…]`); a name may come twice. */
  names(tenant: string, pattern: string): AsyncIterable<readonly string[]>
}

/** How one of many instances comes to call the provider, and the others to hear of it. */
export type Role =
  | { readonly role: 'hit'; readonly entry: Entry }
  /** The caller holds the lease now, under the generation that it brought. */
  | { readonly role: 'lead' }
  /** Another instance calls; under the versions with which it began. */
  | {
      readonly role: 'follow'
      readonly generation: string
      readonly owner: string
      readonly versions: readonly Version[]
    }
  /** Another instance calls since before the entry was deleted, and is followed: the caller calls for itself. */
  | { readonly role: 'apart' }

export interface BeginOptions {
  /** Of this attempt: random, never used again. */
  readonly generation: string
  /** Whom followers call upon. */
  readonly owner: string
  readonly leaseMs: number
  /** The id of an entry that is of no use to the caller; empty for none. */
  readonly unlessId: string
  /** Captured before the call. @default none */
  readonly versions?: readonly Version[] | undefined
  /** Which model is called, for {@link FlightStore.void}. @default '' */
  readonly model?: string | undefined
}

/** A piece of what a leader publishes. */
export type LogRecord =
  /** Status and headers of an answer over HTTP; comes first. */
  | { readonly type: 'head'; readonly data: Buffer }
  | { readonly type: 'data'; readonly data: Buffer }
  /** The whole answer was published, or is in the entry. */
  | { readonly type: 'end'; readonly data: Buffer }
  /** There will be no answer; the data says why. */
  | { readonly type: 'failed'; readonly data: Buffer }

/** What a leader writes as its reason whose callers have all left, so that another one leads. */
export const givenUp = Buffer.from('given up')

export interface LogView {
  /** `live`: the leader holds its lease. `gone`: it does not; nothing will be added. */
  readonly state: 'live' | 'gone'
  readonly records: readonly LogRecord[]
  /** Where to go on. */
  readonly cursor: string
}

export interface CommitOptions extends WriteOptions {
  /** The whole answer is in the log. */
  readonly published: boolean
  /** How many records the log has: its end is bound to its place. @default 0 */
  readonly records?: number | undefined
}

export type CommitOutcome =
  /** The entry was written. */
  | 'kept'
  /** The lease is given back; there was nothing to write, or it was not admitted. */
  | 'released'
  /** Another one leads by now; nothing was changed. */
  | 'fenced'
  /** A follower has no other way to the answer: publish it, then commit again. */
  | 'publish'

/**
 * One call for many instances. A leader holds a lease, fenced by its generation; a log of its own generation
 * tells followers what it gets. `testFlightStore` proves an implementation. Each operation is one round trip
 * and idempotent.
 */
export interface FlightStore {
  begin(entryKey: EntryKey, options: BeginOptions): Promise<Role>
  /** Followers so far, or -1 when the lease is lost. */
  renew(entryKey: EntryKey, generation: string, leaseMs: number): Promise<number>
  /**
   * Adds to the log, which has `from` records before, and renews. Followers so far, or -1 when the lease is
   * lost: nothing was added.
   */
  append(
    entryKey: EntryKey,
    generation: string,
    leaseMs: number,
    from: number,
    records: readonly LogRecord[],
  ): Promise<number>
  /** Writes the entry, ends the log and gives back the lease, all at once. */
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
   * What is under way for names that match a glob, of that model where one is given, is not kept, and nobody who
   * begins later follows it. Round trips: two a page of some hundred names.
   */
  void(tenant: string, pattern: string, model?: string): Promise<void>
  /** Called when a log has grown or ended; calls may be missed. */
  watch(entryKey: EntryKey, onNews: () => void): Promise<() => void>
  /** Tells a leader that it is followed; may be lost. */
  notifyLeader(owner: string, entryKey: EntryKey): void
  /** Called with followers of flights that `owner` leads; some may be missed. */
  onNotified(owner: string, listener: (entryKey: EntryKey) => void): Promise<() => void>
}
