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
  /** Messages that wait in the journal. */
  readonly journaled: number
  readonly journaledBytes: number
}

export interface AgentMemory {
  /** Conversations of one owner: a user, a workspace. Owners can't reach each other's. */
  owner(owner: string): Owner
  /** Owners that have threads, in no order. Walks all keys by SCAN: for operators. Not possible in an outage. */
  owners(): AsyncIterable<string>
  /**
   * A backup of threads, line by line (NDJSON): those of the given owners, or of all there are. Of each owner the
   * threads that it has when its turn comes. Not possible in an outage.
   */
  backup(
    owners?: Iterable<string> | AsyncIterable<string> | undefined,
    options?: BackupOptions,
  ): AsyncIterable<string>
  /**
   * Puts threads of a backup back: where they were, with their places, ids and remaining time. It may be
   * repeated. Lines, text, or a stream such as a file's. @throws BackupDamagedError; unless it is a stream, nothing is
   * restored then
   */
  restore(backup: BackupSource, options?: RestoreOptions): Promise<RestoreReport>
  /** Compares a backup with what there is. */
  verify(backup: BackupSource): Promise<VerifyReport>
  /** Whether threads come from Redis at the moment. */
  readonly state: FailoverState
  /** Messages that wait in the journal, and whether threads come from Redis at the moment. */
  status(): MemoryStatus
  /** What was done in this process since the memory was made. */
  stats(): MemoryStats
  /**
   * The same of all instances that run, which are asked and have 300 ms to answer; what ended processes had counted is gone
   * with them. In an outage, and without `redis`, of this process. Two round trips and that pause.
   */
  sharedStats(): Promise<SharedMemoryStats>
  /** What endangers conversations: eviction, no persistence, a journal that waits. One round trip; never rejects. */
  health(): Promise<MemoryHealth>
  /** Waits until the journal is in Redis, or the signal aborts. */
  flushed(options?: { signal?: AbortSignal }): Promise<void>
  /**
   * Ends what the memory began; the connection stays open. What is journaled and not yet stored is told of by
   * a warning, and to whoever waits for it; nothing more is journaled. A journal's file stays for the next process.
   */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Conversations, shared by all instances through Redis. While Redis is away appends are journaled here,
 * and stored in order, once, when it is back.
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
  /** One write of a thread at a time, so that a writer's messages keep their order, whatever happens to one. */
  readonly #lines = new KeyedQueue()
  readonly #stop: (() => void)[] = []
  readonly #poll: StatsPoll | undefined
  /** Names this memory among the writers of a thread. */
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
