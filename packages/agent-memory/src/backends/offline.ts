import { type RecoverContext, UnavailableError } from '@evenkeel/core'
import { ThreadUnknownError } from '../errors.js'
import { entryOf, type JournalEntry, type ThreadWrite, type Write } from '../journal/entry.js'
import type { Journal, ThreadJournal } from '../journal/journal.js'
import { forEachConcurrent, Replay, ReplayPace, type ReplayTerms } from '../journal/replay.js'
import type { RecentWrites } from '../journal/resend-lost.js'
import { resendLost } from '../journal/resend-lost.js'
import { WriteGate } from '../journal/write-gate.js'
import type { PreparedMessage } from '../messages/prepare.js'
import { changeThread } from '../replica/apply.js'
import { pageOf, tailOf } from '../replica/read.js'
import type { ReplicaCache } from '../replica/replica-cache.js'
import { ThreadImage } from '../replica/thread-image.js'
import type { Change, Changed } from '../stores/change.js'
import type {
  DeleteResult,
  Erased,
  ForkResult,
  LeaseResult,
  Page,
  PageRequest,
  StateValue,
  TailRequest,
  ThreadListPage,
  ThreadStore,
} from '../stores/port.js'
import type { ThreadId } from '../stores/thread-id.js'
import type { AppendGuards, AppendOutcome, ChangeResult, Freshness, Reading, ThreadBackend } from './port.js'

/** The part of a recovery's context that a replay needs. */
export type ReplayTurn = Pick<RecoverContext<unknown>, 'signal' | 'progress' | 'handOver'>

/**
 * Threads in an outage: writes are journaled, and reads show them after what this process knows of the thread. When
 * Redis is back, the journal is replayed, each thread in its order.
 *
 * Nothing is awaited before a write is in the journal, so that no turn of the event loop comes between the choice of
 * this backend and the journal; see {@link replay}.
 */
export class OfflineBackend implements ThreadBackend {
  readonly #journal: Journal
  readonly #known: ReplicaCache
  readonly #terms: ReplayTerms
  readonly #recent: RecentWrites | undefined
  /** Kept from one try of a replay to the next. */
  readonly #pace = new ReplayPace()
  readonly #before: ((id: ThreadId) => Promise<void> | undefined) | undefined
  #hold: WriteGate | undefined

  /** @param before what new journaled writes of a thread must wait for; writes acknowledged before wait for nothing */
  constructor(
    journal: Journal,
    known: ReplicaCache,
    terms: ReplayTerms,
    recent?: RecentWrites,
    before?: (id: ThreadId) => Promise<void> | undefined,
  ) {
    this.#journal = journal
    this.#known = known
    this.#terms = terms
    this.#recent = recent
    this.#before = before
  }

  /** While a replay is about to end: resolves soon, when it has ended. Writes that wait for it then go to Redis. */
  get held(): Promise<void> | undefined {
    return this.#hold?.promise
  }

  async append(
    id: ThreadId,
    batch: readonly PreparedMessage[],
    { version, fence, token, digest, generation }: AppendGuards = {},
  ): Promise<AppendOutcome> {
    if (version !== undefined || fence !== undefined) throw cannot('a condition of an append')
    const thread = this.#threadOf(id)
    const conflict = thread.view.conflictOf(batch)
    if (conflict !== undefined) return { status: 'conflict', id: conflict }
    if (thread.view.isOvertaken(generation)) return { status: 'deleted', generation: thread.view.generation }
    const { version: known } = thread.view
    const since = generation ?? generationOf(thread)
    const entry = this.#add(thread, { kind: 'append', batch, generation: since, token, digest })
    thread.view.append(batch, {}, Date.now())
    await this.#journal.synced()
    return {
      status: 'journaled',
      version: thread.isKnown ? known : 0,
      generation: since,
      stored: entry.outcome.promise as Extract<AppendOutcome, { status: 'journaled' }>['stored'],
    }
  }

  async read(id: ThreadId, request: TailRequest): Promise<Reading> {
    const { view, from } = this.#seen(id)
    const tail = tailOf(view, request)
    return { ...tail, stale: true, complete: tail.from >= from }
  }

  async page(id: ThreadId, request: PageRequest): Promise<Page & Freshness> {
    const { view } = this.#seen(id)
    return { ...pageOf(view, request), stale: true, complete: view.size >= view.count }
  }

  async change(id: ThreadId, change: Change, generation?: number): Promise<ChangeResult> {
    const isConditional = 'version' in change && change.version !== undefined
    if (isConditional || change.kind === 'edit' || change.kind === 'splice' || change.kind === 'summarise') {
      throw cannot('a change that depends on what the thread is')
    }
    const thread = this.#threadOf(id)
    if (thread.view.isOvertaken(generation)) {
      return { status: 'deleted', ...thread.view.standing(), journaled: true }
    }
    this.#add(thread, { kind: 'change', change, generation: generation ?? generationOf(thread) })
    const changed = show(thread.view, change)
    await this.#journal.synced()
    return { ...changed, journaled: true }
  }

