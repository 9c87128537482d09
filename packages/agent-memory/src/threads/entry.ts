import type { Source } from '@evenkeel/core'
import type { StoredMessage } from '../messages/message.js'

export interface StoredReceipt {
  /**
   * `duplicate`: all messages were stored before, which is also the case if an append was journaled because its reply
   * was lost. `deleted`: the thread was deleted after the append was journaled, and stays deleted.
   */
  readonly status: 'stored' | 'duplicate' | 'deleted'
  readonly ids: readonly string[]
  readonly seqs: readonly number[]
  readonly version: number
}

export interface Receipt {
  /** `journaled`: kept in this process in an outage, and stored afterwards. `duplicate`: all messages were there. */
  readonly status: 'stored' | 'journaled' | 'duplicate'
  readonly ids: readonly string[]
  /** Positions in the thread, from 1, without gaps; empty while journaled. */
  readonly seqs: readonly number[]
  /** Version of the thread; rises with each change. While journaled, the last known version, or 0. */
  readonly version: number
  /** How often a thread of this name was deleted before, as far as known; for `ifGeneration` of a later write. */
  readonly generation: number | undefined
  readonly source: Source
  /**
   * Resolves when the messages are in the store. Rejects with MessageConflictError if another writer took an id
   * during an outage (the other messages are stored), with LimitReachedError if the thread was full by then, and with
   * UnavailableError if the memory was closed first. It may be ignored: it causes no unhandled rejection.
   */
  readonly stored: Promise<StoredReceipt>
}

/** A message with its position, time, revision and tokens. */
export interface Entry {
  readonly seq: number
  /** When the message was appended, in ms since 1970 by the store's clock. */
  readonly at: number
  /** How often the message was edited. */
  readonly revision: number
  readonly tokens: number
  readonly message: StoredMessage
}

export interface ChangeReceipt {
  readonly status: 'stored' | 'journaled'
  readonly version: number
  readonly source: Source
}

/** The right to act on a thread, until it expires or is released. */
export interface Lease {
  /** Rises from holder to holder. Appends with a lower fence than the newest are refused. */
  readonly fence: number
  /** Prolongs the lease. Returns whether it is still held. One round trip. */
  renew(): Promise<boolean>
  release(): Promise<void>
}
