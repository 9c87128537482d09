import { createLog, ReplyError } from '@evenkeel/core'
import type { Appended, Conversations, Reading } from './conversations.js'
import { MessageConflictError, ThreadUnknownError } from './errors.js'
import { type Journal, type JournalEntry, Outcome, sizeOf, type ThreadJournal } from './journal.js'
import type { KnownThreads } from './known-threads.js'
import type { PreparedMessage } from './message.js'
import type { DeleteResult, TailRequest, ThreadId, ThreadStore } from './store.js'
import { ThreadLog } from './thread-log.js'

const log = createLog('agent-memory')

/** Threads that are replayed at once; each of them in its order. */
const replayedAtOnce = 16

/** Appends of a thread go together on replay: it must be faster than whoever goes on writing meanwhile. */
const mostTogether = { messages: 200, bytes: 512 << 10 }

/** How long a write may be held up for a replay to end; then it is journaled like those before it. */
const longestHoldMs = 250

/**
 * Conversations while Redis is away: writes are journaled and shown behind what this process knows of the
 * thread. On return the journal is replayed, each thread in its order.
 *
 * Nothing is awaited before a write is in the journal, so that no turn of the event loop comes between the
 * choice of this side and the journal; see {@link replay}.
 */
export class OutageConversations implements Conversations {
  readonly #journal: Journal
  readonly #known: KnownThreads
  readonly #ttlMs: number
  #hold: Hold | undefined

  constructor(journal: Journal, known: KnownThreads, ttlMs: number) {
    this.#journal = journal
    this.#known = known
    this.#ttlMs = ttlMs
  }

  /** While a replay is about to end: resolves when it has, soon. Writes that wait for it go to Redis again. */
  get held(): Promise<void> | undefined {
    return this.#hold?.promise
  }

  async append(id: ThreadId, batch: readonly PreparedMessage[]): Promise<Appended> {
    const thread = this.#threadOf(id)
    const conflict = thread.view.conflictOf(batch)
    if (conflict !== undefined) return { status: 'conflict', id: conflict }
    const outcome: AppendEntry['outcome'] = new Outcome()
    const { version } = thread.view
    const generation = generationOf(thread)
    this.#journal.add(thread, { kind: 'append', batch, generation, outcome, ...sizeOf(batch) })
    thread.view.append(batch)
    return { status: 'journaled', version: thread.isKnown ? version : 0, stored: outcome.promise }
  }

  async read(id: ThreadId, request: TailRequest): Promise<Reading> {
    const thread = this.#journal.of(id)
    const view = thread?.view ?? this.#known.get(id)
    if (view === undefined) throw new ThreadUnknownError()
    return { ...view.tail(request), stale: true, complete: (thread?.isKnown ?? true) && view.isWhole }
  }

  async delete(id: ThreadId, token: string): Promise<Pick<DeleteResult, 'existed'>> {
    const thread = this.#threadOf(id)
    const generation = generationOf(thread)
    this.#journal.add(thread, { kind: 'delete', token, generation, outcome: new Outcome(), ...sizeOf([]) })
    return thread.view.delete({ token })
  }

  /**
   * Sends what is journaled to the store, and calls `handOver` in the turn in which nothing is left. What
   * fails because Redis is away again stays in the journal; every entry may be sent again.
   *
   * Writers go on meanwhile, and one who never pauses for a round trip would keep the journal from ever being
   * empty: so when what had waited is sent, writes are held up until the little that came since is too.
   */
  async replay(store: ThreadStore, signal: AbortSignal, handOver: () => void): Promise<void> {
    await this.#sendWaiting(store, signal)
    const hold = new Hold()
    this.#hold = hold
    try {
      while (!this.#journal.isEmpty) await this.#sendWaiting(store, signal)
      handOver()
    } finally {
      hold.end()
      if (this.#hold === hold) this.#hold = undefined
    }
  }

  /** Everything that is in the journal now; what comes meanwhile is not waited for. */
  async #sendWaiting(store: ThreadStore, signal: AbortSignal): Promise<void> {
    const waiting = [...this.#journal.threads()].map((thread) => ({ thread, last: thread.entries.at(-1) }))
    const next = waiting.values()
    const lanes = Array.from({ length: replayedAtOnce }, async () => {
      for (const { thread, last } of next) await this.#replayThread(store, thread, last, signal)
    })
    const failed = (await Promise.allSettled(lanes)).find(({ status }) => status === 'rejected')
    if (failed?.status === 'rejected') throw failed.reason
  }

  #threadOf(id: ThreadId): ThreadJournal {
    const known = this.#known.get(id)
    return (
      this.#journal.of(id) ?? {
        id,
        entries: [],
        view: known?.clone() ?? new ThreadLog(),
        isKnown: known !== undefined,
      }
    )
  }

