import {
  type Answer,
  type Failover,
  type FailoverState,
  failover,
  InvalidOptionError,
  UnavailableError,
} from '@evenkeel/core'
import {
  checkSubject,
  createSpans,
  notify,
  type Spans,
  traceIterations,
  traceMethods,
} from '@evenkeel/core/kit'
import { OfflineBackend } from './backends/offline.js'
import { OnlineBackend } from './backends/online.js'
import type { ThreadBackend } from './backends/port.js'
import {
  type BackupOptions,
  backup,
  type RestoreOptions,
  type RestoreReport,
  restore,
  type VerifyReport,
  verify,
} from './backup/backup.js'
import type { BackupSource } from './backup/lines.js'
import { mergeInto } from './backup/merge.js'
import { MemoryDrafts } from './drafts/memory.js'
import type { DraftStore } from './drafts/port.js'
import { RedisDrafts } from './drafts/redis.js'
import { DeletionNotices } from './feed/deletion-notices.js'
import { ChangeNotifier } from './feed/notifier.js'
import { type SharedMemoryStats, StatsPoll, shared } from './feed/stats-poll.js'
import { checkMemory, type MemoryHealth } from './health.js'
import { JournalFile } from './journal/file.js'
import { Journal } from './journal/journal.js'
import { OrphanRecovery } from './journal/orphan-recovery.js'
import { RecentWrites } from './journal/resend-lost.js'
import { newId } from './messages/ids.js'
import type { PreparedMessage } from './messages/prepare.js'
import { Counters, type MemoryStats, observe } from './metrics.js'
import { type AgentMemoryOptions, type ResolvedOptions, resolveOptions } from './options.js'
import { MemoryRecall } from './recall/memory.js'
import type { RecallStore } from './recall/port.js'
import { Recall } from './recall/recall.js'
import { RedisRecall } from './recall/redis.js'
import { ReplicaCache } from './replica/replica-cache.js'
import { MemoryThreadStore } from './stores/memory.js'
import type { ThreadStore } from './stores/port.js'
import { RedisThreadStore } from './stores/redis.js'
import { type ThreadId, textOf } from './stores/thread-id.js'
import type { Token } from './stores/token.js'
import { AppendBatcher } from './threads/append-batcher.js'
import type { ThreadContext } from './threads/context.js'
import { keptAlive } from './threads/keep-alive.js'
import { KeyedQueue } from './threads/keyed-queue.js'
import { type Owner, OwnerHandle } from './threads/owner.js'
import { Turns } from './threads/turns.js'

export interface MemoryStatus {
  readonly state: FailoverState
  /** Messages that wait in the journal of this process. */
  readonly journaled: number
  readonly journaledBytes: number
}

