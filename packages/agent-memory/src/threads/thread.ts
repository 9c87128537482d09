import type { Source } from '@evenkeel/core'
import type { Duration } from '@evenkeel/core/kit'
import type { Draft, FollowOptions, RecoverOptions } from '../drafts/draft.js'
import type { Piece } from '../drafts/port.js'
import type { SubscribeOptions, ThreadEvent } from '../feed/subscribe.js'
import type { Message, MessageLike, StoredMessage } from '../messages/message.js'
import type { Compaction, CompactOptions } from '../window/compact.js'
import type { ChangeReceipt, Entry, Lease, Receipt } from './entry.js'

export interface AppendConditions {
  /**
   * Appends only if the thread still has this version: the one of the window or receipt on which the messages
   * depend. Not possible in an outage.
   */
  readonly ifVersion?: number | undefined
  /**
   * Appends only if the thread was not deleted, and its owner not erased, since this generation: the one of the window,
   * page or receipt on which the messages depend. In an outage it is checked when Redis is back.
   */
  readonly ifGeneration?: number | undefined
  /** Appends only if nobody else has taken the lease since this holder did. Not possible in an outage. */
  readonly lease?: { readonly fence: number } | undefined
  /**
   * Names this append. A retry under the same name stores nothing twice, even if its messages have no ids: they get ids
   * derived from the name. The same name with other messages is refused.
   */
  readonly operation?: string | undefined
}

/** A window holds at most 16 MiB of messages, whatever the options say; its `from` says where it begins. */
export interface WindowOptions {
  /** Maximum number of messages. @default 100, and 1,000 with `maxTokens`; at most 1,000 */
  readonly maxMessages?: number | undefined
  /** Token budget, which includes the pinned messages and the summary. @default no bound */
  readonly maxTokens?: number | undefined
  /** Maximum number of turns. A turn is a user's message and all messages up to the next one. @default no bound */
  readonly maxTurns?: number | undefined
  /**
   * Keeps the window's beginning in place from turn to turn until the budget is full, then moves it on in one step,
   * so that part of the budget is free again. This suits providers' prompt caches, which need an unchanged beginning.
   * @default false
   */
  readonly anchored?: boolean | undefined
  /** `turn`: the window begins at the start of a turn, unless no turn starts within it. @default 'message' */
  readonly startAt?: 'turn' | 'message' | undefined
}

/** A summary in place of the beginning of a thread. */
export interface ThreadSummary {
  readonly text: string
  /** The summary covers the messages up to this seq. */
  readonly upTo: number
  readonly tokens: number
  /** When the summary was made, in ms since 1970. */
  readonly at: number
}

export interface Window {
  /**
   * The pinned messages (the first system message is always pinned) and the newest messages that fit, in order, without
   * those that the summary covers. They are frozen, and each read returns the same objects.
   */
  readonly messages: readonly StoredMessage[]
  /** Summary of the messages that compaction left out; put it where your prompt needs it. */
  readonly summary: ThreadSummary | undefined
  /** Tokens of the messages and the summary together. */
  readonly tokens: number
  /**
   * By how many tokens the window exceeds `maxTokens`, because pinned messages, the summary and the newest user message
   * are always in it. 0 if the budget holds.
   */
  readonly overTokens: number
  /** Number of messages in the whole thread. */
  readonly count: number
  /** Seq of the first message that is not pinned; 0 if there is none. */
  readonly from: number
  readonly version: number
  /** How often a thread of this name was deleted before. Pass it as `ifGeneration` to a later write. */
  readonly generation: number
  readonly source: Source
  /** `true` if read in an outage: messages that other processes appended may be missing. */
  readonly stale: boolean
  /** `false` if, in an outage, this process knows only a part of what the window would hold. */
  readonly complete: boolean
}

export type PageOptions = {
  /** Maximum number of messages. A page also ends at 1 MB; `next` says where it goes on. @default 50, at most 500 */
  readonly limit?: number | undefined
} & (
  | {
      /** Returns messages after this seq, oldest first. @default 0 */ readonly after?: number | undefined
      readonly before?: undefined
    }
  | {
      /** Returns messages before this seq, newest first. */ readonly before: number
      readonly after?: undefined
    }
)

