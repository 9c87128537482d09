import type { Settled } from './conversations.js'
import { JournalFullError } from './errors.js'
import type { PreparedMessage } from './message.js'
import { type DeleteResult, type ThreadId, textOf } from './store.js'
import { bytesOf, type ThreadLog } from './thread-log.js'

export type JournalEntry = { readonly messages: number; readonly bytes: number } & (
  | {
      readonly kind: 'append'
      readonly batch: readonly PreparedMessage[]
      readonly generation: number | undefined
      readonly outcome: Outcome<Settled>
    }
  | {
      readonly kind: 'delete'
      readonly token: string
      readonly generation: number | undefined
      readonly outcome: Outcome<DeleteResult>
    }
)

/** The writes of one thread that wait, in order, and the thread as it is with them. */
export interface ThreadJournal {
  readonly id: ThreadId
  readonly entries: JournalEntry[]
  /** What this process knows of the thread, with what is journaled at its end. */
  readonly view: ThreadLog
  /** Whether Redis's own part of the thread is known here; a thread may be new, or never seen. */
  readonly isKnown: boolean
}

/** What Redis has yet to hear of, by thread. Bounded; a full one refuses, and never drops. */
export class Journal {
  readonly #threads = new Map<string, ThreadJournal>()
  readonly #maxMessages: number
  readonly #maxBytes: number
  #messages = 0
  #bytes = 0
  #waiters: Outcome<void>[] = []
  #closed: Error | undefined

  constructor({ maxMessages, maxBytes }: { maxMessages: number; maxBytes: number }) {
    this.#maxMessages = maxMessages
    this.#maxBytes = maxBytes
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

  /** @throws JournalFullError, having taken nothing */
  add(thread: ThreadJournal, entry: JournalEntry): void {
    if (this.#closed !== undefined) throw this.#closed
    const { messages, bytes } = entry
    if (this.#messages + messages > this.#maxMessages || this.#bytes + bytes > this.#maxBytes) {
      throw new JournalFullError(this.#messages)
    }
    this.#threads.set(textOf(thread.id), thread)
    thread.entries.push(entry)
    this.#messages += messages
    this.#bytes += bytes
  }

  /** Takes out an entry that was the thread's first, and is done with. */
  acknowledge(thread: ThreadJournal, entry: JournalEntry): void {
    // Two replays may overlap for a moment, when one is given up in the middle of an append.
    if (thread.entries[0] !== entry) return
    thread.entries.shift()
    this.#messages -= entry.messages
    this.#bytes -= entry.bytes
    if (thread.entries.length === 0) this.#threads.delete(textOf(thread.id))
    if (this.isEmpty) for (const waiter of this.#waiters.splice(0)) waiter.resolve()
  }

  /** Resolves when nothing waits. */
  async whenEmpty(signal: AbortSignal | undefined): Promise<void> {
    if (this.isEmpty) return
    if (this.#closed !== undefined) throw this.#closed
    signal?.throwIfAborted()
    const waiter = new Outcome<void>()
    const abort = () => waiter.reject(signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
    this.#waiters.push(waiter)
    try {
      await waiter.promise
    } finally {
      signal?.removeEventListener('abort', abort)
      this.#waiters = this.#waiters.filter((other) => other !== waiter)
    }
  }

  /** What waits is given up, whoever waits for it is told, and nothing more is taken. */
  close(error: Error): void {
    this.#closed = error
    for (const { entries } of this.#threads.values()) {
      for (const { outcome } of entries) outcome.reject(error)
    }
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error)
  }
}

/** A promise that may be looked at or not: nobody who doesn't is bothered by its rejection. */
export class Outcome<T> {
  readonly promise: Promise<T>
  resolve: (value: T) => void = () => {}
  reject: (error: unknown) => void = () => {}

  constructor() {
    this.promise = new Promise<T>((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
    this.promise.catch(() => {})
  }
}

export function sizeOf(batch: readonly PreparedMessage[]): { messages: number; bytes: number } {
  const bytes = batch.reduce((sum, message) => sum + bytesOf(message), 0)
  // A deletion takes room too.
  return { messages: Math.max(1, batch.length), bytes }
}
