import { randomUUID } from 'node:crypto'
import type { PreparedMessage } from '../messages/prepare.js'
import type { Answered, MessageRecord, Summary } from '../messages/record.js'
import type { ChangeOutcome } from '../stores/change.js'
import { noLimits } from '../stores/limits.js'
import type {
  AppendOptions,
  AppendResult,
  DeleteOptions,
  DeleteResult,
  StateValue,
  ThreadDump,
} from '../stores/port.js'
import type { ThreadVersion } from '../stores/thread-id.js'
import { Operations } from './operations.js'
import { SeqMap } from './seq-map.js'

/** Approximate bytes of a record beside its text. */
const overheadBytes = 250

/** The seq of an id, and the digest of its first body, if that is known. */
interface Place {
  readonly seq: number
  readonly digest: string | undefined
}

/** What an append needs beside the thread. */
interface AppendContext {
  readonly isFenced: boolean
  readonly ownerIsFull: boolean
}

const alone: AppendContext = { isFenced: false, ownerIsFull: false }

/**
 * One thread in this process: the whole thread, or what this process has seen of it. It has the same rules as the
 * scripts; a test compares both.
 */
export class ThreadImage implements ThreadVersion {
  epoch = ''
  generation = 0
  version = 0
  edited = 0
  /** Messages in the thread. */
  count = 0
  /** Seq of the newest message. */
  newest = 0
  /** Approximate bytes of the records in memory. */
  bytes = 0
  /** Bytes of the bodies, as the limit counts them. */
  bodyBytes = 0
  /** Seqs that every window contains. */
  pinned: readonly number[] = []
  /** The current summary, and the one before. */
  summaries: readonly (Summary & { readonly plan: string })[] = []
  readonly state: Map<string, StateValue>
  readonly #records: SeqMap<MessageRecord>
  readonly #places: Map<string, Place>
  readonly #openCalls: Map<string, number>
  /** The outcomes of the thread's latest operations. */
  readonly operations: Operations
  #passed = 0
  #turn = 0
  #lastDeletion: { readonly token: string; readonly existed: boolean } | undefined

  constructor(other?: ThreadImage) {
    this.state = new Map(other?.state)
    this.#records = new SeqMap(other === undefined ? undefined : other.#records)
    this.#places = new Map(other === undefined ? [] : other.#places)
    this.#openCalls = new Map(other === undefined ? [] : other.#openCalls)
    this.operations = new Operations(other === undefined ? undefined : other.operations)
    if (other === undefined) return
    const { epoch, generation, version, edited, count, newest, bytes, bodyBytes, pinned, summaries } = other
    Object.assign(this, {
      epoch,
      generation,
      version,
      edited,
      count,
      newest,
      bytes,
      bodyBytes,
      pinned,
      summaries,
    })
    this.#passed = other.#passed
    this.#turn = other.#turn
    this.#lastDeletion = other.#lastDeletion
  }

  get exists(): boolean {
    return this.epoch !== ''
  }

  /** Number of records in memory. */
  get size(): number {
    return this.#records.size
  }

  has(id: string): boolean {
    return this.#places.has(id)
  }

  seqOf(id: string): number | undefined {
    return this.#places.get(id)?.seq
  }

  find(id: string): MessageRecord | undefined {
    const seq = this.seqOf(id)
    return seq === undefined ? undefined : this.#records.get(seq)
  }

  at(seq: number): MessageRecord | undefined {
    return this.#records.get(seq)
  }

  /** Records up to a seq, the newest first. */
  downFrom(seq: number): Iterable<MessageRecord> {
    return this.#records.downFrom(seq)
  }

  /** The first message whose id is known with another body. */
  conflictOf(messages: readonly PreparedMessage[]): string | undefined {
    return messages.find(({ id, digest }) => {
      const known = this.#places.get(id)?.digest
      return known !== undefined && known !== digest
    })?.id
  }

