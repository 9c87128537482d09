import { EvenkeelError, ReplyError } from '@evenkeel/core'
import { createLog, type Logger, notify } from '@evenkeel/core/kit'
import type { StoredOutcome, WriteLog } from '../backends/port.js'
import { LimitReachedError, MessageConflictError, OperationConflictError } from '../errors.js'
import type { PreparedMessage } from '../messages/prepare.js'
import type { Counters } from '../metrics.js'
import type { ReplicaCache } from '../replica/replica-cache.js'
import type { Limits } from '../stores/limits.js'
import type { AppendResult, ThreadStore } from '../stores/port.js'
import type { ThreadId } from '../stores/thread-id.js'
import type { AppendEntry, JournalEntry } from './entry.js'

const log = createLog('agent-memory')

/** Maxima of the appends of a thread that are sent together: a replay must be faster than the writers. */
const maxTogether = { messages: 200, bytes: 512 << 10 }

/**
 * How much is sent together. If a server or a network can't take that much within a command's deadline, the next try
 * sends half of it, down to some kilobytes; otherwise no try would ever finish.
 */
export class ReplayPace {
  #share = 1

  get messages(): number {
    return maxTogether.messages * this.#share
  }

  get bytes(): number {
    return maxTogether.bytes * this.#share
  }

  timedOut(): void {
    this.#share = Math.max(this.#share / 2, 1 / 32)
  }

  /** Call it only when a replay is finished, since a try that fails again starts from the beginning. */
  ended(): void {
    this.#share = Math.min(this.#share * 2, 1)
  }
}

export interface ReplayTerms {
  readonly counters?: Counters | undefined
  readonly ttlMs: number
  readonly limits: Limits
  readonly logger?: Logger | undefined
}

export interface ReplayOptions extends ReplayTerms {
  readonly pace: ReplayPace
  /** Called when writes are in Redis, or refused for good: the recovery makes progress. */
  readonly sent: () => void
}

/** Sends earlier writes to the store; each may be sent again. */
export class Replay {
  constructor(
    private readonly store: ThreadStore,
    private readonly known: ReplicaCache,
    private readonly terms: ReplayOptions,
    /** Absent for writes that Redis had acknowledged and may have lost: the log has them already. */
    private readonly remember?: WriteLog,
  ) {}

  /**
   * Sends the entries, which belong together; see {@link Replay.nextOf}.
   * @throws UnavailableError when Redis is away again
   */
  async send(id: ThreadId, entries: readonly JournalEntry[]): Promise<void> {
    try {
      await this.#send(id, entries)
    } catch (error) {
      if (isTimeout(error)) this.terms.pace.timedOut()
      throw error
    }
    this.terms.sent()
  }