export interface Page {
  readonly entries: readonly Entry[]
  /** Value of `after` or `before` for the next page; `undefined` at the end. */
  readonly next: number | undefined
  readonly count: number
  readonly version: number
  /** How often a thread of this name was deleted before. Pass it as `ifGeneration` to a later write. */
  readonly generation: number
  readonly stale: boolean
  readonly complete: boolean
}

export interface SpliceOptions {
  /** Ids of the messages to replace, in order. The thread must end with exactly these. */
  readonly replace: readonly string[]
  readonly messages: readonly Message[]
  /** Names this operation, so that a retry changes nothing twice. @default a random one */
  readonly operation?: string | undefined
  /** Distinguishes two operations of one name that replace the same ids. @default made of all ids and contents */
  readonly fingerprint?: string | undefined
}

export interface PutOptions {
  /**
   * Removes the messages between these two seqs that are not given, and puts the rest in the order of the list. With
   * `from: 0` the range begins at the first given message that the thread has, so that older messages, which the
   * caller does not have, are kept. @default none goes
   */
  readonly removes?: { readonly from: number; readonly upTo: number } | undefined
  /** As for an append: writes only if the thread was not deleted since. @default that of now */
  readonly ifGeneration?: number | undefined
}

export interface PutReceipt {
  /** `deleted`: the thread was deleted since `ifGeneration`, and stays deleted. */
  readonly status: 'stored' | 'journaled' | 'deleted'
  readonly ids: readonly string[]
  /** Seqs of the messages, in their order; empty while journaled. */
  readonly seqs: readonly number[]
  /** Number of messages that were removed. */
  readonly removed: number
  readonly version: number
  readonly generation: number
  readonly source: Source
}

export interface StateEntry<T = unknown> {
  readonly value: T
  /** Version of the value; rises with each write of it. */
  readonly version: number
}

export interface StateReceipt extends ChangeReceipt {
  /** Version of the value, for a later `ifVersion`; 0 while journaled. */
  readonly valueVersion: number
}

/** Values that belong to a thread and are deleted with it: a plan, counters, a title. At most 256 keys. */
export interface ThreadState {
  /** One round trip. @throws ThreadUnknownError in an outage, unless the value was written here since it began */
  get<T = unknown>(key: string): Promise<StateEntry<T> | undefined>
  entries(): Promise<ReadonlyMap<string, StateEntry>>
  /** @throws VersionConflictError when `ifVersion` is not the value's version (0: there must be no value) */
  set(
    key: string,
    value: unknown,
    options?: { readonly ifVersion?: number | undefined },
  ): Promise<StateReceipt>
  /**
   * Reads the value, changes it and writes it back. Two round trips. Updates of one value in this process wait for each
   * other; if another process writes in between, it tries again, at most fifty times. @throws VersionConflictError then
   */
  update<T>(key: string, change: (value: T | undefined) => T | Promise<T>): Promise<StateEntry<T>>
  /** Adds to a number, or to 0 if there is no value. The result's `value` is `undefined` while journaled. */
  increment(key: string, by?: number): Promise<StateReceipt & { readonly value: number | undefined }>
  delete(key: string, options?: { readonly ifVersion?: number | undefined }): Promise<ChangeReceipt>
}

export interface DraftsOptions {
  /** Leaves out drafts whose writer gave no sign of life for this long. @default none is left out */
  readonly idle?: Duration | undefined
}

export interface LeaseOptions {
  /** How long the lease lasts unless it is renewed. @default '30s' */
  readonly ttl?: Duration | undefined
}