  append(
    messages: readonly PreparedMessage[],
    { generation, version, token, digest = '', limits = noLimits }: Omit<AppendOptions, 'ttlMs'>,
    now: number,
    around: AppendContext = alone,
  ): AppendResult {
    if (this.isOvertaken(generation)) return { status: 'deleted', generation: this.generation }
    if (this.operations.before(token, digest)?.status === 'reused') return { status: 'reused' }
    if (around.isFenced) return { status: 'fenced' }
    const conflict = this.conflictOf(messages)
    if (conflict !== undefined) return { status: 'conflict', id: conflict }
    const before = this.newest
    const fresh = messages.filter(({ id }) => !this.#places.has(id))
    if (fresh.length > 0) {
      if (version !== undefined && version !== this.version) {
        return { status: 'changed', version: this.version, newest: this.newest }
      }
      if (limits.messages > 0 && this.count + fresh.length > limits.messages) {
        return { status: 'full', limit: 'messages' }
      }
      const size = fresh.reduce((sum, { body }) => sum + Buffer.byteLength(body), this.bodyBytes)
      if (limits.bytes > 0 && size > limits.bytes) return { status: 'full', limit: 'bytes' }
      if (around.ownerIsFull && !this.exists) return { status: 'full', limit: 'threads' }
      this.begin()
      let pins = false
      for (const message of fresh) pins = this.place(message, now) || pins
      const outcome: ChangeOutcome = { status: 'done', kind: 'splice', seqs: [] }
      if (token !== undefined) this.operations.remember(token, digest, outcome, now)
      this.changed(pins)
    }
    const seqs = messages.map(({ id }) => this.seqOf(id) ?? 0)
    return { status: fresh.length > 0 ? 'stored' : 'duplicate', ...this.standing(), seqs, before }
  }

  delete({ token, generation }: DeleteOptions): DeleteResult {
    if (this.#lastDeletion?.token === token) {
      return { existed: this.#lastDeletion.existed, generation: this.generation }
    }
    if (this.isOvertaken(generation)) return { existed: false, generation: this.generation }
    const existed = this.exists
    this.clear()
    this.#lastDeletion = { token, existed }
    this.generation++
    this.version++
    return { existed, generation: this.generation }
  }

  /** A copy up to a seq, as a new thread; `over` is what its name has now, such as a deletion. */
  fork(over: ThreadImage, upTo = this.newest, token = ''): ThreadImage {
    const copy = new ThreadImage(this)
    copy.operations.clear()
    copy.#lastDeletion = undefined
    copy.newest = Math.min(this.newest, upTo)
    for (const record of this.downFrom(this.newest)) {
      if (record.seq <= upTo) break
      copy.drop(record)
      copy.#places.delete(record.id)
    }
    const [end] = copy.downFrom(copy.newest)
    if (end !== undefined) {
      copy.#passed = end.tokensBefore + end.tokens
      copy.#turn = end.turn
    }
    const first = copy.summaries[0]
    if (first !== undefined && first.to > copy.newest) {
      copy.summaries = copy.summaries.slice(1).filter(({ to }) => to <= copy.newest)
    }
    copy.epoch = randomUUID()
    copy.generation = over.generation
    copy.version = Math.max(this.version, over.version)
    copy.changed(true)
    copy.operations.remember(token, '', { status: 'done', kind: 'splice', seqs: [] }, 0)
    return copy
  }

  /** Whether this thread was made by the fork of this token. */
  isForkOf(token: string): boolean {
    return this.operations.before(token, '') !== undefined
  }

  /** The whole thread, for a backup. */
  dump(changedAt: number, ttlMs: number): ThreadDump {
    const { version, newest, pinned, summaries, state } = this
    const records = [...this.downFrom(newest)].reverse()
    const createdAt = records[0]?.at ?? changedAt
    const counted = { tokensEver: this.#passed, turns: this.#turn }
    return {
      ttlMs,
      createdAt,
      changedAt,
      version,
      newest,
      ...counted,
      pinned,
      summaries,
      state: new Map(state),
      records,
    }
  }

  /** A thread of a dump; `over` is what its name has now, such as a deletion. */
  static from(dump: ThreadDump, over: ThreadImage): ThreadImage {
    const log = new ThreadImage()
    log.begin()
    for (const record of dump.records) log.put(record)
    for (const [key, value] of dump.state) log.state.set(key, value)
    log.count = dump.records.length
    log.newest = dump.newest
    log.pinned = dump.pinned
    log.summaries = dump.summaries.map((summary) => ({ ...summary, plan: '' }))
    log.generation = over.generation
    log.version = dump.version + over.version
    log.edited = log.version
    log.#passed = dump.tokensEver
    log.#turn = dump.turns
    return log
  }

  standing(): ThreadVersion {
    const { epoch, generation, version, edited } = this
    return { epoch, generation, version, edited }
  }

  clear(): void {
    this.#records.clear()
    this.#places.clear()
    this.#openCalls.clear()
    this.operations.clear()
    this.state.clear()
    this.pinned = []
    this.summaries = []
    this.epoch = ''
    this.count = this.newest = this.edited = this.bytes = this.bodyBytes = 0
    this.#passed = this.#turn = 0
  }

  begin(): void {
    if (this.epoch === '') this.epoch = randomUUID()
  }

  /** Ends a change. `rewrote` says that it touched earlier records. */
  changed(rewrote: boolean): void {
    this.version++
    if (rewrote) this.edited = this.version
  }

  /** Puts a message at the thread's end. Returns whether it was pinned, as the first system message. */
  place({ id, role, tokens, body, digest, opens, answers }: PreparedMessage, at: number): boolean {
    const seq = ++this.newest
    const answered = this.#takeCalls(seq, opens, answers)
    if (role === 'user' && answers.length === 0) this.#turn++
    this.add({
      seq,
      id,
      role,
      tokens,
      tokensBefore: this.#passed,
      turn: this.#turn,
      at,
      revision: 0,
      digest,
      opens,
      answers: answered,
      body,
    })
    this.#places.set(id, { seq, digest })
    this.count++
    this.#passed += tokens
    if (this.pinned.length > 0 || (role !== 'system' && role !== 'developer')) return false
    this.pinned = [seq]
    return true
  }

  /** Replaces a record's body in place, and its tool calls and results. */
  rewrite(record: MessageRecord, { role, tokens, body, digest, opens, answers }: PreparedMessage): void {
    this.#releaseCalls(record)
    const answered = this.#takeCalls(record.seq, opens, answers)
    this.forget(record)
    const revision = record.revision + 1
    this.add({ ...record, role, tokens, body, digest, revision, opens, answers: answered })
  }

  /** Removes a record; its id stays known. A call whose result is removed is open again. */
  drop(record: MessageRecord): void {
    this.#releaseCalls(record)
    this.forget(record)
    this.count--
    this.pinned = this.pinned.filter((seq) => seq !== record.seq)
  }

  add(record: MessageRecord): void {
    this.#records.set(record.seq, record)
    this.bytes += bytesOf(record)
    this.bodyBytes += Buffer.byteLength(record.body)
  }

  forget(record: MessageRecord): void {
    this.#records.delete(record.seq)
    this.bytes -= bytesOf(record)
    this.bodyBytes -= Buffer.byteLength(record.body)
  }

  /** Takes over a record of another store, or of this thread's store in its newer form. */
  put(record: MessageRecord): void {
    const { seq, id, revision, digest } = record
    const known = this.#records.get(seq)
    if (known !== undefined) this.forget(known)
    this.add(record)
    // The first body of an edited message is not known.
    if (!this.#places.has(id)) this.#places.set(id, { seq, digest: revision === 0 ? digest : undefined })
    for (const { call } of record.answers) this.#openCalls.delete(call)
    for (const call of record.opens) this.#openCalls.set(call, seq)
    if (seq >= this.newest) {
      this.#passed = record.tokensBefore + record.tokens
      this.#turn = record.turn
    }
    this.newest = Math.max(this.newest, seq)
  }

  /** Forgets a record as if it had never been seen. */
  unsee(record: MessageRecord): void {
    this.forget(record)
    this.#places.delete(record.id)
  }

  /** Opens and answers tool calls for the message at a seq; returns the seqs of the answered calls. */
  #takeCalls(seq: number, opens: readonly string[], answers: readonly string[]): readonly Answered[] {
    const answered: Answered[] = []
    for (const call of answers) {
      answered.push({ call, madeAt: this.#openCalls.get(call) })
      this.#openCalls.delete(call)
    }
    for (const call of opens) this.#openCalls.set(call, seq)
    return answered
  }

  /** Undoes {@link ThreadImage.#takeCalls}: a call whose result is gone is open again. */
  #releaseCalls(record: MessageRecord): void {
    for (const { call, madeAt } of record.answers) {
      const isOpenAgain = madeAt !== undefined && this.#records.has(madeAt) && !this.#openCalls.has(call)
      if (isOpenAgain) this.#openCalls.set(call, madeAt)
    }
    for (const call of record.opens) {
      if (this.#openCalls.get(call) === record.seq) this.#openCalls.delete(call)
    }
  }

  /** Whether the thread was deleted since a write of this generation was accepted. */
  isOvertaken(generation: number | undefined): boolean {
    return generation !== undefined && this.generation > generation
  }
}

/** Approximate bytes of a message in memory. */
export function bytesOf({ id, body }: { readonly id: string; readonly body: string }): number {
  return 2 * (body.length + id.length) + overheadBytes
}
