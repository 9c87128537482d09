import { ByteBoundedLru, type Clock } from '@evenkeel/core/kit'
import type { PreparedMessage } from '../messages/prepare.js'
import type { MemoryThreadStore } from '../stores/memory.js'
import type { AppendResult } from '../stores/port.js'
import { type ThreadId, textOf } from '../stores/thread-id.js'
import {
  type DraftEnd,
  type DraftId,
  type DraftReading,
  type DraftStore,
  type DraftWrite,
  type DraftWritten,
  type OpenDraft,
  type Piece,
  recoveredId,
} from './port.js'

interface StoredDraft {
  readonly id: DraftId
  readonly pieces: Piece[]
  /** Generation of the thread when the draft began. */
  readonly generation: number
  /** Grows in the order in which drafts began. */
  readonly number: number
  token: string
  at: number
  bytes: number
  isEnded: boolean
}

/** How long pieces of an ended draft stay for readers that are behind. */
const readableMs = 60_000

/** Drafts in this process, bounded. */
export class MemoryDrafts implements DraftStore {
  readonly #drafts: ByteBoundedLru<StoredDraft>
  readonly #threads: MemoryThreadStore
  readonly #clock: Clock
  #begun = 0

  constructor(threads: MemoryThreadStore, clock: Clock) {
    this.#threads = threads
    this.#clock = clock
    this.#drafts = new ByteBoundedLru({ maxEntries: 1_000, sizeOf: ({ bytes }) => bytes, clock })
    threads.onGone((owner, thread) => this.#forget(owner, thread))
  }

  async write(id: DraftId, write: DraftWrite): Promise<DraftWritten> {
    const { kind, token, ttlMs } = write
    const known = this.#drafts.get(nameOf(id))
    if (known === undefined && kind !== 'begin') return { status: 'gone' }
    const draft = known ?? this.#begin(id, token)
    if (draft.token !== token) return { status: 'fenced' }
    if (draft.isEnded) return { status: 'gone' }
    if (write.kind === 'piece' && write.number === draft.pieces.length + 1) {
      const { number, text, omitted } = write
      draft.pieces.push({ number, text, omitted })
      draft.bytes += 2 * text.length
    }
    draft.at = this.#clock.monotonic()
    draft.isEnded = kind === 'end'
    this.#drafts.set(nameOf(id), draft, ttlMs)
    return { status: 'written', generation: draft.generation }
  }

  async read(id: DraftId, after: number): Promise<DraftReading | undefined> {
    const draft = this.#drafts.get(nameOf(id))
    if (draft === undefined) return undefined
    const silentMs = this.#clock.monotonic() - draft.at
    if (draft.isEnded && silentMs > readableMs) return undefined
    const { isEnded } = draft
    return { pieces: draft.pieces.slice(after), isEnded, silentMs: isEnded ? 0 : silentMs }
  }

  async take(id: DraftId, token: string, idleMs: number) {
    const draft = this.#drafts.get(nameOf(id))
    if (draft === undefined || draft.isEnded) return 'gone'
    if (draft.token !== token && this.#clock.monotonic() - draft.at < idleMs) return 'alive'
    draft.token = token
    draft.at = this.#clock.monotonic()
    return 'taken'
  }

  async finalize(id: DraftId, message: PreparedMessage, end: DraftEnd): Promise<AppendResult> {
    const { ttlMs, token, number, generation } = end
    const draft = this.#drafts.get(nameOf(id))
    const { generation: now, records } = await this.#threads.page(id, {
      ids: [message.id, recoveredId(id.draft)],
    })
    if (now > (draft?.generation ?? generation ?? now)) return { status: 'deleted', generation: now }
    const isThere = records.some((record) => record.id === message.id)
    if (!isThere && (draft === undefined ? records.length > 0 : draft.token !== token)) {
      return { status: 'fenced' }
    }
    const result = await this.#threads.append(id, [message], { ttlMs, generation })
    if ('seqs' in result) await this.write(id, { kind: 'end', number, token, ttlMs })
    return result
  }

  async list(id: ThreadId): Promise<readonly OpenDraft[]> {
    const drafts = [...this.#drafts.entries()].map(([, draft]) => draft)
    const open = drafts.filter((draft) => !draft.isEnded && textOf(draft.id) === textOf(id))
    open.sort((one, other) => one.number - other.number)
    const now = this.#clock.monotonic()
    return open.map((draft) => ({ id: draft.id.draft, silentMs: now - draft.at }))
  }

  #begin(id: DraftId, token: string): StoredDraft {
    const generation = this.#threads.generationOf(id)
    return { id, pieces: [], generation, number: ++this.#begun, token, at: 0, bytes: 0, isEnded: false }
  }

  #forget(owner: string, thread: string | undefined): void {
    const gone = [...this.#drafts.entries()].filter(
      ([, { id }]) => id.owner === owner && (thread === undefined || id.thread === thread),
    )
    for (const [name] of gone) this.#drafts.delete(name)
  }
}

function nameOf(id: DraftId): string {
  return `${textOf(id).length}:${textOf(id)}${id.draft}`
}
