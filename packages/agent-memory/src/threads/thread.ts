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
   * Appends only if the thread has this version: that of the window, or receipt, on which the messages
   * depend. Not possible in an outage.
   */
  readonly ifVersion?: number | undefined
  /**
   * Appends only if the thread was not deleted, nor its owner erased, since: that of the window, page or receipt
   * on which the messages depend. In an outage it is checked when Redis is back.
   */
  readonly ifGeneration?: number | undefined
  /** Appends only while no other holder took the lease after this one. Not possible in an outage. */
  readonly lease?: { readonly fence: number } | undefined
  /**
   * Names this append, so that a retry of it under the same name is one, whatever ids its messages have:
   * those without one get ids made of the name. The same name with other messages is refused.
   */
  readonly operation?: string | undefined
}

/** Whatever is asked for, a window ends at 16 MiB of messages; its `from` says where it begins. */
export interface WindowOptions {
  /** @default 100, and 1,000 with `maxTokens`; at most 1,000 */
  readonly maxMessages?: number | undefined
  /** The pinned messages and the summary included. @default no bound */
  readonly maxTokens?: number | undefined
  /** Turns: a user's message and what follows it. @default no bound */
  readonly maxTurns?: number | undefined
  /**
   * The window's beginning stays where it is from turn to turn, until the budget is full; then it moves on, so
   * that a part of the budget is free again. A provider's prompt cache lives on an equal beginning. @default false
   */
  readonly anchored?: boolean | undefined
  /** `turn`: no window begins in the middle of a turn, if one begins within it. @default 'message' */
  readonly startAt?: 'turn' | 'message' | undefined
}

/** A summary in place of the beginning of a thread. */
export interface ThreadSummary {
  readonly text: string
  /** It covers the messages up to this seq. */
  readonly upTo: number
  readonly tokens: number
  /** When it was made, ms since 1970. */
  readonly at: number
}

export interface Window {
  /**
   * What is pinned (the first system message is), and the newest messages that fit, in order; none that the
   * summary covers. They are frozen: each read gives the same ones.
   */
  readonly messages: readonly StoredMessage[]
  /** Of what the thread's compaction left out; put it where the prompt wants it. */
  readonly summary: ThreadSummary | undefined
  /** Of the messages and the summary. */
  readonly tokens: number
  /**
   * By how much they are above `maxTokens`: what is pinned and the newest message of a user are always there. 0 where the
   * budget holds.
   */
  readonly overTokens: number
  /** Messages in the whole thread. */
  readonly count: number
  /** Seq of the first message that is not pinned; 0 where there is none. */
  readonly from: number
  readonly version: number
  /** How often a thread of this name was deleted before; `ifGeneration` of a write that depends on this read. */
  readonly generation: number
  readonly source: Source
  /** Read in an outage: what others appended may be missing. */
  readonly stale: boolean
  /** `false` when this process knows only a part of what the window would hold, in an outage. */
  readonly complete: boolean
}

export type PageOptions = {
  /** At most; a page ends before it when it holds a megabyte, and `next` says where to go on. @default 50, at most 500 */
  readonly limit?: number | undefined
} & (
  | {
      /** Messages behind this seq, in order. @default 0 */ readonly after?: number | undefined
      readonly before?: undefined
    }
  | { /** Messages before this seq, the newest first. */ readonly before: number; readonly after?: undefined }
)

export interface Page {
  readonly entries: readonly Entry[]
  /** What `after` or `before` must be for the next page; `undefined` at the end. */
  readonly next: number | undefined
  readonly count: number
  readonly version: number
  /** How often a thread of this name was deleted before; `ifGeneration` of a write that depends on this read. */
  readonly generation: number
  readonly stale: boolean
  readonly complete: boolean
}

export interface SpliceOptions {
  /** Ids of the newest messages, in order, that are to be replaced: the thread must end with them. */
  readonly replace: readonly string[]
  readonly messages: readonly Message[]
  /** Names this operation, so that its retry is none. @default a random one */
  readonly operation?: string | undefined
  /** Tells two operations of one name apart, where the ids to replace do not. @default made of all ids and contents */
  readonly fingerprint?: string | undefined
}

export interface PutOptions {
  /**
   * Takes messages away that are not given, and gives the thread the order of the list: those between two seqs.
   * `from` 0 begins at the first given message that is there, so that nothing goes that lies before what the
   * caller has. @default none goes
   */
  readonly removes?: { readonly from: number; readonly upTo: number } | undefined
  /** As for an append. @default that of now */
  readonly ifGeneration?: number | undefined
}

export interface PutReceipt {
  /** `deleted`: the thread was deleted since `ifGeneration`, and stays so. */
  readonly status: 'stored' | 'journaled' | 'deleted'
  readonly ids: readonly string[]
  /** Places of the messages, in their order; none while journaled. */
  readonly seqs: readonly number[]
  /** Messages that went. */
  readonly removed: number
  readonly version: number
  readonly generation: number
  readonly source: Source
}

export interface StateEntry<T = unknown> {
  readonly value: T
  /** Of the value; rises with each write of it. */
  readonly version: number
}

export interface StateReceipt extends ChangeReceipt {
  /** Of the value, for a later condition; 0 while journaled. */
  readonly valueVersion: number
}

