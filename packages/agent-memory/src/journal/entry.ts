import type { Settled } from '../backends/online.js'
import type { PreparedMessage } from '../messages/message.js'
import { bytesOf } from '../replica/thread-image.js'
import type { Change, Changed } from '../stores/change.js'
import type { DeleteResult, ThreadId } from '../stores/port.js'
import { Outcome } from './outcome.js'

/** What a write does; enough to do it again. */
export type Write = {
  /** The generation of the thread that was known; `undefined` when nothing was. */
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
  /** In the journal's file; 0 without one. */
  number: number
  /** Taken over from a process that is gone: it comes before all that this one writes. */
  isOwed: boolean
  readonly messages: number
  readonly bytes: number
} & (
  | (Extract<Write, { kind: 'append' }> & { readonly outcome: Outcome<Settled> })
  | (Extract<Write, { kind: 'delete' }> & { readonly outcome: Outcome<DeleteResult> })
  | (Extract<Write, { kind: 'change' }> & { readonly outcome: Outcome<Changed> })
)

export type AppendEntry = Extract<JournalEntry, { kind: 'append' }>

/** A write and the thread that it is for. */
export interface Addressed {
  readonly id: ThreadId
  readonly write: Write
}

export function entryOf(write: Write): JournalEntry {
  const waiting = { ...sizeOf(write), number: 0, isOwed: false }
  switch (write.kind) {
    case 'append':
      return { ...write, ...waiting, outcome: new Outcome<Settled>() }
    case 'delete':
      return { ...write, ...waiting, outcome: new Outcome<DeleteResult>() }
    case 'change':
      return { ...write, ...waiting, outcome: new Outcome<Changed>() }
  }
}

export function sizeOf(write: Write): { messages: number; bytes: number } {
  // What is no message takes room too.
  if (write.kind === 'delete') return { messages: 1, bytes: 250 }
  if (write.kind === 'change') return { messages: 1, bytes: 250 + 2 * JSON.stringify(write.change).length }
  return {
    messages: write.batch.length,
    bytes: write.batch.reduce((sum, message) => sum + bytesOf(message), 0),
  }
}
