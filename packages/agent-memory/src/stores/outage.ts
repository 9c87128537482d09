import { type RecoverContext, UnavailableError } from '@evenkeel/core'
import { ThreadUnknownError } from '../errors.js'
import type { Journal, JournalEntry } from '../journal.js'
import type { PreparedMessage } from '../message.js'
import type { AppendResult, Tail, TailRequest, ThreadId, ThreadStore } from '../store.js'
import type { MemoryThreadStore } from './memory.js'

/**
 * The store of an outage: appends are journaled and shown in what this process knows of the thread, reads
 * are answered from that and marked stale. On return the journal is replayed, in order and once.
 */
export class OutageThreadStore implements ThreadStore {
  readonly #memory: MemoryThreadStore
  readonly #journal: Journal
  readonly #ttlMs: number

  constructor(memory: MemoryThreadStore, journal: Journal, ttlMs: number) {
    this.#memory = memory
    this.#journal = journal
    this.#ttlMs = ttlMs
  }

  // Nothing is awaited in here, so that a call that has begun is in the journal before anything else happens.
  async append(id: ThreadId, messages: readonly PreparedMessage[], ttlMs: number): Promise<AppendResult> {
    this.#journal.add({ kind: 'append', id, messages })
    const result = this.#memory.appendNow(id, messages, ttlMs)
    return result.status === 'conflict' ? result : { ...result, status: 'journaled' }
  }

  async tail(id: ThreadId, request: TailRequest): Promise<Tail> {
    if (!this.#memory.has(id)) throw new ThreadUnknownError()
    return { ...(await this.#memory.tail(id, request)), stale: true }
  }

  async delete(id: ThreadId): Promise<boolean> {
    this.#journal.add({ kind: 'delete', id })
    return this.#memory.delete(id)
  }

  /** Each entry is idempotent, so one whose answer was lost is simply sent again. */
  async replay({ primary, signal, handOver }: RecoverContext<ThreadStore>): Promise<void> {
    for (let entry = this.#journal.first; entry !== undefined; entry = this.#journal.first) {
      signal.throwIfAborted()
      await this.#send(primary, entry)
      this.#journal.acknowledge()
    }
    handOver()
  }

  async #send(primary: ThreadStore, entry: JournalEntry): Promise<void> {
    try {
      if (entry.kind === 'delete') await primary.delete(entry.id)
      // A conflict is with another writer's message of the same id: its place is taken, and stays so.
      else await primary.append(entry.id, entry.messages, this.#ttlMs)
    } catch (error) {
      if (UnavailableError.isInstance(error)) throw error
      process.emitWarning(`A journaled ${entry.kind} was refused by Redis: ${error}`, {
        code: 'EVENKEEL_JOURNAL',
      })
    }
  }
}