  async #replayThread(
    store: ThreadStore,
    thread: ThreadJournal,
    last: JournalEntry | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    while (last !== undefined && thread.entries.includes(last)) {
      signal.throwIfAborted()
      const entries = nextOf(thread)
      try {
        await this.#send(store, thread.id, entries)
      } catch (error) {
        // Only what is wrong with this very thread lets go of it: all else may be mended, and is tried again.
        if (!(error instanceof ReplyError) || error.prefix !== 'WRONGTYPE') throw error
        for (const entry of entries) refuse(entry, error)
      }
      for (const entry of entries) this.#journal.acknowledge(thread, entry)
    }
  }

  async #send(store: ThreadStore, id: ThreadId, entries: readonly JournalEntry[]): Promise<void> {
    const [first] = entries
    if (first?.kind === 'delete') {
      const result = await store.delete(id, first)
      this.#known.deleted(id, result.generation)
      first.outcome.resolve(result)
    } else await this.#sendAppends(store, id, entries.filter(isAppend))
  }

  /** A message whose id another writer took meanwhile is refused, alone: its neighbours are stored. */
  async #sendAppends(store: ThreadStore, id: ThreadId, entries: readonly AppendEntry[]): Promise<void> {
    const generation = entries[0]?.generation
    let batch = entries.flatMap((entry) => entry.batch)
    while (batch.length > 0) {
      const result = await store.append(id, batch, { ttlMs: this.#ttlMs, generation })
      if (result.status === 'conflict') {
        const taken = (message: PreparedMessage) => message.id === result.id
        for (const entry of entries) {
          if (entry.batch.some(taken)) refuse(entry, new MessageConflictError(result.id))
        }
        batch = batch.filter((message) => !taken(message))
        continue
      }
      if (result.status === 'deleted') {
        log('journaled appends were for a thread that was deleted since')
        for (const { outcome } of entries) outcome.resolve(result)
        return
      }
      this.#known.appended(id, batch, result)
      const seqs = new Map(batch.map((message, index) => [message.id, result.seqs[index] ?? 0]))
      for (const { batch: own, outcome } of entries) {
        outcome.resolve({ ...result, seqs: own.map((message) => seqs.get(message.id) ?? 0) })
      }
      return
    }
  }
}

/** Ends by itself when it takes too long. */
class Hold {
  readonly #ended = new Outcome<void>()
  readonly #timer: NodeJS.Timeout

  constructor() {
    this.#timer = setTimeout(() => this.end(), longestHoldMs)
    this.#timer.unref()
  }

  get promise(): Promise<void> {
    return this.#ended.promise
  }

  end(): void {
    clearTimeout(this.#timer)
    this.#ended.resolve()
  }
}

type AppendEntry = Extract<JournalEntry, { kind: 'append' }>

function isAppend(entry: JournalEntry): entry is AppendEntry {
  return entry.kind === 'append'
}

/** A deletion, or the appends that can go together: of one generation, each id once. */
function nextOf({ entries }: ThreadJournal): readonly JournalEntry[] {
  const together: JournalEntry[] = []
  const ids = new Set<string>()
  let [messages, bytes] = [0, 0]
  for (const entry of entries) {
    messages += entry.messages
    bytes += entry.bytes
    const isFirst = together.length === 0
    const fits = messages <= mostTogether.messages && bytes <= mostTogether.bytes
    const joins = isAppend(entry) && fits && entry.generation === together[0]?.generation
    const isRepeated = isAppend(entry) && entry.batch.some(({ id }) => ids.has(id))
    if (!isFirst && (!joins || isRepeated)) break
    together.push(entry)
    if (!isAppend(entry)) break
    for (const { id } of entry.batch) ids.add(id)
  }
  return together
}

/** Of a thread that was never seen here nothing is known, and so nothing can be said to have been deleted since. */
function generationOf({ isKnown, view }: ThreadJournal): number | undefined {
  return isKnown ? view.generation : undefined
}

function refuse(entry: JournalEntry, error: Error): void {
  entry.outcome.reject(error)
  process.emitWarning(`A journaled ${entry.kind} was refused by Redis: ${error.message}`, {
    code: 'EVENKEEL_JOURNAL',
  })
}
