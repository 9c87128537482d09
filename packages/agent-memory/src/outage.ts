import { createLog, ReplyError } from '@evenkeel/core'
import type { Appended, Conversations, Reading } from './conversations.js'
import { MessageConflictError, ThreadUnknownError } from './errors.js'
import { type Journal, type JournalEntry, Outcome, sizeOf, type ThreadJournal } from './journal.js'
import type { KnownThreads } from './known-threads.js'
import type { PreparedMessage } from './message.js'
import type { DeleteResult, TailRequest, ThreadId, ThreadStore } from './store.js'
import { ThreadLog } from './thread-log.js'

const log = createLog('agent-memory')

/** Threads that are replayed at once; each of them in its order. */
const replayedAtOnce = 16

/**
 * Conversations while Redis is away: writes are journaled and shown behind what this process knows of the
 * thread. On return the journal is replayed, each thread in its order.
 *
 * Nothing is awaited before a write is in the journal, so that no turn of the event loop comes between the
 * choice of this side and the journal; see {@link replay}.
 */
export class OutageConversations implements Conversations {
  readonly #journal: Journal
  readonly #known: KnownThreads
  readonly #ttlMs: number

  constructor(journal: Journal, known: KnownThreads, ttlMs: number) {
    this.#journal = journal
    this.#known = known
    this.#ttlMs = ttlMs
  }

  async append(id: ThreadId, batch: readonly PreparedMessage[]): Promise<Appended> {
    const thread = this.#threadOf(id)
    const conflict = thread.view.conflictOf(batch)
    if (conflict !== undefined) return { status: 'conflict', id: conflict }
    const outcome: Extract<JournalEntry, { kind: 'append' }>['outcome'] = new Outcome()
    const { version } = thread.view
    const generation = generationOf(thread)
    this.#journal.add(thread, { kind: 'append', batch, generation, outcome, ...sizeOf(batch) })
    thread.view.append(batch)
    return { status: 'journaled', version: thread.isKnown ? version : 0, stored: outcome.promise }
  }

  async read(id: ThreadId, request: TailRequest): Promise<Reading> {
    const thread = this.#journal.of(id)
    const view = thread?.view ?? this.#known.get(id)
    if (view === undefined) throw new ThreadUnknownError()
    return { ...view.tail(request), stale: true, complete: (thread?.isKnown ?? true) && view.isWhole }
  }

  async delete(id: ThreadId, token: string): Promise<Pick<DeleteResult, 'existed'>> {
    const thread = this.#threadOf(id)
    const generation = generationOf(thread)
    this.#journal.add(thread, { kind: 'delete', token, generation, outcome: new Outcome(), ...sizeOf([]) })
    return thread.view.delete({ token })
  }

  /**
   * Sends what is journaled to the store, and calls `handOver` in the turn in which nothing is left. What
   * fails because Redis is away again stays in the journal; every entry may be sent again.
   */
  async replay(store: ThreadStore, signal: AbortSignal, handOver: () => void): Promise<void> {
    while (!this.#journal.isEmpty) {
      const waiting = this.#journal.threads()
      const lanes = Array.from({ length: replayedAtOnce }, async () => {
        for (const thread of waiting) await this.#replayThread(store, thread, signal)
      })
      const failed = (await Promise.allSettled(lanes)).find(({ status }) => status === 'rejected')
      if (failed?.status === 'rejected') throw failed.reason
    }
    handOver()
  }

  #threadOf(id: ThreadId): ThreadJournal {
    const known = this.#known.get(id)
    return (
      this.#journal.of(id) ?? {
        id,
        entries: [],
        view: known?.clone() ?? new ThreadLog(),
        isKnown: known !== undefined,
      }
    )
  }

  async #replayThread(store: ThreadStore, thread: ThreadJournal, signal: AbortSignal): Promise<void> {
    for (let entry = thread.entries[0]; entry !== undefined; entry = thread.entries[0]) {
      signal.throwIfAborted()
      try {
        if (entry.kind === 'delete') await this.#replayDelete(store, thread.id, entry)
        else await this.#replayAppend(store, thread.id, entry)
      } catch (error) {
        // Only what is wrong with this very thread lets go of it: all else may be mended, and is tried again.
        if (!(error instanceof ReplyError) || error.prefix !== 'WRONGTYPE') throw error
        refuse(entry, error)
      }
      this.#journal.acknowledge(thread, entry)
    }
  }

  async #replayDelete(
    store: ThreadStore,
    id: ThreadId,
    { token, generation, outcome }: Extract<JournalEntry, { kind: 'delete' }>,
  ): Promise<void> {
    const result = await store.delete(id, { token, generation })
    this.#known.deleted(id, result.generation)
    outcome.resolve(result)
  }

  /** A message whose id another writer took meanwhile is refused, alone: its neighbours are stored. */
  async #replayAppend(
    store: ThreadStore,
    id: ThreadId,
    entry: Extract<JournalEntry, { kind: 'append' }>,
  ): Promise<void> {
    let batch = entry.batch
    while (batch.length > 0) {
      const result = await store.append(id, batch, { ttlMs: this.#ttlMs, generation: entry.generation })
      if (result.status === 'conflict') {
        refuse(entry, new MessageConflictError(result.id))
        batch = batch.filter((message) => message.id !== result.id)
        continue
      }
      if (result.status === 'deleted') log('a journaled append was for a thread that was deleted since')
      else this.#known.appended(id, batch, result)
      return entry.outcome.resolve(result)
    }
  }
}

/** Of a thread that was never seen here nothing is known, and so nothing can be said to have been deleted since. */
function generationOf({ isKnown, view }: ThreadJournal): number | undefined {
  return isKnown ? view.generation : undefined
}

function refuse(entry: JournalEntry, error: Error): void {
  entry.outcome.reject(error)
  process.emitWarning(`A journaled ${entry.kind} was refused by Redis: ${error.message}`, {
    code: 'EVENKEEL_JOURNAL',
  })
}
