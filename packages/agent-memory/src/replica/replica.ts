import type { PreparedMessage } from '../messages/prepare.js'
import type { Change, Changed } from '../stores/change.js'
import type { Since, Tail, TailRequest } from '../stores/port.js'
import type { ThreadVersion } from '../stores/thread-id.js'
import { changeThread } from './apply.js'
import { asks, tailOf } from './read.js'
import { ThreadImage } from './thread-image.js'

/** A store's reply to an append. */
export type Stored = ThreadVersion & { readonly seqs: readonly number[]; readonly before: number }

const unknown = -1

/** Whether messages that were stored before are the newest of their thread, without a gap. */
export function isEnd({ seqs, before }: Stored): boolean {
  return seqs.length > 0 && seqs.every((seq, index) => seq === before - seqs.length + 1 + index)
}

/**
 * What this process has seen of a thread in Redis, so that it reads only new records, and for outages.
 * It has every record from `#from` to `#upTo` as it was at version `#synced`.
 */
export class ThreadReplica {
  readonly log = new ThreadImage()
  #from = 1
  #upTo = 0
  #synced = unknown
  /** Whether the newest message of a user is known, or that there is none. */
  #knowsAsked = false
  #last: { readonly key: string; readonly tail: Tail } | undefined

  /** Every message from this seq on is known. */
  get from(): number {
    return this.#from
  }

