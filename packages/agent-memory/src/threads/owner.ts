import { InvalidInputError } from '@evenkeel/core'
import { checkSubject, traceIterations, traceMethods } from '@evenkeel/core/kit'
import type { Facts, Recalled, RecallOptions } from '../recall/recall.js'
import type { Erased, ListRequest } from '../stores/port.js'
import type { ThreadId } from '../stores/thread-id.js'
import type { ThreadContext } from './context.js'
import { wholeInput } from './receipts.js'
import type { Thread } from './thread.js'
import { ThreadHandle } from './thread-handle.js'

/** A thread in a list. */
export interface ListedThread {
  readonly id: string
  /** When it last changed, ms since 1970. */
  readonly changedAt: number
  readonly thread: Thread
}

export interface ListOptions {
  /** @default 50, at most 500 */
  readonly limit?: number | undefined
  /** Of the page before. */
  readonly cursor?: string | undefined
}

/** The owner of threads: a user, a workspace. Nothing of one owner can be reached through another. */
export interface Owner {
  readonly id: string
  /** @throws InvalidInputError for an empty id, or one that is no well-formed text */
  thread(thread: string): Thread
  /**
   * All threads, the last changed first, as they are at the beginning of the walk: what is written meanwhile hides and
   * repeats none. One round trip for 500. Not possible in an outage.
   */
  threads(): AsyncIterableIterator<ListedThread>
  /**
   * A page of them. One round trip. The pages of one list are those of one moment; it is kept for ten minutes behind
   * each of them, and of an owner the latest eight.
   */
  listThreads(
    options?: ListOptions,
  ): Promise<{ readonly threads: readonly ListedThread[]; readonly cursor: string | undefined }>
  /** What is known of the owner beside conversations; found by {@link recall}. Not possible in an outage. */
  readonly facts: Facts
  /**
   * What was said in any thread, and the facts, nearest in meaning to a question; what was deleted is not
   * recalled. Messages can be recalled soon after they were appended. Not possible in an outage.
   * @throws InvalidOptionError when the memory was made without `embed`
   */
  recall(query: string, options?: RecallOptions): Promise<readonly Recalled[]>
  /** Resolves when the messages that were appended in this process can be recalled. */
  recallable(): Promise<void>
  /**
   * Removes all threads of the owner with everything in them, and says what went. Writes from before, late
   * or journaled, bring nothing back. Not possible in an outage.
   */
  erase(): Promise<EraseReceipt>
}

/** What an erasure removed. */
export interface EraseReceipt extends Erased {
  readonly owner: string
  /** When it was done, ISO 8601. */
  readonly at: string
  /**
   * Afterwards nothing from before was found: no thread, draft or vector. What stays for a week is a note that it was
   * erased. What was written meanwhile is new, and stays.
   */
  readonly verified: boolean
}

const maxListed = 500

/** Those that ask Redis; a walk over all threads has no span. */
const tracedMethods = {
  listThreads: 'agent_memory list_threads',
  recall: 'agent_memory recall',
  erase: 'agent_memory erase',
} as const

const tracedIterations = { threads: 'agent_memory threads' } as const

const tracedFactMethods = {
  add: 'agent_memory facts.add',
  list: 'agent_memory facts.list',
  delete: 'agent_memory facts.delete',
} as const

export class OwnerHandle implements Owner {
  readonly id: string
  readonly #context: ThreadContext

  constructor(id: string, context: ThreadContext) {
    this.id = id
    this.#context = context
    traceMethods(context.spans, this as Owner, tracedMethods)
    traceIterations(context.spans, this as Owner, tracedIterations)
  }

  thread(thread: string): Thread {
    return new ThreadHandle({ owner: this.id, thread: checkSubject('thread', thread) }, this.#context)
  }

  async *threads(): AsyncIterableIterator<ListedThread> {
    let cursor: string | undefined
    try {
      do {
        const page = await this.#list({ limit: maxListed, cursor, purpose: 'walk' })
        cursor = page.cursor
        yield* page.threads
      } while (cursor !== undefined)
    } finally {
      // A walk that is broken off.
      const left = cursor
      if (left !== undefined) {
        const store = await this.#context.read((backend) => backend.whole()).catch(() => undefined)
        await store?.value.endList(this.id, left).catch(() => {})
      }
    }
  }

  async listThreads({ limit = 50, cursor }: ListOptions = {}) {
    if (limit > maxListed) {
      throw new InvalidInputError('limit', `a whole number from 1 to ${maxListed}`, limit)
    }
    wholeInput('limit', limit, 1)
    return this.#list({ limit, cursor })
  }

  get facts(): Facts {
    const { spans } = this.#context
    return traceMethods(spans, this.#context.recall().facts(this.id), tracedFactMethods)
  }

  async recall(query: string, options: RecallOptions = {}): Promise<readonly Recalled[]> {
    const read = async (id: ThreadId, message: string) => {
      const { value } = await this.#context.read((store) => store.page(id, { ids: [message] }))
      return value.records[0]
    }
    return this.#context.recall().search(read, this.id, query, options)
  }

  recallable(): Promise<void> {
    return this.#context.recall().settled()
  }

  async erase(): Promise<EraseReceipt> {
    const at = new Date().toISOString()
    const { value: erased } = await this.#context.read((store) => store.erase(this.id))
    const { value: left } = await this.#context.read(async (store) => (await store.whole()).remains(this.id))
    return { owner: this.id, ...erased, at, verified: left === 0 }
  }

  async #list(request: ListRequest) {
    const { value } = await this.#context.read((store) => store.threads(this.id, request))
    const threads = value.threads.map(({ thread, at }) => ({
      id: thread,
      changedAt: at,
      thread: this.thread(thread),
    }))
    return { threads, cursor: value.cursor }
  }
}
