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
  /** The `cursor` of the previous page. @default the first page */
  readonly cursor?: string | undefined
}

/** The owner of threads: a user, a workspace. Nothing of one owner can be reached through another. */
export interface Owner {
  readonly id: string
  /** @throws InvalidInputError for an empty id, or one that is not well-formed text */
  thread(thread: string): Thread
  /**
   * Lists all threads, the most recently changed first, as of the beginning of the walk: writes during the walk neither
   * hide nor repeat a thread. One round trip for each 500 threads. Not possible in an outage.
   */
  threads(): AsyncIterableIterator<ListedThread>
  /**
   * Returns one page of the list. One round trip. All pages of a list show the same moment. A list is kept for ten
   * minutes after its last page, and an owner has at most eight.
   */
  listThreads(
    options?: ListOptions,
  ): Promise<{ readonly threads: readonly ListedThread[]; readonly cursor: string | undefined }>
  /** Facts about the owner, apart from conversations; {@link recall} finds them. Not possible in an outage. */
  readonly facts: Facts
  /**
   * Finds messages of any thread, and facts, that are nearest in meaning to the query; deleted ones are never returned.
   * Messages can be found shortly after their append. Not possible in an outage.
   * @throws InvalidOptionError when the memory was made without `embed`
   */
  recall(query: string, options?: RecallOptions): Promise<readonly Recalled[]>
  /** Resolves when the messages that were appended in this process can be recalled. */
  recallable(): Promise<void>
  /**
   * Deletes all threads of the owner with everything in them, and returns what was deleted. Late or journaled writes
   * from before restore nothing. Not possible in an outage.
   */
  erase(): Promise<EraseReceipt>
}

/** What an erasure removed. */
export interface EraseReceipt extends Erased {
  readonly owner: string
  /** When it was done, ISO 8601. */
  readonly at: string
  /**
   * `true` if a check afterwards found no thread, draft or vector from before. Only a note that the owner was erased
   * stays, for a week. Writes made during the erasure are new, and stay.
   */
  readonly verified: boolean
}

const maxListed = 500

/** Methods that ask Redis; a walk over all threads has no span. */
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
