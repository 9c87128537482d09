import type { PreparedMessage } from './message.js'

export interface ThreadId {
  readonly owner: string
  readonly thread: string
}

export type AppendResult =
  | {
      /** `duplicate`: every message was there already. `journaled`: taken here, not yet in Redis. */
      readonly status: 'stored' | 'duplicate' | 'journaled'
      /** In the order of the messages; provisional while journaled. */
      readonly seqs: readonly number[]
      /** Of the thread; rises with each change. */
      readonly version: number
    }
  | { readonly status: 'conflict'; readonly id: string }

/** A message in its place. */
export interface Record {
  readonly seq: number
  readonly id: string
  readonly role: string
  readonly tokens: number
  /** The seq of the message that made the tool call which this one answers; its own seq otherwise. */
  readonly group: number
  readonly body: string
}

export interface TailRequest {
  readonly maxMessages: number
  readonly maxTokens: number
}

export interface Tail {
  /** The newest records in order, within both bounds; gapless. */
  readonly records: readonly Record[]
  /** The thread's first system message, wherever it is. */
  readonly system: Record | undefined
  /** Messages in the thread. */
  readonly count: number
  readonly version: number
  /** Whether it may lack what others appended: read from memory in an outage. */
  readonly stale: boolean
  /** Whether the whole thread was known to the store; `false` when only a part was seen here. */
  readonly complete: boolean
}

/**
 * Where threads live. `testThreadStore` of `@evenkeel/agent-memory/testing` proves an implementation.
 */
export interface ThreadStore {
  /**
   * Appends the messages in their order, at the next gapless seqs, in one atomic step. A message whose id
   * is there with the same body keeps its place; with another body nothing at all is appended. Slides the
   * thread's TTL. May be repeated. One round trip.
   */
  append(id: ThreadId, messages: readonly PreparedMessage[], ttlMs: number): Promise<AppendResult>
  /** The newest records; cost by what is read, not by the thread. One round trip. */
  tail(id: ThreadId, request: TailRequest): Promise<Tail>
  /** Removes the thread, all of it. Says whether it was there. One round trip. */
  delete(id: ThreadId): Promise<boolean>
}
