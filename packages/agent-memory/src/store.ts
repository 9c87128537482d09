import type { PreparedMessage } from './message.js'

export interface ThreadId {
  readonly owner: string
  readonly thread: string
}

/** A message in its place. */
export interface Record {
  /** From 1, without gaps. */
  readonly seq: number
  readonly id: string
  readonly role: string
  readonly tokens: number
  /** The seqs of the messages whose tool calls this one answers; empty for most messages. */
  readonly ties: readonly number[]
  /** Tool calls that it makes. */
  readonly calls: number
  /** Open tool calls that it answers. */
  readonly results: number
  /** Results in it for calls that were not open: unknown, or answered before. */
  readonly strays: number
  /** The message without its id, as JSON. */
  readonly body: string
}

/** Where a thread stands. */
export interface Standing {
  /** Made with the thread; another one means another thread under the same name. Empty where there is none. */
  readonly epoch: string
  /** How often a thread of this name was deleted; remembered for a day after the last time. */
  readonly generation: number
  /** Rises with each change. */
  readonly version: number
}

export interface AppendOptions {
  readonly ttlMs: number
  /**
   * For what was accepted earlier: the generation that was known then. A thread that was deleted since is
   * not brought back.
   */
  readonly generation?: number | undefined
}

export type AppendResult =
  /** `duplicate`: every message was there already. Seqs are in the order of the messages. */
  | ({ readonly status: 'stored' | 'duplicate'; readonly seqs: readonly number[] } & Standing)
  /** The id is taken by another body; nothing was stored. */
  | { readonly status: 'conflict'; readonly id: string }
  /** The thread was deleted since; nothing was stored. */
  | { readonly status: 'deleted'; readonly generation: number }

export interface DeleteOptions {
  /** Names this deletion, so that repeating it deletes nothing that came after it. */
  readonly token: string
  /** As for {@link AppendOptions}: a deletion that others overtook does nothing. */
  readonly generation?: number | undefined
}

export interface DeleteResult {
  /** Whether this deletion removed messages; a repeated one says what the first said. */
  readonly existed: boolean
  readonly generation: number
}

export interface TailRequest {
  readonly maxMessages: number
  readonly maxTokens: number
}

export interface Tail extends Standing {
  /** The newest records in order, within both bounds. */
  readonly records: readonly Record[]
  /** What every window holds: the thread's first system message, wherever it is. */
  readonly pinned: readonly Record[]
  /** Messages in the thread, and the seq of the newest. */
  readonly count: number
}

/**
 * Where threads live. Every operation may be repeated. `testThreadStore` of
 * `@evenkeel/agent-memory/testing` proves an implementation.
 */
export interface ThreadStore {
  /**
   * Appends the messages in their order, at the next gapless seqs, in one atomic step. A message whose id
   * is there with the same body keeps its place; with another body nothing at all is appended. Slides the
   * thread's TTL. One round trip.
   */
  append(id: ThreadId, messages: readonly PreparedMessage[], options: AppendOptions): Promise<AppendResult>
  /** The newest records; cost by what is read, not by the thread. One round trip. */
  tail(id: ThreadId, request: TailRequest): Promise<Tail>
  /** Removes the thread, all of it, and remembers for a day that it did. One round trip. */
  delete(id: ThreadId, options: DeleteOptions): Promise<DeleteResult>
}

/** A text that no two threads share. */
export function textOf({ owner, thread }: ThreadId): string {
  return `${owner.length}:${owner}${thread}`
}

/** How long a deletion is remembered: longer than a write can be under way. */
export const tombstoneMs = 86_400_000
