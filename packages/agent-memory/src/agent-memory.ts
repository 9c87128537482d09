import {
  checkSubject,
  createLog,
  type Failover,
  type FailoverState,
  failover,
  InvalidInputError,
  type Source,
} from '@evenkeel/core'
import { MessageConflictError } from './errors.js'
import { Journal } from './journal.js'
import { type Message, type PreparedMessage, prepare, restore, type StoredMessage } from './message.js'
import { type AgentMemoryOptions, type ResolvedOptions, resolveOptions } from './options.js'
import type { ThreadId, ThreadStore } from './store.js'
import { MemoryThreadStore } from './stores/memory.js'
import { OutageThreadStore } from './stores/outage.js'
import { RedisThreadStore } from './stores/redis.js'
import { validWindow } from './window.js'

const log = createLog('agent-memory')

/** One read returns no more, whatever is asked. */
const mostMessages = 1_000

export interface Receipt {
  /** `stored`: in the store. `journaled`: taken here in an outage, stored on return. `duplicate`: all was there. */
  readonly status: 'stored' | 'journaled' | 'duplicate'
  readonly ids: readonly string[]
  /** Places in the thread, from 1, without gaps; provisional while journaled. */
  readonly seqs: readonly number[]
  readonly version: number
  readonly source: Source
}

export interface WindowOptions {
  /** @default 100, at most 1,000 */
  readonly maxMessages?: number | undefined
  /** The system message included. @default no bound */
  readonly maxTokens?: number | undefined
}

export interface Window {
  /** The system message, if there is one, and the newest messages that fit, in order. */
  readonly messages: readonly StoredMessage[]
  readonly tokens: number
  /** Messages in the whole thread. */
  readonly count: number
  readonly version: number
  readonly source: Source
  /** Read in an outage: what others appended may be missing. */
  readonly stale: boolean
  /** `false` when this process knows only a part of the thread, in an outage. */
  readonly complete: boolean
}

export interface Thread {
  /**
   * Appends messages at the thread's end, in one step: all, or none. One id has one place, however often it
   * is appended. One round trip.
   * @throws MessageConflictError, MessageTooLargeError, JournalFullError, InvalidInputError; nothing is stored then
   */
  append(messages: Message | readonly Message[]): Promise<Receipt>
  /** The newest messages as a valid prompt. One round trip; its cost does not grow with the thread. @throws ThreadUnknownError in an outage */
  window(options?: WindowOptions): Promise<Window>
  /** Removes the thread, all of it. One round trip. */
  delete(): Promise<boolean>
}

export interface AgentMemory {
  /** Conversations of a user, a workspace, or whoever they belong to. Owners can't reach each other's. */
  owner(owner: string): { thread(thread: string): Thread }
  /** Messages that wait in the journal, and whether threads come from Redis at the moment. */
  status(): { readonly state: FailoverState; readonly journaled: number; readonly journaledBytes: number }
  /** Waits until the journal is in Redis, or the signal aborts. */
  flushed(options?: { signal?: AbortSignal }): Promise<void>
  /** Ends what the memory began; the connection stays open. What is journaled and not yet stored is told of by a warning. */
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
  readonly #memory: MemoryThreadStore
  readonly #journal: Journal
  readonly #stores: Failover<ThreadStore>
  /** The last append of each thread under way, so that a writer's messages keep their order. */
  readonly #lines = new Map<string, Promise<unknown>>()

