import { ByteBoundedLru, type Clock, systemClock } from '@evenkeel/core'
import { MessageTooLargeError } from '../errors.js'
import type { PreparedMessage } from '../message.js'
import {
  type AppendOptions,
  type AppendResult,
  type DeleteOptions,
  type DeleteResult,
  type Tail,
  type TailRequest,
  type ThreadId,
  type ThreadStore,
  textOf,
  tombstoneMs,
} from '../store.js'
import { bytesOf, ThreadLog } from '../thread-log.js'

export interface MemoryThreadStoreOptions {
  /** Beyond it the least recently used threads are forgotten, each as a whole. @default 1_000 */
  readonly maxThreads?: number | undefined
  /** Of all threads together; beyond it as with `maxThreads`. @default 64 MiB */
  readonly maxBytes?: number | undefined
  readonly clock?: Clock | undefined
}

const spareBytes = 16_384

/** Threads in this process, bounded. A thread is here as a whole, or not at all. */
export class MemoryThreadStore implements ThreadStore {
  readonly #threads: ByteBoundedLru<ThreadLog>
  readonly #maxBytes: number

  constructor(options: MemoryThreadStoreOptions = {}) {
    const { maxThreads = 1_000, maxBytes = 64 << 20, clock = systemClock } = options
    this.#threads = new ByteBoundedLru({
      maxEntries: maxThreads,
      maxBytes: maxBytes + spareBytes,
      sizeOf: ({ bytes }) => bytes,
      clock,
    })
    this.#maxBytes = maxBytes
  }

  /** Threads that are held. */
  get size(): number {
    return this.#threads.size
  }

  get bytes(): number {
    return this.#threads.bytes
  }

  /** @throws MessageTooLargeError when the thread would not fit into `maxBytes` alone */
  async append(
    id: ThreadId,
    messages: readonly PreparedMessage[],
    { ttlMs, generation }: AppendOptions,
  ): Promise<AppendResult> {
    const key = textOf(id)
    const thread = this.#threads.get(key) ?? new ThreadLog()
    // A thread that can't be kept must not be acknowledged.
    const fresh = messages.filter((message) => !thread.has(message.id))
    const bytes = fresh.reduce((sum, message) => sum + bytesOf(message), thread.bytes)
    if (bytes > this.#maxBytes) throw new MessageTooLargeError('thread', bytes, this.#maxBytes)
    const result = thread.append(messages, generation)
    if (result.status === 'stored') this.#threads.set(key, thread, ttlMs)
    return result
  }

  async tail(id: ThreadId, request: TailRequest): Promise<Tail> {
    return (this.#threads.get(textOf(id)) ?? new ThreadLog()).tail(request)
  }

  async delete(id: ThreadId, options: DeleteOptions): Promise<DeleteResult> {
    const key = textOf(id)
    const thread = this.#threads.get(key) ?? new ThreadLog()
    const result = thread.delete(options)
    if (thread.count === 0) this.#threads.set(key, thread, tombstoneMs)
    return result
  }
}
