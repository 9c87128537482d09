import type { PreparedMessage } from '../messages/prepare.js'
import type { MessageRecord, Summary } from '../messages/record.js'
import type { Change, Changed } from './change.js'
import type { Limit, Limits } from './limits.js'
import type { ThreadId, ThreadVersion } from './thread-id.js'

export interface WriteOptions {
  readonly ttlMs: number
  /**
   * For a write that was accepted earlier: the generation that was known then, so that the write does not bring back a
   * thread that was deleted since.
   */
  readonly generation?: number | undefined
}

export interface ChangeOptions extends WriteOptions {
  /** Limits for what a change adds. @default no limit */
  readonly limits?: Limits | undefined
}

export interface AppendOptions extends WriteOptions {
  /** The version that the thread must have, unless it contains all messages already. */
  readonly version?: number | undefined
  /** Fence of a lease: if a higher one was given, nothing is appended. */
  readonly fence?: number | undefined
  /** Names this operation; `digest` says what it does, and another operation of the same name is refused. */
  readonly token?: string | undefined
  readonly digest?: string | undefined
  readonly limits?: Limits | undefined
}

export type AppendResult =
  /** `duplicate`: the thread contained every message already. Seqs are in the order of the messages. */
  | ({
      readonly status: 'stored' | 'duplicate'
      readonly seqs: readonly number[]
      /** The thread's newest seq before: what is above it is new. */
      readonly before: number
    } & ThreadVersion)
  /** The id is taken by another body; nothing was stored. */
  | { readonly status: 'conflict'; readonly id: string }
  /** The thread has another version; nothing was stored. */
  | { readonly status: 'changed'; readonly version: number; readonly newest: number }
  | { readonly status: 'fenced' }
  | { readonly status: 'full'; readonly limit: Limit }
  | { readonly status: 'reused' }
  /** The thread was deleted since; nothing was stored. */
  | { readonly status: 'deleted'; readonly generation: number }

export interface DeleteOptions {
  /** Names this deletion, so that repeating it deletes nothing that came after it. */
  readonly token: string
  /** As for {@link AppendOptions}: if the thread was deleted by others since, nothing is deleted. */
  readonly generation?: number | undefined
}

export interface DeleteResult {
  /** Whether this deletion removed a thread; a repeated deletion returns the same. */
  readonly existed: boolean
  readonly generation: number
}

export interface TailRequest {
  readonly maxMessages: number
  readonly maxTokens: number
  /** @default no bound */
  readonly maxTurns?: number | undefined
}

/** The state of a thread that a reader has already. */
export interface Since {
  readonly epoch: string
  readonly version: number
  readonly newest: number
}

export interface Tail extends ThreadVersion {
  /** `newer`: the records are those after the reader's newest, and everything else is as the reader has it. */
  readonly kind: 'tail' | 'newer'
  /** The newest records in order, within all bounds; none that a summary covers. */
  readonly records: readonly MessageRecord[]
  /** Every record from this seq on that no summary covers is among `records`. */
  readonly from: number
  /** The messages that every window contains: the thread's first system message, and pinned ones. */
  readonly pinned: readonly MessageRecord[]
  readonly summary: Summary | undefined
  /**
   * Tokens of the message before `records` that did not fit, if it makes or answers tool calls: windows may leave it
   * out, so that other messages fit in its place. 0 otherwise.
   */
  readonly cut: number
  /** The newest message of a user that answers no tool call, if it is not among `records`. */
  readonly asked: MessageRecord | undefined
  /** Messages in the thread. */
  readonly count: number
  /** Seq of the newest message that was ever appended. */
  readonly newest: number
}

export type TailAnswer = Tail | { readonly kind: 'same'; readonly generation: number }

export type PageRequest =
  | { readonly ids: readonly string[] }
  /** Records above a seq, in order. */
  | { readonly after: number; readonly limit: number }
  /** Records below a seq, the newest first. */
  | { readonly before: number; readonly limit: number }

export interface Page extends ThreadVersion {
  readonly records: readonly MessageRecord[]
  readonly count: number
  readonly newest: number
  /** `after` or `before` of the next page; `undefined` at the end. */
  readonly next: number | undefined
}

export type ForkResult =
  | ({ readonly status: 'done' } & ThreadVersion)
  /** There is no such thread. */
  | { readonly status: 'missing' }
  /** There is a thread of the copy's name. */
  | { readonly status: 'exists' }
  | { readonly status: 'reused' }

export interface StateValue {
  readonly version: number
  /** As JSON. */
  readonly value: string
}