  constructor(options: ResolvedOptions) {
    const { redis, ttlMs, maxThreads, clock, maxJournalMessages, maxJournalBytes } = options
    this.#options = options
    this.#memory = new MemoryThreadStore({ maxThreads, clock })
    this.#journal = new Journal({ maxMessages: maxJournalMessages, maxBytes: maxJournalBytes })
    const outage = new OutageThreadStore(this.#memory, this.#journal, ttlMs)
    this.#stores = failover<ThreadStore>(redis, {
      name: 'agent-memory',
      primary: redis && new RedisThreadStore(redis),
      fallback: redis === undefined ? this.#memory : outage,
      recover: (context) => outage.replay(context),
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
          delete: () => this.#inLine(id, () => this.#delete(id)),
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

  async flushed({ signal }: { signal?: AbortSignal } = {}): Promise<void> {
    while (this.#journal.messages > 0) {
      signal?.throwIfAborted()
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  close(): void {
    this.#stores.close()
    const { messages } = this.#journal
    if (messages > 0) {
      process.emitWarning(`${messages} journaled messages were not stored before the memory was closed`, {
        code: 'EVENKEEL_JOURNAL',
      })
    }
  }

  async #append(id: ThreadId, input: Message | readonly Message[]): Promise<Receipt> {
    const messages = this.#prepare(input)
    const { value, source } = await this.#inLine(id, () =>
      this.#stores.run((store) => store.append(id, messages, this.#options.ttlMs)),
    )
    if (value.status === 'conflict') throw new MessageConflictError(value.id)
    // An outage begins with what was appended here before it.
    if (source === 'redis') this.#note(id, messages, value.seqs)
    const { status, seqs, version } = value
    return { status, seqs, version, source, ids: messages.map((message) => message.id) }
  }

  async #window(id: ThreadId, options: WindowOptions): Promise<Window> {
    const { maxMessages = 100, maxTokens = Number.MAX_SAFE_INTEGER } = options
    if (!Number.isSafeInteger(maxMessages) || maxMessages < 1 || maxMessages > mostMessages) {
      throw new InvalidInputError('maxMessages', `a whole number from 1 to ${mostMessages}`, maxMessages)
    }
    if (!(maxTokens >= 1)) throw new InvalidInputError('maxTokens', 'a number from 1', maxTokens)
    const { value: tail, source } = await this.#stores.run((store) =>
      store.tail(id, { maxMessages, maxTokens }),
    )
    if (source === 'redis' && tail.count > 0) this.#memory.adopt(id, tail, this.#options.ttlMs)
    const { system, count, version, stale, complete } = tail
    const { records, tokens } = fitInto(tail.records, system, maxMessages, maxTokens)
    return {
      messages: records.map(({ id: messageId, body }) => restore(messageId, body)),
      tokens,
      count,
      version,
      source,
      stale,
      complete,
    }
  }

  async #delete(id: ThreadId): Promise<boolean> {
    const { value, source } = await this.#stores.run((store) => store.delete(id))
    if (source === 'redis') await this.#memory.delete(id)
    return value
  }

  #prepare(input: Message | readonly Message[]): readonly PreparedMessage[] {
    const list = Array.isArray(input) ? (input as readonly Message[]) : [input as Message]
    if (list.length === 0) throw new InvalidInputError('messages', 'at least one message', list)
    const messages = list.map((message, index) => prepare(message, index, this.#options))
    if (new Set(messages.map(({ id }) => id)).size < messages.length) {
      throw new InvalidInputError('messages', 'each id once', messages.map(({ id }) => id).join())
    }
    return messages
  }

  /** Appends where they follow on what is known here; else what is known is no longer the thread's end. */
  #note(id: ThreadId, messages: readonly PreparedMessage[], seqs: readonly number[]): void {
    const result = this.#memory.appendNow(id, messages, this.#options.ttlMs)
    const agrees = result.status !== 'conflict' && result.seqs.every((seq, index) => seq === seqs[index])
    if (agrees) return
    log('a thread has other writers: what is known of it here is forgotten')
    void this.#memory.delete(id)
  }

  async #inLine<T>(id: ThreadId, work: () => Promise<T>): Promise<T> {
    const key = `${id.owner.length}:${id.owner}${id.thread}`
    const before = this.#lines.get(key)
    const mine = before === undefined ? work() : before.then(work, work)
    this.#lines.set(key, mine)
    try {
      return await mine
    } finally {
      if (this.#lines.get(key) === mine) this.#lines.delete(key)
    }
  }
}

/** The system message comes first and counts; the rest is what fits beside it. */
function fitInto(
  records: Parameters<typeof validWindow>[0],
  system: Parameters<typeof validWindow>[0][number] | undefined,
  maxMessages: number,
  maxTokens: number,
) {
  const rest = records.filter(({ seq }) => seq !== system?.seq)
  let from = rest.length
  let tokens = system?.tokens ?? 0
  for (
    let cost = rest[from - 1]?.tokens;
    cost !== undefined && tokens + cost <= maxTokens;
    cost = rest[from - 1]?.tokens
  ) {
    tokens += cost
    from--
  }
  const room = Math.min(rest.length - from, maxMessages - (system === undefined ? 0 : 1))
  const window = room <= 0 ? [] : validWindow(rest, room)
  const kept = system === undefined ? window : [system, ...window]
  return { records: kept, tokens: kept.reduce((sum, record) => sum + record.tokens, 0) }
}
