import type { PreparedMessage } from '../messages/prepare.js'
import type { MessageRecord, Summary } from '../messages/record.js'
import type { Change, Changed } from './change.js'
import type { Limit, Limits } from './limits.js'
import type { ThreadId, ThreadVersion } from './thread-id.js'

export interface WriteOptions {
  readonly ttlMs: number
  /**
   * For what was accepted earlier: the generation that was known then. A thread that was deleted since is
   * not brought back.
   */
  readonly generation?: number | undefined
}

export interface ChangeOptions extends WriteOptions {
  /** Of what a change adds. @default no limit */
  readonly limits?: Limits | undefined
}

export interface AppendOptions extends WriteOptions {
  /** The version that the thread must have, unless all messages are there already. */
  readonly version?: number | undefined
  /** Of a lease: with a lower one than the highest that was given, nothing is appended. */
  readonly fence?: number | undefined
  /** Names this operation, and `digest` what it does: another under the same name is refused. */
  readonly token?: string | undefined
  readonly digest?: string | undefined
  readonly limits?: Limits | undefined
}

export type AppendResult =
  /** `duplicate`: every message was there already. Seqs are in the order of the messages. */
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
  /** As for {@link AppendOptions}: a deletion that others overtook does nothing. */
  readonly generation?: number | undefined
}

export interface DeleteResult {
  /** Whether this deletion removed a thread; a repeated one says what the first said. */
  readonly existed: boolean
  readonly generation: number
}

export interface TailRequest {
  readonly maxMessages: number
  readonly maxTokens: number
  /** @default no bound */
  readonly maxTurns?: number | undefined
}

/** What a reader has of a thread already. */
export interface Since {
  readonly epoch: string
  readonly version: number
  readonly newest: number
}

export interface Tail extends ThreadVersion {
  /** `newer`: records are those behind the reader's newest, and all else is as the reader has it. */
  readonly kind: 'tail' | 'newer'
  /** The newest records in order, within all bounds; none that a summary covers. */
  readonly records: readonly MessageRecord[]
  /** Every record from this seq on, that no summary covers, is among `records`. */
  readonly from: number
  /** What every window holds: the thread's first system message, and what was pinned. */
  readonly pinned: readonly MessageRecord[]
  readonly summary: Summary | undefined
  /**
   * Tokens of the message before `records` that did not fit, if it makes or answers tool calls: it may be one that windows
   * leave out, so that others fit in its place. 0 otherwise.
   */
  readonly cut: number
  /** The newest message of a user that answers no tool call, where it is not among `records`. */
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
  /** Whether there is more in this direction; what `after` or `before` must be to go on. */
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
  /** Of the page before. */
  readonly cursor?: string | undefined
  /**
   * `walk`: all pages are asked for, one after the other, and the list is kept for an hour behind each of them.
   * `page`: for some minutes, and of an owner only the latest few such lists. @default 'page'
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
  /** `run` guards appends by its fence; `compaction` keeps two from doing the same work. */
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

/** A thread with all that a backup keeps of it. */
export interface ThreadDump {
  /** Until its end. */
  readonly ttlMs: number
  readonly createdAt: number
  readonly changedAt: number
  readonly version: number
  readonly newest: number
  /** Tokens of all that was ever appended, and turns of it. */
  readonly tokensEver: number
  readonly turns: number
  readonly pinned: readonly number[]
  /** The current summary, and the one before. */
  readonly summaries: readonly Summary[]
  readonly state: ReadonlyMap<string, StateValue>
  readonly records: readonly MessageRecord[]
}

/**
 * Where threads live. Every operation may be repeated, and takes one round trip. `testThreadStore` of
 * `@evenkeel/agent-memory/testing` proves an implementation.
 */
export interface ThreadStore {
  /**
   * Appends the messages in their order, at the next gapless seqs, in one atomic step. A message whose id
   * is there with the same body keeps its place; with another body nothing at all is appended. Slides the
   * thread's TTL.
   */
  append(id: ThreadId, messages: readonly PreparedMessage[], options: AppendOptions): Promise<AppendResult>
  /** The newest records; cost by what is read, not by the thread. */
  tail(id: ThreadId, request: TailRequest): Promise<Tail>
  /** What is new to a reader; or, where that can't be told, all that `tail` gives. */
  tailSince(id: ThreadId, request: TailRequest, since: Since): Promise<TailAnswer>
  /** Records by place or id. */
  page(id: ThreadId, request: PageRequest): Promise<Page>
  change(id: ThreadId, change: Change, options: ChangeOptions): Promise<Changed>
  /** Values of the thread's state; all of them without keys. */
  state(id: ThreadId, keys?: readonly string[]): Promise<ReadonlyMap<string, StateValue>>
  lease(id: ThreadId, request: LeaseRequest, options: WriteOptions): Promise<LeaseResult>
  /** Copies a thread of an owner up to a seq, in one atomic step, with its state and summary. */
  fork(
    id: ThreadId,
    to: string,
    options: WriteOptions & { readonly token: string; readonly upTo?: number | undefined },
  ): Promise<ForkResult>
  /** Removes the thread, all of it, and remembers for a week that it did. */
  delete(id: ThreadId, options: DeleteOptions): Promise<DeleteResult>
  /**
   * An owner's threads, the last changed first. The pages of one list are those of one moment: what is written
   * meanwhile hides and repeats nothing. @throws InvalidInputError for a cursor of a list that is kept no more
   */
  threads(owner: string, request: ListRequest): Promise<ThreadListPage>
  /** Lets go of a list that is not read to its end. */
  endList(owner: string, cursor: string): Promise<void>
  /** Owners that have threads. By SCAN: for operators, not for requests. */
  owners(): AsyncIterable<string>
  /**
   * Removes all that an owner has, from the first of some round trips on; no write from before brings any of it
   * back, and what is written meanwhile stays.
   */
  erase(owner: string): Promise<Erased>
  /** How much is left of an owner from before its latest erasure: threads, drafts and what can be recalled. */
  remains(owner: string): Promise<number>
  /** All of a thread, as it is at one moment; a round trip for 500 messages. */
  dump(id: ThreadId): Promise<ThreadDump | undefined>
  /** Puts a thread of a dump where there is none; false where there is one. Some round trips, the last one all or nothing. */
  restore(id: ThreadId, dump: ThreadDump): Promise<boolean>
}
