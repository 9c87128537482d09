import type { Deferred } from '@evenkeel/core/kit'
import type { StoredOutcome } from '../backends/port.js'
import type { PreparedMessage } from '../messages/prepare.js'
import { bytesOf } from '../replica/thread-image.js'
import type { Change, Changed } from '../stores/change.js'
import type { DeleteResult } from '../stores/port.js'
import type { ThreadId } from '../stores/thread-id.js'
import { quietDeferred } from './deferred.js'

/** A write with everything that is needed to repeat it. */
export type Write = {
  /** The known generation of the thread; `undefined` if it was not known. */
  readonly generation: number | undefined
} & (
  | {
      readonly kind: 'append'
      readonly batch: readonly PreparedMessage[]
      readonly token?: string | undefined
      readonly digest?: string | undefined
    }
  | { readonly kind: 'delete'; readonly token: string }
  | { readonly kind: 'change'; readonly change: Change }
)

/** A write that waits for Redis. */
export type JournalEntry = {
  /** Number in the journal's file; 0 without a file. */
  number: number
  /** Taken over from a process that is gone: it is sent before all writes of this process. */
  isInherited: boolean
  readonly messages: number
  readonly bytes: number
} & (
  | (Extract<Write, { kind: 'append' }> & { readonly outcome: Deferred<StoredOutcome> })
  | (Extract<Write, { kind: 'delete' }> & { readonly outcome: Deferred<DeleteResult> })
  | (Extract<Write, { kind: 'change' }> & { readonly outcome: Deferred<Changed> })
)

export type AppendEntry = Extract<JournalEntry, { kind: 'append' }>

/** A write and the thread that it is for. */
export interface ThreadWrite {
  readonly id: ThreadId
  readonly write: Write
}

export function entryOf(write: Write): JournalEntry {
  const waiting = { ...sizeOf(write), number: 0, isInherited: false }
  switch (write.kind) {
    case 'append':
      return { ...write, ...waiting, outcome: quietDeferred<StoredOutcome>() }
    case 'delete':
      return { ...write, ...waiting, outcome: quietDeferred<DeleteResult>() }
    case 'change':
      return { ...write, ...waiting, outcome: quietDeferred<Changed>() }
  }
}

export function sizeOf(write: Write): { messages: number; bytes: number } {
  // Writes without messages take room too.
  if (write.kind === 'delete') return { messages: 1, bytes: 250 }
  if (write.kind === 'change') return { messages: 1, bytes: 250 + 2 * JSON.stringify(write.change).length }
  return {
    messages: write.batch.length,
    bytes: write.batch.reduce((sum, message) => sum + bytesOf(message), 0),
  }
}
