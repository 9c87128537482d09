import { ByteBoundedLru, type Clock } from '@evenkeel/core'
import type { PreparedMessage } from './message.js'
import { type Standing, type Tail, type ThreadId, textOf } from './store.js'
import { ThreadLog } from './thread-log.js'

/** A window holds no more, so neither needs to be known of a thread. */
const mostMessages = 1_000

/** What this process has seen of threads in Redis, for when Redis is away. Bounded; holds nothing that would be missed. */
export class KnownThreads {
  readonly #threads: ByteBoundedLru<ThreadLog>
  readonly #ttlMs: number

  constructor(options: { maxThreads: number; maxBytes: number; ttlMs: number; clock: Clock }) {
    const { maxThreads, maxBytes, ttlMs, clock } = options
    this.#ttlMs = ttlMs
    this.#threads = new ByteBoundedLru({
      maxEntries: maxThreads,
      maxBytes,
      sizeOf: ({ bytes }) => bytes,
      clock,
    })
  }

  get(id: ThreadId): ThreadLog | undefined {
    return this.#threads.get(textOf(id))
  }

  appended(
    id: ThreadId,
    messages: readonly PreparedMessage[],
    stored: Standing & { readonly seqs: readonly number[] },
  ): void {
    this.#change(id, (thread) => thread.note(messages, stored))
  }

  read(id: ThreadId, tail: Tail): void {
    this.#change(id, (thread) => thread.adopt(tail))
  }

  deleted(id: ThreadId, generation: number): void {
    const thread = new ThreadLog()
    thread.generation = generation
    this.#threads.set(textOf(id), thread, this.#ttlMs)
  }

  #change(id: ThreadId, change: (thread: ThreadLog) => void): void {
    const thread = this.get(id) ?? new ThreadLog()
    change(thread)
    thread.trim(mostMessages)
    this.#threads.set(textOf(id), thread, this.#ttlMs)
  }
}