  async state(
    id: ThreadId,
    keys?: readonly string[],
  ): Promise<{ readonly values: ReadonlyMap<string, StateValue> } & Freshness> {
    const thread = this.#journal.of(id)
    const state = thread?.view.state ?? new Map<string, StateValue>()
    const values = new Map([...state].filter(([key]) => keys === undefined || keys.includes(key)))
    // This process knows only values that it wrote in this outage.
    if (keys === undefined ? values.size === 0 : values.size < keys.length) throw new ThreadUnknownError()
    return { values, stale: true, complete: keys !== undefined }
  }

  async lease(): Promise<LeaseResult> {
    throw cannot('a lease')
  }

  async fork(): Promise<ForkResult> {
    throw cannot('a fork')
  }

  async threads(): Promise<ThreadListPage> {
    throw cannot('a list of threads')
  }

  async erase(): Promise<Erased> {
    throw cannot('an erasure')
  }

  async whole(): Promise<ThreadStore> {
    throw cannot('a backup')
  }

  async delete(id: ThreadId, token: string): Promise<Pick<DeleteResult, 'existed'>> {
    const thread = this.#threadOf(id)
    this.#add(thread, { kind: 'delete', token, generation: generationOf(thread) })
    const result = thread.view.delete({ token })
    await this.#journal.synced()
    return result
  }

  /** Takes over a write that another process acknowledged, and left behind. */
  adopt({ id, write }: ThreadWrite): void {
    const thread = this.#threadOf(id)
    const entry = entryOf(write)
    entry.isInherited = true
    this.#journal.add(thread, entry)
    if (write.kind === 'append') thread.view.append(write.batch, {}, Date.now())
    else if (write.kind === 'delete') thread.view.delete({ token: write.token })
    else show(thread.view, write.change)
  }

  /**
   * Sends the journaled writes to the store, and calls `handOver` in the turn of the event loop in which nothing is
   * left. Entries that fail because Redis is away again stay in the journal; every entry may be sent again.
   *
   * Writers continue meanwhile, and one that never pauses for a round trip would keep the journal from emptying.
   * So when the entries that had waited are sent, new writes wait until the few that came since are sent too.
   */
  async replay(store: ThreadStore, turn: ReplayTurn): Promise<void> {
    const { signal, progress, handOver } = turn
    let isHolding = false
    // While writes wait, nothing counts as progress: a try that does not catch up then ends at its time limit.
    const sent = () => isHolding || progress()
    const terms = { ...this.#terms, pace: this.#pace, sent }
    if (this.#recent !== undefined) {
      await resendLost(store, this.#recent, new Replay(store, this.#known, terms), signal)
    }
    const replay = new Replay(store, this.#known, terms, this.#recent)
    await this.#sendWaiting(replay, signal)
    const hold = new WriteGate()
    this.#hold = hold
    isHolding = true
    try {
      while (!this.#journal.isEmpty) await this.#sendWaiting(replay, signal)
      this.#pace.ended()
      handOver()
    } finally {
      hold.end()
      if (this.#hold === hold) this.#hold = undefined
    }
  }

  /** Sends everything that is in the journal now, without waiting for entries that come meanwhile. */
  async #sendWaiting(replay: Replay, signal: AbortSignal): Promise<void> {
    const waiting = [...this.#journal.threads()].map((thread) => ({ thread, last: thread.entries.at(-1) }))
    await forEachConcurrent(waiting, async ({ thread, last }) => {
      while (last !== undefined && thread.entries.includes(last)) {
        signal.throwIfAborted()
        const entries = replay.nextOf(thread.entries)
        if (!entries[0]?.isInherited) await this.#before?.(thread.id)
        await replay.send(thread.id, entries)
        for (const entry of entries) this.#journal.acknowledge(thread, entry)
      }
    })
  }

  #add(thread: ThreadJournal, write: Write): JournalEntry {
    const entry = entryOf(write)
    this.#journal.add(thread, entry)
    return entry
  }

  #seen(id: ThreadId): { readonly view: ThreadImage; readonly from: number } {
    const journaled = this.#journal.of(id)
    if (journaled !== undefined) return journaled
    const seen = this.#known.get(id)
    if (seen === undefined) throw new ThreadUnknownError()
    return { view: seen.log, from: seen.from }
  }

  #threadOf(id: ThreadId): ThreadJournal {
    const journaled = this.#journal.of(id)
    if (journaled !== undefined) return journaled
    const seen = this.#known.get(id)
    const from = seen?.from ?? Number.POSITIVE_INFINITY
    return { id, entries: [], view: new ThreadImage(seen?.log), isKnown: seen !== undefined, from }
  }
}

/** Shows the outcome of a change as it will be; only an `add` to a value that is not known here has none. */
function show(view: ThreadImage, change: Change): Changed {
  if (change.kind === 'add' && !view.state.has(change.key)) return { status: 'missing', ...view.standing() }
  return changeThread(view, change, Date.now())
}

/** The generation of a thread that was never seen here is not known, so a deletion since can't be recognised. */
function generationOf({ isKnown, view }: ThreadJournal): number | undefined {
  return isKnown ? view.generation : undefined
}

function cannot(what: string): UnavailableError {
  return new UnavailableError(
    'CONNECTION_DOWN',
    `Redis is away, and ${what} can not be checked here`,
    'not-sent',
  )
}