export interface AgentMemory {
  /** The threads of one owner: a user, a workspace. Owners cannot reach each other's data. */
  owner(owner: string): Owner
  /** Lists owners that have threads, in no order. Walks all keys by SCAN: for operators. Not possible in an outage. */
  owners(): AsyncIterable<string>
  /**
   * Backs up threads as lines of NDJSON: those of the given owners, or of all owners. An owner's threads are read as of
   * the moment its turn comes. Not possible in an outage.
   */
  backup(
    owners?: Iterable<string> | AsyncIterable<string> | undefined,
    options?: BackupOptions,
  ): AsyncIterable<string>
  /**
   * Restores the threads of a backup under their owners, with their seqs, ids and remaining time to live. It may be
   * repeated. Takes lines, text, or a stream such as a file's. @throws BackupDamagedError; nothing is restored then,
   * unless the backup is a stream
   */
  restore(backup: BackupSource, options?: RestoreOptions): Promise<RestoreReport>
  /** Compares a backup with what is stored now. Not possible in an outage. */
  verify(backup: BackupSource): Promise<VerifyReport>
  /** Whether threads come from Redis at the moment. No round trip. */
  readonly state: FailoverState
  /** Size of the journal, and whether threads come from Redis at the moment. No round trip. */
  status(): MemoryStatus
  /** Counts of this process since the memory was created. No round trip. */
  stats(): MemoryStats
  /**
   * Counts of all running instances, each of which has 300 ms to answer; the counts of ended processes are lost. In an
   * outage, and without `redis`, the counts of this process alone. Two round trips, and the 300 ms.
   */
  sharedStats(): Promise<SharedMemoryStats>
  /** Reports dangers to threads: eviction, no persistence, a journal that waits. Three round trips; never rejects. */
  health(): Promise<MemoryHealth>
  /** Resolves when all journaled writes are in Redis. Rejects if the signal aborts or the memory is closed. */
  flushed(options?: { signal?: AbortSignal }): Promise<void>
  /**
   * Stops the memory's background work; the connection stays open. If writes are still in the journal, a warning says
   * so and their `stored` promises reject. Nothing more is journaled. A journal file stays for the next process.
   */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Creates a memory for conversations, which all instances share through Redis. While Redis is away, appends are
 * journaled in this process; when it is back, they are stored in order, each once.
 * @example
 * const memory = createAgentMemory({ redis })
 * const thread = memory.owner('user:42').thread('chat-7')
 * await thread.append({ role: 'user', content: 'hello' })
 * const { messages } = await thread.window({ maxTokens: 8_000 })
 */
export function createAgentMemory(options: AgentMemoryOptions = {}): AgentMemory {
  return new Memory(resolveOptions(options))
}

const tracedMethods = {
  restore: 'agent_memory restore',
  verify: 'agent_memory verify',
  health: 'agent_memory health',
} as const

const tracedIterations = { owners: 'agent_memory owners', backup: 'agent_memory backup' } as const

class Memory implements AgentMemory, ThreadContext {
  readonly options: ResolvedOptions
  readonly drafts: DraftStore
  readonly notifier: ChangeNotifier
  readonly counters = new Counters()
  readonly spans: Spans | undefined
  readonly turns = new Turns()
  readonly #recall: Recall | undefined
  readonly #recallStore: RecallStore
  readonly #journal: Journal
  readonly #outage: OfflineBackend
  readonly #stores: Failover<ThreadBackend>
  readonly #batches: AppendBatcher
  /** Runs one write of a thread at a time, so that a writer's messages keep their order even if one of them fails. */
  readonly #lines = new KeyedQueue()
  readonly #stop: (() => void)[] = []
  readonly #poll: StatsPoll | undefined
  /** Identifies this memory among the writers of a thread. */
  readonly #writer = newId()
  #operations = 0
  #adoption: OrphanRecovery | undefined
  #isClosed = false

