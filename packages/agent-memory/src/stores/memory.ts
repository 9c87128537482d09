import { type Clock, systemClock } from '@evenkeel/core'
import QuickLRU from 'quick-lru'
import type { PreparedMessage } from '../message.js'
import type { AppendResult, Record, Tail, TailRequest, ThreadId, ThreadStore } from '../store.js'

export interface MemoryThreadStoreOptions {
  /** Beyond it the least recently used threads are forgotten. @default 1_000 */
  readonly maxThreads?: number
  /** Beyond it a thread's oldest messages are forgotten. @default 10_000 */
  readonly maxMessages?: number
  readonly clock?: Clock
}

interface Thread {
  records: Record[]
  /** Seq of the newest record. */
  count: number
  version: number
  system: Record | undefined
  readonly byId: Map<string, { seq: number; digest: string | undefined }>
  readonly openCalls: Map<string, number>
  expiresAt: number
}

/** Threads in this process, bounded. */
export class MemoryThreadStore implements ThreadStore {
  readonly #threads: QuickLRU<string, Thread>
  readonly #maxMessages: number
  readonly #clock: Clock

  constructor({
    maxThreads = 1_000,
    maxMessages = 10_000,
    clock = systemClock,
  }: MemoryThreadStoreOptions = {}) {
    // quick-lru holds up to twice its maximum.
    this.#threads = new QuickLRU({ maxSize: Math.max(1, Math.floor(maxThreads / 2)) })
    this.#maxMessages = maxMessages
    this.#clock = clock
  }

  /** Threads that are held. */
  get size(): number {
    return this.#threads.size
  }

  has(id: ThreadId): boolean {
    return this.#find(id) !== undefined
  }

  async append(id: ThreadId, messages: readonly PreparedMessage[], ttlMs: number): Promise<AppendResult> {
    return this.appendNow(id, messages, ttlMs)
  }

  /** {@link append} within this turn of the event loop. */
  appendNow(id: ThreadId, messages: readonly PreparedMessage[], ttlMs: number): AppendResult {
    const thread = this.#find(id) ?? empty()
    const conflict = messages.find((message) => {
      const known = thread.byId.get(message.id)
      return known?.digest !== undefined && known.digest !== message.digest
    })
    if (conflict !== undefined) return { status: 'conflict', id: conflict.id }
    const fresh = messages.some((message) => !thread.byId.has(message.id))
    const seqs = messages.map((message) => thread.byId.get(message.id)?.seq ?? add(thread, message))
    if (fresh) thread.version++
    this.#keep(id, thread, ttlMs)
    return { status: fresh ? 'stored' : 'duplicate', seqs, version: thread.version }
  }

  async tail(id: ThreadId, { maxMessages, maxTokens }: TailRequest): Promise<Tail> {
    const thread = this.#find(id) ?? empty()
    const records: Record[] = []
    let tokens = 0
    for (let index = thread.records.length - 1; index >= 0 && records.length < maxMessages; index--) {
      const record = thread.records[index]
      tokens += record?.tokens ?? 0
      if (record === undefined || tokens > maxTokens) break
      records.push(record)
    }
    const { count, version, system } = thread
    const complete = (thread.records[0]?.seq ?? 1) === 1
    return { records: records.reverse(), system, count, version, stale: false, complete }
  }

  async delete(id: ThreadId): Promise<boolean> {
    return this.#threads.delete(keyOf(id))
  }

  /** Takes note of what Redis told, so that an outage begins with it. What is here beyond that is replaced. */
  adopt(id: ThreadId, tail: Tail, ttlMs: number): void {
    const known = this.#find(id)
    const oldest = tail.records[0]?.seq ?? tail.count + 1
    const kept = (known?.records ?? []).filter(({ seq }) => seq < oldest)
    // Only what joins without a gap is worth keeping.
    const joins = kept.at(-1)?.seq === oldest - 1
    const records = joins ? [...kept, ...tail.records] : [...tail.records]
    const thread = empty()
    for (const record of records)
      thread.byId.set(record.id, { seq: record.seq, digest: known?.byId.get(record.id)?.digest })
    for (const [call, seq] of known?.openCalls ?? []) thread.openCalls.set(call, seq)
    Object.assign(thread, { records, count: tail.count, version: tail.version, system: tail.system })
    this.#keep(id, thread, ttlMs)
  }

  #find(id: ThreadId): Thread | undefined {
    const key = keyOf(id)
    const thread = this.#threads.get(key)
    if (thread === undefined || thread.expiresAt > this.#clock.monotonic()) return thread
    this.#threads.delete(key)
    return undefined
  }

  #keep(id: ThreadId, thread: Thread, ttlMs: number): void {
    thread.expiresAt = this.#clock.monotonic() + ttlMs
    const excess = thread.records.length - this.#maxMessages
    for (const { id: oldest } of excess > 0 ? thread.records.splice(0, excess) : [])
      thread.byId.delete(oldest)
    this.#threads.set(keyOf(id), thread)
  }
}

function empty(): Thread {
  return {
    records: [],
    count: 0,
    version: 0,
    system: undefined,
    byId: new Map(),
    openCalls: new Map(),
    expiresAt: 0,
  }
}

function add(thread: Thread, { id, role, tokens, body, digest, opens, answers }: PreparedMessage): number {
  const seq = ++thread.count
  let group = seq
  for (const call of answers) {
    group = thread.openCalls.get(call) ?? group
    thread.openCalls.delete(call)
  }
  for (const call of opens) thread.openCalls.set(call, seq)
  const record = { seq, id, role, tokens, group, body }
  if (role === 'system') thread.system ??= record
  thread.records.push(record)
  thread.byId.set(id, { seq, digest })
  return seq
}

function keyOf({ owner, thread }: ThreadId): string {
  return `${owner.length}:${owner}${thread}`
}