/** Values that belong to a thread and live and die with it: a plan, counters, a title. At most 256 keys. */
export interface ThreadState {
  /** One round trip. @throws ThreadUnknownError in an outage, unless it was written here since */
  get<T = unknown>(key: string): Promise<StateEntry<T> | undefined>
  entries(): Promise<ReadonlyMap<string, StateEntry>>
  /** @throws VersionConflictError when `ifVersion` is not the value's (0: there is none) */
  set(
    key: string,
    value: unknown,
    options?: { readonly ifVersion?: number | undefined },
  ): Promise<StateReceipt>
  /**
   * Reads, changes and writes. Updates of one value in this process wait for each other; what another process writes in
   * between is met by another try, at most fifty times. @throws VersionConflictError then
   */
  update<T>(key: string, change: (value: T | undefined) => T | Promise<T>): Promise<StateEntry<T>>
  /** Adds to a number, 0 where there is none; `value` is `undefined` while journaled. */
  increment(key: string, by?: number): Promise<StateReceipt & { readonly value: number | undefined }>
  delete(key: string, options?: { readonly ifVersion?: number | undefined }): Promise<ChangeReceipt>
}

export interface DraftsOptions {
  /** Leaves out those whose writer gave no sign of life for this time. @default none is left out */
  readonly idle?: Duration | undefined
}

export interface LeaseOptions {
  /** @default '30s' */
  readonly ttl?: Duration | undefined
}

export interface Thread {
  readonly owner: string
  readonly id: string
  readonly state: ThreadState
  /**
   * Appends messages at the thread's end, in one step: all, or none. One id has one place, however often it
   * is appended. One round trip; appends of one thread that come together share it.
   * @throws MessageConflictError, MessageTooLargeError, LimitReachedError, VersionConflictError, FencedError, ThreadDeletedError,
   * OperationConflictError, JournalFullError, InvalidInputError; nothing is stored then
   */
  append<M extends MessageLike>(messages: M | readonly M[], conditions?: AppendConditions): Promise<Receipt>
  /**
   * Has the thread hold messages as they are given: new ones are appended, changed ones edited where they are, and
   * what was removed comes back. One step, one round trip; in an outage it is journaled. At most 5,000 messages.
   * @throws MessageTooLargeError, LimitReachedError, JournalFullError, InvalidInputError; nothing is stored then
   */
  put<M extends MessageLike>(messages: M | readonly M[], options?: PutOptions): Promise<PutReceipt>
  /**
   * The newest messages as a valid prompt. One round trip, which brings only what is new since the last one;
   * its cost does not grow with the thread. @throws ThreadUnknownError in an outage
   */
  window(options?: WindowOptions): Promise<Window>
  /** Messages by place. One round trip. */
  page(options?: PageOptions): Promise<Page>
  /** One message by its id. One round trip. */
  get(id: string): Promise<Entry | undefined>
  /**
   * Gives a message another content; its tool calls and results must stay the same. With a function it is
   * read first, and again when another edit came between. Not possible in an outage.
   * @throws MessageMissingError, VersionConflictError when `revision` is not the message's
   */
  edit(
    id: string,
    change: Omit<Message, 'id'> | ((message: StoredMessage) => Omit<Message, 'id'>),
    options?: { readonly revision?: number | undefined },
  ): Promise<{ readonly revision: number; readonly version: number }>
  /**
   * Takes a message away; says whether it was there, as far as is known. Its id stays taken, so that no late
   * write brings it back. In an outage it is journaled. One round trip.
   */
  remove(id: string): Promise<boolean>
  /** Has every window hold a message that makes and answers no tool calls; at most 16. @throws MessageMissingError */
  pin(id: string): Promise<void>
  unpin(id: string): Promise<void>
  /**
   * Replaces the newest messages by others in one step, at new places behind them.
   * @throws VersionConflictError when the thread does not end with `replace`
   */
  splice(
    options: SpliceOptions,
  ): Promise<{ readonly ids: readonly string[]; readonly seqs: readonly number[]; readonly version: number }>
  /**
   * A copy under another name of the same owner, up to a place, with state and summary, in one step.
   * @throws ThreadExistsError, ThreadMissingError
   */
  fork(options?: { readonly id?: string | undefined; readonly upTo?: number | undefined }): Promise<Thread>
  /**
   * Has a summary stand for the beginning of the thread, from the next window on; appends go on meanwhile.
   * The messages stay where they are. Not possible in an outage.
   */
  compact(options: CompactOptions): Promise<Compaction>
  /**
   * Begins an answer that readers can follow while it is made, in any process, and take up again after a break.
   * @param options.id names it for its readers; a random one by default
   */
  draft(options?: { readonly id?: string | undefined }): Draft
  /** Drafts that have not ended, in the order in which they began. */
  drafts(options?: DraftsOptions): Promise<readonly string[]>
  /** Pieces of a draft from the beginning, or behind one that was seen, as they come, until it ends. */
  follow(draft: string, options?: FollowOptions): AsyncIterableIterator<Piece>
  /**
   * Appends what there is of a draft whose writer is gone, once, whoever does it first; `undefined` while the
   * writer lives, or when there is no such draft.
   */
  recover(draft: string, options?: RecoverOptions): Promise<Message | undefined>
  /**
   * What happens to the thread from now on, or behind a seq. It comes within about a second; at once where
   * writers have `feed: true`.
   */
  subscribe(options?: SubscribeOptions): AsyncIterableIterator<ThreadEvent>
  /** The right to answer, for hosts that want one run of an agent at a time; `undefined` while another has it. */
  lease(options?: LeaseOptions): Promise<Lease | undefined>
  /** Removes the thread, all of it; says whether there was one, as far as is known. In an outage it is journaled. One round trip. */
  delete(): Promise<boolean>
}