  constructor(options: ResolvedOptions) {
    const { redis, maxThreads, maxBytes, clock } = options
    this.options = options
    const { dir, maxBytes: maxJournalBytes } = options.journal
    const file =
      dir === undefined ? undefined : new JournalFile(dir, (message) => this.#warn(message), maxJournalBytes)
    if (file !== undefined && options.redis === undefined) {
      this.#warn(
        'A journal’s folder keeps nothing without `redis`: what is stored in this process ends with it',
      )
    }
    this.#journal = new Journal(options.journal, file)
    const known = new ReplicaCache(options)
    const recent = new RecentWrites({ windowMs: options.healWindowMs, maxBytes: 8 << 20, clock })
    const outage = new OfflineBackend(
      this.#journal,
      known,
      { ...options, counters: this.counters, logger: redis?.logger },
      recent,
      (id) => this.#adoption?.ofOthers(id),
    )
    this.#outage = outage
    const notices = redis && new DeletionNotices(redis, (deletion) => known.deletedElsewhere(deletion))
    const store = redis && new RedisThreadStore(redis, undefined, (deletion) => notices?.tell(deletion))
    this.#poll = redis && new StatsPoll(redis, () => this.stats())
    this.#stop.push(
      () => notices?.close(),
      () => this.#poll?.close(),
    )
    if (redis !== undefined) this.#stop.push(redis.on('down', () => recent.prune()))
    const own = new MemoryThreadStore({ maxThreads, maxBytes, clock })
    this.notifier = new ChangeNotifier(redis)
    this.drafts = redis === undefined ? new MemoryDrafts(own, clock) : new RedisDrafts(redis)
    this.#recallStore = redis === undefined ? new MemoryRecall(own) : new RedisRecall(redis, options.ttlMs)
    this.#recall =
      options.embed &&
      new Recall(options.embed, this.#recallStore, {
        clock,
        counters: this.counters,
        logger: redis?.logger,
      })
    this.#stop.push(() => this.#recall?.close())
    this.#stores = failover<ThreadBackend>(redis, {
      name: 'agent-memory',
      durability: 'durable',
      primary: store && new OnlineBackend(store, options, known, recent, this.counters),
      fallback: store ? outage : new OnlineBackend(own, options, undefined, undefined, this.counters),
      recover: async (context) => store && outage.replay(store, context),
      held: () => ({ entries: known.size, bytes: known.bytes + this.#journal.bytes }),
    })
    this.#batches = new AppendBatcher((id, write) => this.#inLine(id, write))
    const { telemetry } = options
    this.spans = createSpans('@evenkeel/agent-memory', telemetry)
    traceMethods(this.spans, this as AgentMemory, tracedMethods)
    traceIterations(this.spans, this as AgentMemory, tracedIterations)
    const gauges = {
      journaled: () => this.#journal.messages,
      journaledBytes: () => this.#journal.bytes,
      journalLimitBytes: maxJournalBytes,
      threads: () => known.size,
    }
    this.#stop.push(observe(this.counters, gauges, telemetry))
    if (store !== undefined && file !== undefined) {
      const adoption = new OrphanRecovery(file, {
        journal: this.#journal,
        isUp: () => this.#stores.state === 'primary',
        adopt: (write) => outage.adopt(write),
        replay: (signal) => outage.replay(store, { signal, progress: () => {}, handOver: () => {} }),
      })
      this.#adoption = adoption
      this.#stop.push(() => adoption.close())
    }
  }

  owner(owner: string): Owner {
    return new OwnerHandle(checkSubject('owner', owner), this)
  }

  async *owners(): AsyncIterableIterator<string> {
    yield* (await this.#whole()).owners()
  }

  async *backup(
    owners?: Iterable<string> | AsyncIterable<string> | undefined,
    options?: BackupOptions,
  ): AsyncIterableIterator<string> {
    const store = await this.#whole()
    yield* backup(store, owners ?? store.owners(), options)
  }

  async restore(source: BackupSource, options?: RestoreOptions): Promise<RestoreReport> {
    const store = await this.#whole()
    return restore(store, source, (id, dump) => mergeInto(store, id, dump, this.options), options)
  }

  async verify(source: BackupSource): Promise<VerifyReport> {
    return verify(await this.#whole(), source)
  }

  recall = (): Recall => {
    if (this.#recall !== undefined) return this.#recall
    throw new InvalidOptionError('embed', 'a model and a function, for recall', undefined)
  }

  nextToken(): Token {
    return { writer: this.#writer, number: ++this.#operations }
  }

  noted(id: ThreadId, messages: readonly PreparedMessage[], generation: number | undefined): void {
    this.#recall?.note(id, messages, { at: this.options.clock.now(), generation })
  }

  get state(): FailoverState {
    return this.#stores.state
  }

  status(): MemoryStatus {
    return {
      state: this.#stores.state,
      journaled: this.#journal.messages,
      journaledBytes: this.#journal.bytes,
    }
  }

  stats(): MemoryStats {
    return this.counters.read()
  }

  async sharedStats(): Promise<SharedMemoryStats> {
    return this.#poll === undefined ? shared([this.stats()]) : this.#poll.ask()
  }

  health(): Promise<MemoryHealth> {
    return checkMemory(this.options.redis, this.#journal.messages)
  }

  flushed({ signal }: { signal?: AbortSignal } = {}): Promise<void> {
    return keptAlive(this.#journal.whenEmpty(signal))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const stop of this.#stop) stop()
    this.#stores.close()
    const { messages } = this.#journal
    this.#journal.close(new UnavailableError('CONNECTION_CLOSED', 'The memory was closed', 'unknown'))
    if (messages > 0) {
      const where = this.options.journal.dir === undefined ? '' : '; they wait in the journal’s folder'
      this.#warn(`${messages} journaled messages were not stored before the memory was closed${where}`)
    }
  }

  #warn(message: string): void {
    notify(this.options.redis?.logger, 'warn', message, 'EVENKEEL_JOURNAL')
  }

  read<T>(read: (store: ThreadBackend) => Promise<T>): Promise<Answer<T>> {
    return this.#stores.run(read)
  }

  write<T>(id: ThreadId, write: (store: ThreadBackend) => Promise<T>): Promise<Answer<T>> {
    this.#batches.close(id)
    return this.#inLine(id, write)
  }

  append: ThreadContext['append'] = (id, messages, options) => this.#batches.append(id, messages, options)

  #inLine<T>(id: ThreadId, write: (store: ThreadBackend) => Promise<T>): Promise<Answer<T>> {
    return this.#lines.in(textOf(id), async () => {
      const held = this.#outage.held
      if (held !== undefined) await held
      const before = this.#adoption?.before(id)
      if (before !== undefined) await before
      const answer = await this.#stores.run(write)
      if (this.options.feed) this.notifier.notify(id)
      return answer
    })
  }

  async #whole(): Promise<ThreadStore> {
    return (await this.#stores.run((store) => store.whole())).value
  }
}
