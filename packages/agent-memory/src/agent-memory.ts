import { randomUUID } from 'node:crypto'
import {
  type Answer,
  checkSubject,
  type Failover,
  type FailoverState,
  failover,
  InvalidInputError,
  type Source,
  UnavailableError,
} from '@evenkeel/core'
import { type Appended, type Conversations, type Settled, StoredConversations } from './conversations.js'
import { MessageConflictError } from './errors.js'
import { Journal } from './journal.js'
import { KnownThreads } from './known-threads.js'
import { Lines } from './lines.js'
import { type Message, type PreparedMessage, prepare, restore } from './message.js'
import { type AgentMemoryOptions, type ResolvedOptions, resolveOptions } from './options.js'
import { OutageConversations } from './outage.js'
import { type ThreadId, textOf } from './store.js'
import { MemoryThreadStore } from './stores/memory.js'
import { RedisThreadStore } from './stores/redis.js'
import type { Receipt, StoredReceipt, Thread, Window, WindowOptions } from './thread.js'
import { chooseWindow } from './window.js'

/** One read returns no more, whatever is asked. */
const mostMessages = 1_000

/** One append takes no more. */
const mostAtOnce = 1_000

export interface AgentMemory {
  /** Conversations of a user, a workspace, or whoever they belong to. Owners can't reach each other's. */
  owner(owner: string): { thread(thread: string): Thread }
  /** Messages that wait in the journal, and whether threads come from Redis at the moment. */
  status(): { readonly state: FailoverState; readonly journaled: number; readonly journaledBytes: number }
  /** Waits until the journal is in Redis, or the signal aborts. */
  flushed(options?: { signal?: AbortSignal }): Promise<void>
  /**
   * Ends what the memory began; the connection stays open. What is journaled and not yet stored is told of by
   * a warning, and to whoever waits for it; nothing more is journaled.
   */
  close(): void
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

class Memory implements AgentMemory {
  readonly #options: ResolvedOptions
  readonly #journal: Journal
  readonly #outage: OutageConversations
  readonly #stores: Failover<Conversations>
  /** One write of a thread at a time, so that a writer's messages keep their order, whatever happens to one. */
  readonly #lines = new Lines()

  constructor(options: ResolvedOptions) {
    const { redis, ttlMs, maxThreads, maxBytes, clock } = options
    this.#options = options
    this.#journal = new Journal({
      maxMessages: options.maxJournalMessages,
      maxBytes: options.maxJournalBytes,
    })
    const known = new KnownThreads({ maxThreads, maxBytes, ttlMs, clock })
    const outage = new OutageConversations(this.#journal, known, ttlMs)
    this.#outage = outage
    const store = redis && new RedisThreadStore(redis)
    this.#stores = failover<Conversations>(redis, {
      name: 'agent-memory',
      primary: store && new StoredConversations(store, ttlMs, known),
      fallback: store
        ? outage
        : new StoredConversations(new MemoryThreadStore({ maxThreads, maxBytes, clock }), ttlMs),
      recover: async ({ signal, handOver }) => store && outage.replay(store, signal, handOver),
    })
  }

  owner(owner: string): { thread(thread: string): Thread } {
    checkSubject('owner', owner)
    return {
      thread: (thread) => {
        const id: ThreadId = { owner, thread: checkSubject('thread', thread) }
        return {
          append: (messages) => this.#append(id, messages),
          window: (options = {}) => this.#window(id, options),
          delete: () => this.#delete(id),
        }
      },
    }
  }

  status() {
    return {
      state: this.#stores.state,
      journaled: this.#journal.messages,
      journaledBytes: this.#journal.bytes,
    }
  }

  flushed({ signal }: { signal?: AbortSignal } = {}): Promise<void> {
    return this.#journal.whenEmpty(signal)
  }

  close(): void {
    this.#stores.close()
    this.#journal.close(new UnavailableError('CONNECTION_CLOSED', 'The memory was closed', 'unknown'))
    const { messages } = this.#journal
    if (messages > 0) {
      process.emitWarning(`${messages} journaled messages were not stored before the memory was closed`, {
        code: 'EVENKEEL_JOURNAL',
      })
    }
  }

  async #append(id: ThreadId, input: Message | readonly Message[]): Promise<Receipt> {
    const messages = this.#prepare(input)
    const { value, source } = await this.#write(id, (store) => store.append(id, messages))
    return receiptOf(
      messages.map((message) => message.id),
      value,
      source,
    )
  }

  async #window(id: ThreadId, options: WindowOptions): Promise<Window> {
    const { maxMessages = 100, maxTokens = Number.MAX_SAFE_INTEGER } = options
    if (!Number.isSafeInteger(maxMessages) || maxMessages < 1 || maxMessages > mostMessages) {
      throw new InvalidInputError('maxMessages', `a whole number from 1 to ${mostMessages}`, maxMessages)
    }
    if (!(maxTokens >= 1)) throw new InvalidInputError('maxTokens', 'a number from 1', maxTokens)
    const budget = { maxMessages, maxTokens }
    const { value, source } = await this.#stores.run((store) => store.read(id, budget))
    const { count, version, stale, complete } = value
    const { records, tokens } = chooseWindow(value.records, value.pinned, budget)
    const messages = records.map((record) => restore(record.id, record.body))
    return { messages, tokens, count, version, source, stale, complete }
  }

  async #delete(id: ThreadId): Promise<boolean> {
    const token = randomUUID()
    const { value } = await this.#write(id, (store) => store.delete(id, token))
    return value.existed
  }

  #write<T>(id: ThreadId, write: (store: Conversations) => Promise<T>): Promise<Answer<T>> {
    return this.#lines.in(textOf(id), async () => {
      const held = this.#outage.held
      if (held !== undefined) await held
      return this.#stores.run(write)
    })
  }

  #prepare(input: Message | readonly Message[]): readonly PreparedMessage[] {
    const list = Array.isArray(input) ? (input as readonly Message[]) : [input as Message]
    if (list.length === 0 || list.length > mostAtOnce) {
      throw new InvalidInputError('messages', `1 to ${mostAtOnce} messages`, list)
    }
    const messages = list.map((message, index) => prepare(message, index, this.#options))
    const ids = new Set<string>()
    for (const { id } of messages) {
      if (ids.has(id)) throw new InvalidInputError('messages', 'each id once', id)
      ids.add(id)
    }
    return messages
  }
}

function receiptOf(ids: readonly string[], appended: Appended, source: Source): Receipt {
  switch (appended.status) {
    case 'conflict':
      throw new MessageConflictError(appended.id)
    case 'journaled': {
      const stored = appended.stored.then((settled) => storedReceipt(ids, settled))
      // Looking at it is the host's choice.
      stored.catch(() => {})
      return { status: 'journaled', ids, seqs: [], version: appended.version, source, stored }
    }
    case 'deleted':
      throw new TypeError('A write of now can not come before a deletion')
    default: {
      const { status, seqs, version } = appended
      return { status, ids, seqs, version, source, stored: Promise.resolve({ status, ids, seqs, version }) }
    }
  }
}

function storedReceipt(ids: readonly string[], settled: Settled): StoredReceipt {
  if (settled.status === 'deleted') return { status: 'deleted', ids, seqs: [], version: 0 }
  const { status, seqs, version } = settled
  return { status, ids, seqs, version }
}
