import { type Deferred, onAbort } from '@evenkeel/core/kit'
import { JournalFullError } from '../errors.js'
import type { ThreadImage } from '../replica/thread-image.js'
import { type ThreadId, textOf } from '../stores/thread-id.js'
import { quietDeferred } from './deferred.js'
import type { JournalEntry } from './entry.js'

/** The waiting writes of one thread, in order, and the thread with these writes applied. */
export interface ThreadJournal {
  readonly id: ThreadId
  readonly entries: JournalEntry[]
  /** What this process knows of the thread, followed by the journaled writes. */
  readonly view: ThreadImage
  /** Whether Redis's own part of the thread is known here; a thread may be new, or never seen. */
  readonly isKnown: boolean
  /** Every message from this seq on is known. */
  readonly from: number
}

/** Stores a journal outside of memory. */
export interface JournalKeeper {
  /** Takes an entry, and numbers it. @throws if the entry can't be stored */
  write(id: ThreadId, entry: JournalEntry): void
  /** The entry is in Redis, or refused for good. */
  acknowledge(entry: JournalEntry): void
  /** Resolves when all that was written is on disk. */
  synced(): Promise<void>
  close(isEmpty: boolean): void
}

/** The writes that wait for Redis, by thread. Bounded: a full journal refuses further writes, and drops none. */
export class Journal {
  readonly #threads = new Map<string, ThreadJournal>()
  readonly #maxMessages: number
  readonly #maxBytes: number
  readonly #keeper: JournalKeeper | undefined
  #messages = 0
  #bytes = 0
  #waiters: Deferred<void>[] = []
  #closed: Error | undefined

  constructor(bounds: { maxMessages: number; maxBytes: number }, keeper?: JournalKeeper) {
    this.#maxMessages = bounds.maxMessages
    this.#maxBytes = bounds.maxBytes
    this.#keeper = keeper
  }

  get messages(): number {
    return this.#messages
  }

  get bytes(): number {
    return this.#bytes
  }

  get isEmpty(): boolean {
    return this.#threads.size === 0
  }

  /** Threads with writes that wait, the longest waiting first. */
  threads(): IterableIterator<ThreadJournal> {
    return this.#threads.values()
  }

  of(id: ThreadId): ThreadJournal | undefined {
    return this.#threads.get(textOf(id))
  }

  /**
   * Takes an entry in this turn of the event loop; `synced` says when it is stored. An entry that was acknowledged
   * already is taken even beyond the bounds.
   * @throws JournalFullError; the entry is not taken then
   */
  add(thread: ThreadJournal, entry: JournalEntry): void {
    if (this.#closed !== undefined) throw this.#closed
    const { messages, bytes } = entry
    const isFull = this.#messages + messages > this.#maxMessages || this.#bytes + bytes > this.#maxBytes
    if (isFull && !entry.isInherited) throw new JournalFullError(this.#messages)
    this.#keeper?.write(thread.id, entry)
    this.#threads.set(textOf(thread.id), thread)
    thread.entries.push(entry)
    this.#messages += messages
    this.#bytes += bytes
  }

  /** Resolves when all that was added is kept as the journal promises. */
  async synced(): Promise<void> {
    await this.#keeper?.synced()
  }

  /** Removes an entry that is the thread's first, and is done. */
  acknowledge(thread: ThreadJournal, entry: JournalEntry): void {
    // Two replays may overlap for a moment, when one is given up in the middle of an append.
    if (thread.entries[0] !== entry) return
    thread.entries.shift()
    this.#messages -= entry.messages
    this.#bytes -= entry.bytes
    if (thread.entries.length === 0) this.#threads.delete(textOf(thread.id))
    if (this.#closed === undefined) this.#keeper?.acknowledge(entry)
    if (this.isEmpty) for (const waiter of this.#waiters.splice(0)) waiter.resolve()
  }

  /** Resolves when nothing waits. */
  async whenEmpty(signal: AbortSignal | undefined): Promise<void> {
    if (this.isEmpty) return
    if (this.#closed !== undefined) throw this.#closed
    signal?.throwIfAborted()
    const waiter = quietDeferred<void>()
    const stopFollowing = onAbort(signal, waiter.reject)
    this.#waiters.push(waiter)
    try {
      await waiter.promise
    } finally {
      stopFollowing()
      this.#waiters = this.#waiters.filter((other) => other !== waiter)
    }
  }

  /** Rejects the waiting callers and refuses new entries. Waiting entries stay in the file, if there is one. */
  close(error: Error): void {
    if (this.#closed !== undefined) return
    this.#closed = error
    for (const { entries } of this.#threads.values()) {
      for (const { outcome } of entries) outcome.reject(error)
    }
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error)
    this.#keeper?.close(this.isEmpty)
  }
}