export interface ListRequest {
  readonly limit: number
  /** The cursor of the previous page. */
  readonly cursor?: string | undefined
  /**
   * `walk`: all pages are read, one after the other, and the list is kept for an hour after each of them.
   * `page`: it is kept for ten minutes, and only the latest eight such lists of an owner. @default 'page'
   */
  readonly purpose?: 'page' | 'walk' | undefined
}

export interface ThreadListPage {
  readonly threads: readonly ThreadListing[]
  /** For the next page; `undefined` at the end. */
  readonly cursor: string | undefined
}

export interface ThreadListing {
  readonly thread: string
  /** When it last changed, ms since 1970. */
  readonly at: number
}

export interface LeaseRequest {
  /** `run` guards appends by its fence; `compaction` prevents two compactions at the same time. */
  readonly name: 'run' | 'compaction'
  readonly action: 'take' | 'renew' | 'release'
  readonly token: string
  readonly ms: number
}

export type LeaseResult =
  | { readonly status: 'held'; readonly fence: number }
  /** Another holds it, for this long. */
  | { readonly status: 'taken'; readonly ms: number }

export interface Erased {
  readonly threads: number
  readonly messages: number
  /** Of the messages, as JSON. */
  readonly bytes: number
}

/** A thread with everything that a backup contains of it. */
export interface ThreadDump {
  /** Milliseconds until the thread's end. */
  readonly ttlMs: number
  readonly createdAt: number
  readonly changedAt: number
  readonly version: number
  readonly newest: number
  /** Tokens and turns of all messages that were ever appended. */
  readonly tokensEver: number
  readonly turns: number
  readonly pinned: readonly number[]
  /** The current summary, and the one before. */
  readonly summaries: readonly Summary[]
  readonly state: ReadonlyMap<string, StateValue>
  readonly records: readonly MessageRecord[]
}

/**
 * Stores threads. Every operation may be repeated, and takes one round trip unless it says otherwise. `testThreadStore`
 * of `@evenkeel/agent-memory/testing` proves an implementation.
 */
export interface ThreadStore {
  /**
   * Appends the messages in their order, at the next gapless seqs, in one atomic step. A message whose id exists with
   * the same body keeps its place; if one exists with another body, nothing is appended. Slides the thread's TTL.
   */
  append(id: ThreadId, messages: readonly PreparedMessage[], options: AppendOptions): Promise<AppendResult>
  /** Reads the newest records; the cost depends on what is read, not on the thread's length. */
  tail(id: ThreadId, request: TailRequest): Promise<Tail>
  /** Reads what is new to a reader or, if that is not known, everything that `tail` returns. */
  tailSince(id: ThreadId, request: TailRequest, since: Since): Promise<TailAnswer>
  /** Records by seq or id. */
  page(id: ThreadId, request: PageRequest): Promise<Page>
  change(id: ThreadId, change: Change, options: ChangeOptions): Promise<Changed>
  /** Values of the thread's state; without `keys`, all of them. */
  state(id: ThreadId, keys?: readonly string[]): Promise<ReadonlyMap<string, StateValue>>
  lease(id: ThreadId, request: LeaseRequest, options: WriteOptions): Promise<LeaseResult>
  /** Copies a thread of an owner up to a seq, in one atomic step, with its state and summary. */
  fork(
    id: ThreadId,
    to: string,
    options: WriteOptions & { readonly token: string; readonly upTo?: number | undefined },
  ): Promise<ForkResult>
  /** Removes the whole thread, and remembers the deletion for a week. */
  delete(id: ThreadId, options: DeleteOptions): Promise<DeleteResult>
  /**
   * Lists an owner's threads, the last changed first. The pages of a list show one moment: writes meanwhile neither
   * hide nor repeat a thread. @throws InvalidInputError for a cursor of a list that is no longer kept
   */
  threads(owner: string, request: ListRequest): Promise<ThreadListPage>
  /** Drops a list that is not read to its end. */
  endList(owner: string, cursor: string): Promise<void>
  /** Owners that have threads. By SCAN: for operators, not for requests. */
  owners(): AsyncIterable<string>
  /**
   * Removes everything that an owner has; nobody sees it from the first of several round trips on. No write from before
   * brings any of it back, and what is written meanwhile stays.
   */
  erase(owner: string): Promise<Erased>
  /** Counts what is left of an owner from before its latest erasure: threads, drafts and recalled items. */
  remains(owner: string): Promise<number>
  /** The whole thread, as it was at one moment; a round trip for each 500 messages. */
  dump(id: ThreadId): Promise<ThreadDump | undefined>
  /** Stores a thread of a dump; returns `false` if there is one. Several round trips, of which the last is atomic. */
  restore(id: ThreadId, dump: ThreadDump): Promise<boolean>
}
