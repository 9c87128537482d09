import { ByteBoundedLru, type Clock } from '@evenkeel/core/kit'
import type { PreparedMessage } from '../messages/prepare.js'
import type { AppendResult, ThreadStore, WriteOptions } from '../stores/port.js'
import { type ThreadId, textOf } from '../stores/thread-id.js'
import type { DraftId, DraftReading, DraftStore, Piece, PieceWrite } from './port.js'

interface Held {
  readonly id: DraftId
  readonly pieces: Piece[]
  token: string
  at: number
  bytes: number
  isEnded: boolean
}

/** Drafts in this process, bounded. */
export class MemoryDrafts implements DraftStore {
  readonly #drafts: ByteBoundedLru<Held>
  readonly #threads: ThreadStore
  readonly #clock: Clock

  constructor(threads: ThreadStore, clock: Clock) {
    this.#threads = threads
    this.#clock = clock
    this.#drafts = new ByteBoundedLru({ maxEntries: 1_000, sizeOf: ({ bytes }) => bytes, clock })
  }

  async write(id: DraftId, { number, text, token, isEnd, ttlMs }: PieceWrite) {
    const known = this.#drafts.get(nameOf(id))
    if (known === undefined ? number !== 1 : known.isEnded) return 'gone'
    if (known !== undefined && known.token !== token) return 'fenced'
    const held = known ?? { id, pieces: [], token, at: 0, bytes: 0, isEnded: false }
    if (!isEnd && number === held.pieces.length + 1) held.pieces.push({ number, text })
    held.bytes += 2 * text.length
    held.at = this.#clock.monotonic()
    held.isEnded = isEnd
    this.#drafts.set(nameOf(id), held, isEnd ? Math.min(60_000, ttlMs) : ttlMs)
    return 'written'
  }

  async read(id: DraftId, after: number): Promise<DraftReading | undefined> {
    const held = this.#drafts.get(nameOf(id))
    return held && { pieces: held.pieces.slice(after), isEnded: held.isEnded }
  }

  async take(id: DraftId, token: string, idleMs: number) {
    const held = this.#drafts.get(nameOf(id))
    if (held === undefined || held.isEnded) return 'gone'
    if (held.token !== token && this.#clock.monotonic() - held.at < idleMs) return 'alive'
    held.token = token
    held.at = this.#clock.monotonic()
    return 'taken'
  }

  async finalize(
    id: DraftId,
    message: PreparedMessage,
    { ttlMs, token, number }: WriteOptions & { readonly token: string; readonly number: number },
  ): Promise<AppendResult> {
    const held = this.#drafts.get(nameOf(id))
    const isOthers = held !== undefined && !held.isEnded && held.token !== token
    if (isOthers) return { status: 'fenced' }
    const result = await this.#threads.append(id, [message], { ttlMs })
    if ('seqs' in result) await this.write(id, { number, text: '', token, isEnd: true, ttlMs })
    return result
  }

  async list(id: ThreadId): Promise<readonly string[]> {
    const open = [...this.#drafts.entries()].map(([, held]) => held)
    return open.filter((held) => !held.isEnded && textOf(held.id) === textOf(id)).map((held) => held.id.draft)
  }
}

function nameOf(id: DraftId): string {
  return `${textOf(id).length}:${textOf(id)}${id.draft}`
}