  async #send(id: ThreadId, entries: readonly JournalEntry[]): Promise<void> {
    try {
      const [first] = entries
      if (first === undefined) return
      if (first.kind === 'append') await this.#sendAppends(id, entries.filter(isAppend))
      else if (first.kind === 'delete') {
        const result = await this.store.delete(id, first)
        this.known.deleted(id, result.generation)
        this.remember?.deleted(id, first.token, result.generation - 1)
        first.outcome.resolve(result)
      } else {
        const changed = await this.store.change(id, first.change, {
          ttlMs: this.terms.ttlMs,
          generation: first.generation,
        })
        this.known.forget(id)
        if (changed.status === 'done') this.remember?.changed(id, first.change, changed)
        first.outcome.resolve(changed)
      }
    } catch (error) {
      // Only an error of this thread's key refuses its writes: any other cause may be repaired, and is tried again.
      if (!(error instanceof ReplyError) || error.prefix !== 'WRONGTYPE') throw error
      for (const entry of entries) this.#refuse(entry, error)
    }
  }

  /** What can be sent together from the front: one write, or appends of one kind and generation, each id once. */
  nextOf(entries: readonly JournalEntry[]): readonly JournalEntry[] {
    const { pace } = this.terms
    const together: JournalEntry[] = []
    const ids = new Set<string>()
    let [messages, bytes] = [0, 0]
    const [first] = entries
    for (const entry of entries) {
      messages += entry.messages
      bytes += entry.bytes
      if (entry !== first) {
        const fits = messages <= pace.messages && bytes <= pace.bytes
        const isOfKind = entry.generation === first?.generation && entry.isInherited === first?.isInherited
        const isLike = isAppend(entry) && isOfKind && entry.token === undefined
        if (!isLike || !fits || entry.batch.some(({ id }) => ids.has(id))) break
      }
      together.push(entry)
      if (!isAppend(entry) || entry.token !== undefined) break
      for (const { id } of entry.batch) ids.add(id)
    }
    return together
  }

  #refuse(entry: JournalEntry, error: Error): void {
    // A write that is sent again after a loss was reported when it was first stored.
    if (this.remember === undefined) return
    if (this.terms.counters !== undefined) this.terms.counters.journal.refused += entry.messages
    entry.outcome.reject(error)
    const message = `A journaled ${entry.kind} was refused by Redis: ${error.message}`
    notify(this.terms.logger, 'warn', message, 'EVENKEEL_JOURNAL')
  }

  /** A message whose id another writer took meanwhile is refused, alone: its neighbours are stored. */
  async #sendAppends(id: ThreadId, entries: readonly AppendEntry[]): Promise<void> {
    const { generation, token, digest } = entries[0] ?? {}
    let batch = entries.flatMap((entry) => entry.batch)
    while (batch.length > 0) {
      const { ttlMs, limits } = this.terms
      const result = await this.store.append(id, batch, { ttlMs, limits, generation, token, digest })
      if (result.status === 'conflict') {
        const taken = (message: PreparedMessage) => message.id === result.id
        for (const entry of entries) {
          if (entry.batch.some(taken)) this.#refuse(entry, new MessageConflictError(result.id))
        }
        batch = batch.filter((message) => !taken(message))
        continue
      }
      if (!isSettled(result)) {
        if (entries.length > 1) {
          // A single append may still fit.
          for (const entry of entries) await this.#sendAppends(id, [entry])
        } else for (const entry of entries) this.#refuse(entry, errorOf(result))
        return
      }
      if (result.status === 'deleted') {
        log('journaled appends were for a thread that was deleted since')
        for (const { outcome } of entries) outcome.resolve(result)
        return
      }
      this.known.appended(id, batch, result)
      this.remember?.appended(id, batch, result.generation)
      const { counters } = this.terms
      const isHealing = this.remember === undefined
      const fresh = result.seqs.filter((seq) => seq > result.before).length
      if (counters !== undefined)
        counters.journal[isHealing ? 'healed' : 'replayed'] += isHealing ? fresh : batch.length
      const seqs = new Map(batch.map((message, index) => [message.id, result.seqs[index] ?? 0]))
      for (const { batch: own, outcome } of entries) {
        const places = own.map((message) => seqs.get(message.id) ?? 0)
        const isNew = places.some((seq) => seq > result.before)
        outcome.resolve({ ...result, status: isNew ? 'stored' : 'duplicate', seqs: places })
      }
      return
    }
  }
}

function isAppend(entry: JournalEntry): entry is AppendEntry {
  return entry.kind === 'append'
}

function isSettled(result: AppendResult): result is StoredOutcome {
  return result.status === 'stored' || result.status === 'duplicate' || result.status === 'deleted'
}

function errorOf(result: Exclude<AppendResult, StoredOutcome | { status: 'conflict' }>): Error {
  if (result.status === 'full') return new LimitReachedError(result.limit)
  return new OperationConflictError()
}

function isTimeout(error: unknown): boolean {
  return EvenkeelError.isInstance(error) && error.code === 'COMMAND_TIMEOUT'
}

/** Threads that are replayed at once; each of them in its order. */
const replayedAtOnce = 16

/** Works on some items at a time; if one fails, the others of its turn are awaited first. */
export async function forEachConcurrent<T>(
  items: Iterable<T>,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const next = items[Symbol.iterator]()
  const lanes = Array.from({ length: replayedAtOnce }, async () => {
    for (let item = next.next(); !item.done; item = next.next()) await work(item.value)
  })
  const failed = (await Promise.allSettled(lanes)).find(({ status }) => status === 'rejected')
  if (failed?.status === 'rejected') throw failed.reason
}
