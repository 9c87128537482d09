import type { Source } from '@evenkeel/core'
import type { StoredMessage } from '../messages/message.js'

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
  /** How often a thread of this name was deleted before, as far as is known; for `ifGeneration` of a later write. */
  readonly generation: number | undefined
  readonly source: Source
  /**
   * Resolves when the messages are in the store. Rejects with MessageConflictError when another writer took
   * one of the ids during an outage (the other messages are stored), with LimitReachedError when the thread
   * is full by then, with UnavailableError when the memory was closed before. It need not be looked at.
   */
  readonly stored: Promise<StoredReceipt>
}

/** A message with what the thread knows of it. */
export interface Entry {
  readonly seq: number
  /** When it was appended, ms since 1970 by the store's clock. */
  readonly at: number
  /** How often it was edited. */
  readonly revision: number
  readonly tokens: number
  readonly message: StoredMessage
}

export interface ChangeReceipt {
  readonly status: 'stored' | 'journaled'
  readonly version: number
  readonly source: Source
}

/** The right to act on a thread, until its time is over or it is given back. */
export interface Lease {
  /** Rises from holder to holder; an append with a lower one than the newest is refused. */
  readonly fence: number
  /** Says whether it is still held. One round trip. */
  renew(): Promise<boolean>
  release(): Promise<void>
}