  get since(): Since | undefined {
    if (this.#synced === unknown || !this.log.exists) return undefined
    return { epoch: this.log.epoch, version: this.#synced, newest: this.#upTo }
  }

  /** The end of the thread as it is known here; the same object as long as nothing changed. */
  tail(request: TailRequest): Tail {
    const { maxMessages, maxTokens, maxTurns = 0 } = request
    const { version, generation } = this.log
    const key = `${maxMessages} ${maxTokens} ${maxTurns} ${version} ${generation} ${this.#upTo}`
    if (this.#last?.key !== key) this.#last = { key, tail: tailOf(this.log, request) }
    return this.#last.tail
  }

  /** Whether the replica has everything that a window of this size can contain, apart from newer records. */
  covers(request: TailRequest): boolean {
    if (this.since === undefined) return false
    const { from, asked, records } = this.tail(request)
    if (from < this.#from) return false
    return this.#from === 1 || this.#knowsAsked || asked !== undefined || records.some(asks)
  }

  appended(messages: readonly PreparedMessage[], stored: Stored, now: number): void {
    const { log } = this
    const isNew = stored.epoch !== log.epoch
    if (!stored.seqs.some((seq) => seq > stored.before)) {
      // A duplicate: the version may include changes of others that are not known here.
      if (!isNew) log.generation = stored.generation
      else if (!log.exists && isEnd(stored)) this.#repeated(messages, stored, now)
      return
    }
    this.#last = undefined
    if (isNew) {
      this.#forget()
      // A thread that this append began is known from its beginning.
      if (stored.before === 0) this.#synced = stored.version - 1
    }
    if (stored.version === this.#synced && !isNew) return
    const isAtEnd = stored.before === this.#upTo && this.#knowsEnd
    const isNext = stored.version === this.#synced + 1 && isAtEnd
    log.epoch = stored.epoch
    let first: number | undefined
    for (const [index, message] of messages.entries()) {
      const seq = stored.seqs[index] ?? 0
      if (seq <= stored.before || seq <= log.newest || log.has(message.id)) continue
      first ??= seq
      log.newest = seq - 1
      log.place(message, now)
    }
    if (isNext) {
      this.#upTo = log.newest
      this.#synced = stored.version
    } else {
      // Others changed the thread in between: the next read reads everything again.
      this.#synced = unknown
      this.#from = first ?? log.newest + 1
    }
    this.#stand(stored)
  }

  /** Learns the end of an unknown thread: this process appended it, and the reply was lost. */
  #repeated(messages: readonly PreparedMessage[], stored: Stored, now: number): void {
    const { log } = this
    this.#last = undefined
    log.epoch = stored.epoch
    for (const [index, message] of messages.entries()) {
      log.newest = (stored.seqs[index] ?? 0) - 1
      log.place(message, now)
    }
    this.#from = stored.seqs[0] ?? 1
    this.#stand(stored)
  }

  /** Takes over the result of a read, unless the replica is newer. */
  read(tail: Tail): void {
    this.#last = undefined
    const { log } = this
    if (tail.epoch !== log.epoch) this.#forget()
    else if (tail.version < this.#synced) return
    if (tail.kind === 'tail') {
      const isContinued =
        this.#synced !== unknown && tail.edited <= this.#synced && tail.from <= this.#upTo + 1
      if (!isContinued) this.#forget()
      this.#from = isContinued ? Math.min(this.#from, tail.from) : tail.from
      if (tail.asked !== undefined) log.put(tail.asked)
      this.#knowsAsked = true
      for (const record of tail.pinned) log.put(record)
      log.pinned = tail.pinned.map(({ seq }) => seq)
      log.summaries = tail.summary === undefined ? [] : [{ ...tail.summary, plan: '' }]
    }
    for (const record of tail.records) log.put(record)
    log.epoch = tail.epoch
    log.newest = tail.newest
    log.count = tail.count
    this.#upTo = tail.newest
    this.#synced = tail.version
    this.#stand(tail)
  }

  /** Applies a change; returns `false` if the state of the thread is not known afterwards. */
  changed(change: Change, changed: Changed, now: number): boolean {
    this.#last = undefined
    if (changed.epoch !== this.log.epoch || changed.version === this.#synced) return true
    if (changed.version !== this.#synced + 1 || changed.status !== 'done') return false
    if (!this.#follows(change, now)) return false
    if (!('key' in change) && change.kind !== 'pin') this.#knowsAsked = false
    this.#synced = changed.version
    this.#upTo = this.log.newest
    this.#stand(changed)
    return true
  }

  /**
   * Whether the number of tokens and turns before the thread's next message is known here. The store counts a message
   * as it was appended; if the newest one was removed or edited since, its record does not say how it was counted.
   */
  get #knowsEnd(): boolean {
    const [newest] = this.log.downFrom(this.#upTo)
    return (newest?.seq ?? 0) === this.#upTo && (newest?.revision ?? 0) === 0
  }

  /** Applies the change here too; returns whether the thread's next version consists of it. */
  #follows(change: Change, now: number): boolean {
    // Values are not kept here, so whether there was one to remove is unknown.
    if ('key' in change) return change.kind !== 'unset'
    // If only the end of the thread is known, it is unknown which of the given messages exist.
    if (change.kind === 'put' && this.#from > 1) return false
    if ((change.kind === 'splice' || change.kind === 'put') && !this.#knowsEnd) return false
    const { log } = this
    const { version } = log
    // A change of a message that is not known here can't be applied. A change without effect makes no version, so the
    // next version is another writer's.
    return changeThread(log, change, now).status === 'done' && log.version !== version
  }

  /** Keeps the newest records and the pinned ones; done now and then, since the cost grows with the records. */
  trim(maxMessages: number): void {
    const { log } = this
    if (log.size <= maxMessages * 1.25) return
    this.#last = undefined
    const [...records] = log.downFrom(log.newest)
    const asked = records.find(asks)
    for (const record of records.slice(maxMessages)) {
      if (record !== asked && !log.pinned.includes(record.seq)) log.unsee(record)
    }
    this.#from = Math.max(this.#from, records[maxMessages - 1]?.seq ?? 1)
  }

  #forget(): void {
    this.log.clear()
    this.#from = 1
    this.#upTo = 0
    this.#synced = unknown
    this.#knowsAsked = false
  }

  #stand({ generation, version, edited }: ThreadVersion): void {
    this.log.generation = generation
    this.log.version = Math.max(version, this.#synced)
    this.log.edited = edited
  }
}