export interface Thread {
  readonly owner: string
  readonly id: string
  readonly state: ThreadState
  /**
   * Appends messages at the end of the thread, in one step: all, or none. Each id is stored once, however often it is
   * appended. One round trip, shared by appends to one thread that come together.
   * @throws MessageConflictError, MessageTooLargeError, LimitReachedError, VersionConflictError, FencedError, ThreadDeletedError,
   * OperationConflictError, JournalFullError, InvalidInputError; nothing is stored then
   */
  append<M extends MessageLike>(messages: M | readonly M[], conditions?: AppendConditions): Promise<Receipt>
  /**
   * Makes the thread hold the given messages: new ones are appended, changed ones are edited in place, and removed ones
   * are restored. One step, one round trip; in an outage it is journaled. At most 5,000 messages.
   * @throws MessageTooLargeError, LimitReachedError, JournalFullError, InvalidInputError; nothing is stored then
   */
  put<M extends MessageLike>(messages: M | readonly M[], options?: PutOptions): Promise<PutReceipt>
  /**
   * Returns the newest messages as a valid prompt. One round trip, which transfers only new messages;
   * its cost does not grow with the thread. @throws ThreadUnknownError in an outage, if this process has never seen it
   */
  window(options?: WindowOptions): Promise<Window>
  /** Returns messages by position. One round trip. */
  page(options?: PageOptions): Promise<Page>
  /** Returns one message by its id. One round trip. */
  get(id: string): Promise<Entry | undefined>
  /**
   * Replaces the content of a message; its tool calls and results must stay the same. One round trip. With a function,
   * two: the message is read first, and read again if another edit came in between. Not possible in an outage.
   * @throws MessageMissingError, VersionConflictError when `revision` is not the message's
   */
  edit(
    id: string,
    change: Omit<Message, 'id'> | ((message: StoredMessage) => Omit<Message, 'id'>),
    options?: { readonly revision?: number | undefined },
  ): Promise<{ readonly revision: number; readonly version: number }>
  /**
   * Removes a message. Returns whether it was in the thread, as far as known. Its id stays taken, so that no
   * late write restores it. In an outage the removal is journaled. One round trip.
   */
  remove(id: string): Promise<boolean>
  /** Keeps a message without tool calls or results in every window. At most 16 a thread. @throws MessageMissingError */
  pin(id: string): Promise<void>
  unpin(id: string): Promise<void>
  /**
   * Replaces the newest messages with others in one step. The new messages get new seqs after the old ones.
   * @throws VersionConflictError when the thread does not end with `replace`
   */
  splice(
    options: SpliceOptions,
  ): Promise<{ readonly ids: readonly string[]; readonly seqs: readonly number[]; readonly version: number }>
  /**
   * Copies the thread, up to a seq, to another id of the same owner, with its state and summary, in one step.
   * @throws ThreadExistsError, ThreadMissingError
   */
  fork(options?: { readonly id?: string | undefined; readonly upTo?: number | undefined }): Promise<Thread>
  /**
   * Puts a summary in place of the beginning of the thread, from the next window on. Appends are not blocked meanwhile,
   * and the messages stay stored. Not possible in an outage.
   */
  compact(options: CompactOptions): Promise<Compaction>
  /**
   * Begins an answer that readers in any process can follow while it is generated, and resume after a disconnect.
   * @param options.id names it for its readers; a random one by default
   */
  draft(options?: { readonly id?: string | undefined }): Draft
  /** Lists drafts that have not ended, in the order in which they began. */
  drafts(options?: DraftsOptions): Promise<readonly string[]>
  /** Yields the pieces of a draft as they come, from the beginning or after a given one, until it ends. */
  follow(draft: string, options?: FollowOptions): AsyncIterableIterator<Piece>
  /**
   * Appends the text so far of a draft whose writer is gone, as one message, whichever process does it first. Returns
   * `undefined` while the writer lives, or if there is no such draft.
   */
  recover(draft: string, options?: RecoverOptions): Promise<Message | undefined>
  /**
   * Yields the thread's changes from now on, or after a seq. They arrive within about a second, or at once if the
   * writers have `feed: true`.
   */
  subscribe(options?: SubscribeOptions): AsyncIterableIterator<ThreadEvent>
  /** Takes the right to answer, for hosts that run one agent at a time; `undefined` while someone else holds it. */
  lease(options?: LeaseOptions): Promise<Lease | undefined>
  /** Deletes the thread. Returns whether it existed, as far as known. In an outage it is journaled. One round trip. */
  delete(): Promise<boolean>
}
