import type { PreparedMessage } from '../messages/prepare.js'
import type { AppendResult, WriteOptions } from '../stores/port.js'
import type { ThreadId } from '../stores/thread-id.js'

export interface DraftId extends ThreadId {
  readonly draft: string
}

export interface Piece {
  /** Number of the piece, from 1, without gaps. */
  readonly number: number
  readonly text: string
  /** Characters left out before this text because too much waited for Redis; nearly always 0. */
  readonly omitted: number
}

export interface DraftReading {
  readonly pieces: readonly Piece[]
  readonly isEnded: boolean
  /** Time since the writer's last sign of life; 0 if the draft has ended. */
  readonly silentMs: number
}

export interface OpenDraft {
  readonly id: string
  /** Time since the writer's last sign of life. */
  readonly silentMs: number
}

export type DraftWrite = {
  /** Token of the writer; writes with another token are refused. */
  readonly token: string
  readonly ttlMs: number
} & (
  | { readonly kind: 'begin' | 'alive' }
  | ({ readonly kind: 'piece' } & Piece)
  | { readonly kind: 'end'; readonly number: number }
)

export type DraftWritten =
  /** `generation`: of the thread when the draft began. */
  | { readonly status: 'written'; readonly generation: number }
  /** Another process has taken the draft over. */
  | { readonly status: 'fenced' }
  /** The draft has ended or expired, or its thread was deleted. */
  | { readonly status: 'gone' }

export interface DraftEnd extends WriteOptions {
  readonly token: string
  readonly number: number
}

/** Stores answers that are still being generated. Every operation may be repeated, and takes one round trip. */
export interface DraftStore {
  write(id: DraftId, write: DraftWrite): Promise<DraftWritten>
  /** Returns pieces after a number; `undefined` if the draft does not exist (any more). */
  read(id: DraftId, after: number): Promise<DraftReading | undefined>
  /** Takes over a draft whose writer has been silent for at least this time. */
  take(id: DraftId, token: string, idleMs: number): Promise<'taken' | 'alive' | 'gone'>
  /** Appends a message and ends the draft, in one step. */
  finalize(id: DraftId, message: PreparedMessage, end: DraftEnd): Promise<AppendResult>
  /** Drafts of a thread that have not ended, in the order in which they began. */
  list(id: ThreadId): Promise<readonly OpenDraft[]>
}

/** Id of the message made from a draft whose writer is gone. */
export function recoveredId(draft: string): string {
  return `draft.${draft}`
}
