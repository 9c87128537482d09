import type { Source } from '@evenkeel/core'
import type { Message, StoredMessage } from './message.js'

export interface StoredReceipt {
  /**
   * `duplicate`: all was there already; so it is too when an append was journaled because its answer was
   * lost. `deleted`: the thread was deleted after the append was journaled, and stays so.
   */
  readonly status: 'stored' | 'duplicate' | 'deleted'
  readonly ids: readonly string[]
  readonly seqs: readonly number[]
  readonly version: number
}

export interface Receipt {
  /** `stored`: in the store. `journaled`: taken here in an outage, stored on return. `duplicate`: all was there. */
  readonly status: 'stored' | 'journaled' | 'duplicate'
  readonly ids: readonly string[]
  /** Places in the thread, from 1, without gaps; none while journaled. */
  readonly seqs: readonly number[]
  /** Of the thread; rises with each change. While journaled the last one that is known, or 0. */
  readonly version: number
  readonly source: Source
  /**
   * Resolves when the messages are in the store. Rejects with MessageConflictError when another writer took
   * one of the ids during an outage (the other messages are stored), with UnavailableError when the memory
   * was closed before. It need not be looked at.
   */
  readonly stored: Promise<StoredReceipt>
}

export interface WindowOptions {
  /** @default 100, at most 1,000 */
  readonly maxMessages?: number | undefined
  /** The system message included. @default no bound */
  readonly maxTokens?: number | undefined
}

export interface Window {
  /** The system message, if there is one, and the newest messages that fit, in order. */
  readonly messages: readonly StoredMessage[]
  readonly tokens: number
  /** Messages in the whole thread. */
  readonly count: number
  readonly version: number
  readonly source: Source
  /** Read in an outage: what others appended may be missing. */
  readonly stale: boolean
  /** `false` when this process knows only a part of the thread, in an outage. */
  readonly complete: boolean
}

export interface Thread {
  /**
   * Appends messages at the thread's end, in one step: all, or none. One id has one place, however often it
   * is appended. One round trip.
   * @throws MessageConflictError, MessageTooLargeError, JournalFullError, InvalidInputError; nothing is stored then
   */
  append(messages: Message | readonly Message[]): Promise<Receipt>
  /** The newest messages as a valid prompt. One round trip; its cost does not grow with the thread. @throws ThreadUnknownError in an outage */
  window(options?: WindowOptions): Promise<Window>
  /** Removes the thread, all of it; says whether there was one, as far as is known. In an outage it is journaled. One round trip. */
  delete(): Promise<boolean>
}
