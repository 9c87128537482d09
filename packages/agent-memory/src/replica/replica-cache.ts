import { ByteBoundedLru, type Clock } from '@evenkeel/core/kit'
import type { Deletion } from '../feed/deletion-notices.js'
import type { PreparedMessage } from '../messages/prepare.js'
import type { Change, Changed } from '../stores/change.js'
import type { Tail } from '../stores/port.js'
import { type ThreadId, textOf } from '../stores/thread-id.js'
import { isEnd, type Stored, ThreadReplica } from './replica.js'

/** Maximum number of records of a replica: a window has no more. */
const maxKept = 1_000

/** What this process has seen of threads in Redis. Bounded; everything in it is in Redis too. */
export class ReplicaCache {
  readonly #threads: ByteBoundedLru<ThreadReplica>
  readonly #ttlMs: number
  readonly #clock: Clock

  constructor(options: { maxThreads: number; maxBytes: number; ttlMs: number; clock: Clock }) {
    const { maxThreads, maxBytes, ttlMs, clock } = options
    this.#ttlMs = ttlMs
    this.#clock = clock
    this.#threads = new ByteBoundedLru({
      maxEntries: maxThreads,
      maxBytes,
      sizeOf: ({ log }) => log.bytes,
      clock,
    })
  }

  get size(): number {
    return this.#threads.size
  }

  get bytes(): number {
    return this.#threads.bytes
  }

  get(id: ThreadId): ThreadReplica | undefined {
    return this.#threads.get(textOf(id))
  }

  appended(id: ThreadId, messages: readonly PreparedMessage[], stored: Stored): void {
    // A duplicate says nothing about a thread that is not known here, unless it is the thread's end.
    const isRepeated = !stored.seqs.some((seq) => seq > stored.before)
    if (isRepeated && this.get(id) === undefined && !isEnd(stored)) return
    this.#change(id, (thread) => thread.appended(messages, stored, this.#clock.now()))
  }

  read(id: ThreadId, tail: Tail): ThreadReplica {
    return this.#change(id, (thread) => thread.read(tail))
  }

  changed(id: ThreadId, change: Change, changed: Changed): void {
    const known = this.get(id)?.changed(change, changed, this.#clock.now()) ?? true
    if (!known) this.forget(id)
  }

  deleted(id: ThreadId, generation: number): void {
    const thread = new ThreadReplica()
    thread.log.generation = generation
    this.#threads.set(textOf(id), thread, this.#ttlMs)
  }

  /** Forgets what another process deleted, so that an outage does not show it. */
  deletedElsewhere({ owner, thread }: Deletion): void {
    if (thread === undefined) this.forgetAll(owner)
    else this.forget({ owner, thread })
  }

  forget(id: ThreadId): void {
    this.#threads.delete(textOf(id))
  }

  /** Forgets all threads of an owner, or of all owners. */
  forgetAll(owner?: string): void {
    if (owner === undefined) this.#threads.clear()
    else {
      const prefix = textOf({ owner, thread: '' })
      const keys = [...this.#threads.entries()].map(([key]) => key)
      for (const key of keys) if (key.startsWith(prefix)) this.#threads.delete(key)
    }
  }

  #change(id: ThreadId, change: (thread: ThreadReplica) => void): ThreadReplica {
    const thread = this.get(id) ?? new ThreadReplica()
    change(thread)
    thread.trim(maxKept)
    this.#threads.set(textOf(id), thread, this.#ttlMs)
    return thread
  }
}
