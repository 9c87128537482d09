import { randomUUID } from 'node:crypto'
import type { PreparedMessage } from './message.js'
import type {
  AppendResult,
  DeleteOptions,
  DeleteResult,
  Record,
  Standing,
  Tail,
  TailRequest,
} from './store.js'
import { toolCallsOf } from './tool-calls.js'

/** What a record costs beside its text, roughly. */
const overheadBytes = 250

/**
 * One thread in this process: the whole of it, or what this process has seen of it. The same rules as
 * scripts/append.lua and delete.lua; a test compares both.
 */
export class ThreadLog implements Standing {
  epoch = ''
  generation = 0
  version = 0
  /** Seq of the newest record. */
  count = 0
  /** Text and records, roughly. */
  bytes = 0
  #records = new Map<number, Record>()
  #seqs = new Map<string, number>()
  #openCalls = new Map<string, number>()
  #pinned: number | undefined
  #lastDeletion: { readonly token: string; readonly existed: boolean } | undefined

  /** Whether every message from the first to the newest known one is here. */
  get isWhole(): boolean {
    return this.#records.size === this.count
  }

  has(id: string): boolean {
    return this.#seqs.has(id)
  }

  /** The first message whose id is known with another body. */
  conflictOf(messages: readonly PreparedMessage[]): string | undefined {
    return messages.find(({ id, body }) => {
      const known = this.#find(id)
      return known !== undefined && known.body !== body
    })?.id
  }

  append(messages: readonly PreparedMessage[], generation?: number): AppendResult {
    if (generation !== undefined && this.generation > generation) {
      return { status: 'deleted', generation: this.generation }
    }
    const conflict = this.conflictOf(messages)
    if (conflict !== undefined) return { status: 'conflict', id: conflict }
    const before = this.count
    if (this.epoch === '') this.epoch = randomUUID()
    const seqs = messages.map((message) => this.#seqs.get(message.id) ?? this.#place(this.count + 1, message))
    const fresh = this.count > before
    if (fresh) this.version++
    return { status: fresh ? 'stored' : 'duplicate', ...this.#standing(), seqs }
  }

  tail({ maxMessages, maxTokens }: TailRequest): Tail {
    const records: Record[] = []
    let tokens = 0
    // What was never seen is passed over, but not for longer than a window may be.
    for (let seq = this.count; seq > 0 && seq > this.count - maxMessages; seq--) {
      const record = this.#records.get(seq)
      if (record === undefined) continue
      tokens += record.tokens
      if (tokens > maxTokens) break
      records.push(record)
    }
    const pinned = this.#pinned === undefined ? undefined : this.#records.get(this.#pinned)
    const { count } = this
    return { ...this.#standing(), count, records: records.reverse(), pinned: pinned ? [pinned] : [] }
  }

  delete({ token, generation }: DeleteOptions): DeleteResult {
    if (this.#lastDeletion?.token === token) {
      return { existed: this.#lastDeletion.existed, generation: this.generation }
    }
    if (generation !== undefined && this.generation > generation) {
      return { existed: false, generation: this.generation }
    }
    const existed = this.count > 0
    this.#lastDeletion = { token, existed }
    this.#clear()
    this.generation++
    this.version++
    return { existed, generation: this.generation }
  }

  /** Takes note of messages that Redis has stored. */
  note(messages: readonly PreparedMessage[], stored: Standing & { readonly seqs: readonly number[] }): void {
    this.#follow(stored)
    for (const [index, message] of messages.entries()) {
      const seq = stored.seqs[index]
      if (seq !== undefined && !this.#records.has(seq)) this.#place(seq, message)
    }
    this.version = Math.max(this.version, stored.version)
  }

  /** Takes note of a read of Redis, unless something newer was noted since it began. */
  adopt(tail: Tail): void {
    if (tail.epoch === this.epoch && tail.version < this.version) return
    this.#follow(tail)
    for (const record of [...tail.pinned, ...tail.records]) this.#put(record)
    this.#pinned = tail.pinned[0]?.seq
    this.count = tail.count
    this.version = tail.version
  }

  /** Keeps the newest records and what is pinned; now and then, since it costs by the records. */
  trim(maxMessages: number): void {
    if (this.#records.size <= maxMessages * 1.25) return
    const seqs = [...this.#records.keys()].sort((one, other) => one - other)
    for (const seq of seqs.slice(0, -maxMessages)) if (seq !== this.#pinned) this.#drop(seq)
  }

  clone(): ThreadLog {
    const copy = new ThreadLog()
    copy.epoch = this.epoch
    copy.generation = this.generation
    copy.version = this.version
    copy.count = this.count
    copy.bytes = this.bytes
    copy.#records = new Map(this.#records)
    copy.#seqs = new Map(this.#seqs)
    copy.#openCalls = new Map(this.#openCalls)
    copy.#pinned = this.#pinned
    copy.#lastDeletion = this.#lastDeletion
    return copy
  }

  #standing(): Standing {
    return { epoch: this.epoch, generation: this.generation, version: this.version }
  }

  /** Another epoch is another thread: what is known of the former one says nothing about it. */
  #follow({ epoch, generation }: Standing): void {
    if (epoch !== this.epoch) {
      this.#clear()
      this.epoch = epoch
      this.version = 0
    }
    this.generation = generation
  }

  #clear(): void {
    this.#records.clear()
    this.#seqs.clear()
    this.#openCalls.clear()
    this.#pinned = undefined
    this.epoch = ''
    this.count = 0
    this.bytes = 0
  }

  #find(id: string): Record | undefined {
    const seq = this.#seqs.get(id)
    return seq === undefined ? undefined : this.#records.get(seq)
  }

  #place(seq: number, { id, role, tokens, body, opens, answers }: PreparedMessage): number {
    const ties = new Set<number>()
    let results = 0
    for (const call of answers) {
      const made = this.#openCalls.get(call)
      if (made === undefined) continue
      this.#openCalls.delete(call)
      ties.add(made)
      results++
    }
    for (const call of opens) this.#openCalls.set(call, seq)
    if (role === 'system' || role === 'developer') this.#pinned ??= seq
    const counts = { calls: opens.length, results, strays: answers.length - results }
    this.#add({ seq, id, role, tokens, ties: [...ties], ...counts, body })
    return seq
  }

  #put(record: Record): void {
    if (this.#records.has(record.seq)) return
    this.#add(record)
    if (record.calls === 0 && record.results === 0) return
    const { opens, answers } = toolCallsOf(JSON.parse(record.body))
    for (const call of answers) this.#openCalls.delete(call)
    for (const call of opens) this.#openCalls.set(call, record.seq)
  }

  #add(record: Record): void {
    this.#records.set(record.seq, record)
    this.#seqs.set(record.id, record.seq)
    this.count = Math.max(this.count, record.seq)
    this.bytes += bytesOf(record)
  }

  #drop(seq: number): void {
    const record = this.#records.get(seq)
    if (record === undefined) return
    this.#records.delete(seq)
    this.#seqs.delete(record.id)
    this.bytes -= bytesOf(record)
  }
}

/** Of a message that is held here. */
export function bytesOf({ id, body }: { readonly id: string; readonly body: string }): number {
  return 2 * (body.length + id.length) + overheadBytes
}
