import { InvalidInputError } from '@evenkeel/core'
import { checkSubject } from '@evenkeel/core/kit'
import type { Facts, Recalled, RecallOptions } from '../recall/recall.js'
import type { Erased, ThreadListing } from '../stores/port.js'
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

/** Whoever threads belong to. Nothing of one owner can be reached through another. */
export interface Owner {
  readonly id: string
  /** @throws InvalidInputError for an empty id, or one that is no well-formed text */
  thread(thread: string): Thread
  /** All threads, the last changed first; one round trip a page of 50. Not possible in an outage. */
  threads(): AsyncIterableIterator<ListedThread>
  /** A page of them. One round trip. */
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
  /** Afterwards nothing of the owner was found. What stays for a week is a note that it was erased. */
  readonly verified: boolean
}

const maxListed = 500

export class OwnerHandle implements Owner {
  readonly id: string
  readonly #context: ThreadContext

  constructor(id: string, context: ThreadContext) {
    this.id = id
    this.#context = context
  }

  thread(thread: string): Thread {
    return new ThreadHandle({ owner: this.id, thread: checkSubject('thread', thread) }, this.#context)
  }

  async *threads(): AsyncIterableIterator<ListedThread> {
    let cursor: string | undefined
    do {
      const page = await this.listThreads({ cursor })
      yield* page.threads
      cursor = page.cursor
    } while (cursor !== undefined)
  }

  async listThreads({ limit = 50, cursor }: ListOptions = {}) {
    if (limit > maxListed) {
      throw new InvalidInputError('limit', `a whole number from 1 to ${maxListed}`, limit)
    }
    wholeInput('limit', limit, 1)
    const behind = cursor === undefined ? undefined : readCursor(cursor)
    const { value } = await this.#context.read((store) => store.threads(this.id, limit, behind))
    const threads = value.map(({ thread, at }) => ({
      id: thread,
      changedAt: at,
      thread: this.thread(thread),
    }))
    const last = value.at(-1)
    const isEnd = last === undefined || value.length < limit
    return { threads, cursor: isEnd ? undefined : `${last.at}.${last.thread}` }
  }

  get facts(): Facts {
    return this.#context.recall().facts(this.id)
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
    const { value: erased } = await this.#context.read((store) => store.erase(this.id))
    const { value: left } = await this.#context.read((store) => store.threads(this.id, 1))
    return { owner: this.id, ...erased, at: new Date().toISOString(), verified: left.length === 0 }
  }
}

function readCursor(cursor: string): ThreadListing {
  const dot = cursor.indexOf('.')
  const at = Number(cursor.slice(0, dot))
  const thread = cursor.slice(dot + 1)
  if (dot < 1 || !Number.isSafeInteger(at) || thread === '') {
    throw new InvalidInputError('cursor', 'a cursor of an earlier page', cursor)
  }
  return { thread, at }
}
