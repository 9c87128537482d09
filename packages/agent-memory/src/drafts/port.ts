import type { PreparedMessage } from '../messages/prepare.js'
import type { AppendResult, WriteOptions } from '../stores/port.js'
import type { ThreadId } from '../stores/thread-id.js'

export interface DraftId extends ThreadId {
  readonly draft: string
}

export interface Piece {
  /** From 1, without gaps. */
  readonly number: number
  readonly text: string
}

export interface DraftReading {
  readonly pieces: readonly Piece[]
  readonly isEnded: boolean
}

export interface PieceWrite extends Piece {
  /** Of the writer: another one's is refused. */
  readonly token: string
  readonly isEnd: boolean
  readonly ttlMs: number
}

/** Where answers live that are still being made. Every operation may be repeated. */
export interface DraftStore {
  /** `fenced`: another has taken the draft over. `gone`: it ended, or its time is over. */
  write(id: DraftId, piece: PieceWrite): Promise<'written' | 'fenced' | 'gone'>
  /** Pieces behind a number; `undefined` when there is no such draft (any more). */
  read(id: DraftId, after: number): Promise<DraftReading | undefined>
  /** Takes over a draft whose writer has been silent for so long. */
  take(id: DraftId, token: string, idleMs: number): Promise<'taken' | 'alive' | 'gone'>
  /** Appends a message and ends the draft, in one step. */
  finalize(
    id: DraftId,
    message: PreparedMessage,
    options: WriteOptions & { readonly token: string; readonly number: number },
  ): Promise<AppendResult>
  /** Drafts of a thread that have not ended. */
  list(id: ThreadId): Promise<readonly string[]>
}
