import { InvalidInputError } from '@evenkeel/core'
import type { AgentInputItem, Session } from '@openai/agents-core'
import { MessageMissingError, VersionConflictError } from '../errors.js'
import { digestText, newId } from '../messages/ids.js'
import { copyOf, encodeJson, withoutClasses } from '../messages/json.js'
import type { Message, StoredMessage } from '../messages/message.js'
import { appendInParts } from '../threads/append-parts.js'
import type { Entry } from '../threads/entry.js'
import { allEntries, newestEntries } from '../threads/read-all.js'
import type { Thread } from '../threads/thread.js'

/** A function call of the history, and the call that replaces it under the same id. */
export interface HistoryMutation {
  readonly type: 'replace_function_call'
  readonly callId: string
  readonly replacement: Extract<AgentInputItem, { type: 'function_call' }>
}

export type HistoryTransaction =
  | { readonly type: 'append_items'; readonly items: AgentInputItem[] }
  | {
      readonly type: 'replace_suffix'
      readonly expectedSuffix: AgentInputItem[]
      readonly replacement: AgentInputItem[]
    }

/** A session of the OpenAI Agents SDK with its optional methods: transactions, mutations, compaction. */
export interface AgentSession extends Session {
  /**
   * Changes the history in one step, and only once for each id, however often it is called. The same id with another
   * change, or a suffix that does not match, is refused, and nothing is changed.
   */
  applyHistoryTransaction(args: {
    readonly operationId: string
    readonly transaction: HistoryTransaction
  }): Promise<void>
  applyHistoryMutations(args: { readonly mutations: readonly HistoryMutation[] }): Promise<void>
  replaceHistoryWithCompaction(items: AgentInputItem[]): Promise<void>
}

export interface AgentSessionOptions {
  /**
   * In an outage returns what this process knows of the thread. By default, a thread that is known only in part is
   * refused with ThreadIncompleteError. @default false
   */
  readonly partial?: boolean | undefined
}

/** A thread as a session of the OpenAI Agents SDK. */
export function createAgentSession(thread: Thread, options: AgentSessionOptions = {}): AgentSession {
  return new ThreadSession(thread, options)
}

/** Maximum length of a suffix, or of a history, that is replaced in one step. */
const maxReplaced = 5_000

class ThreadSession implements AgentSession {
  readonly #thread: Thread
  readonly #options: AgentSessionOptions
  /** The thread's generation when it was last read: items are added to that generation only. */
  #generation: number | undefined

  constructor(thread: Thread, options: AgentSessionOptions) {
    this.#thread = thread
    this.#options = options
  }

  async getSessionId(): Promise<string> {
    return this.#thread.id
  }

  async getItems(limit?: number): Promise<AgentInputItem[]> {
    if (limit !== undefined && limit <= 0) return []
    const { entries, generation } = await (limit === undefined
      ? allEntries(this.#thread, this.#options)
      : newestEntries(this.#thread, limit, this.#options))
    this.#generation = generation
    return entries.map(itemOf)
  }

  /** A thread that was deleted since it was read stays deleted. */
  async addItems(items: AgentInputItem[]): Promise<void> {
    const messages = items.map((item) => ({ ...messageOf(item), id: newId() }))
    this.#generation = await appendInParts(this.#thread, messages, this.#generation)
  }

  async popItem(): Promise<AgentInputItem | undefined> {
    for (;;) {
      const { entries } = await newestEntries(this.#thread, 1)
      const [newest] = entries
      if (newest === undefined) return undefined
      try {
        await this.#thread.splice({ replace: [newest.message.id], messages: [] })
        return itemOf(newest)
      } catch (error) {
        // Another one was appended, or taken, in between.
        if (!(error instanceof VersionConflictError)) throw error
      }
    }
  }

  async clearSession(): Promise<void> {
    await this.#thread.delete()
    this.#generation = undefined
  }

  async applyHistoryTransaction({
    operationId,
    transaction,
  }: {
    readonly operationId: string
    readonly transaction: HistoryTransaction
  }): Promise<void> {
    if (transaction.type === 'append_items') {
      if (transaction.items.length === 0) return
      await this.#thread.append(transaction.items.map(messageOf), { operation: operationId })
      return
    }
    const { expectedSuffix, replacement } = transaction
    const { entries: newest } = await newestEntries(this.#thread, expectedSuffix.length)
    const isThere =
      newest.length === expectedSuffix.length &&
      newest.every((entry, index) => canonical(itemOf(entry)) === canonical(expectedSuffix[index]))
    await this.#thread.splice({
      // A suffix that is not there may have been replaced by this very operation: its name tells.
      replace: isThere ? newest.map(({ message }) => message.id) : [`not there ${newId()}`],
      messages: replacement.map(messageOf),
      operation: operationId,
      fingerprint: digestText(canonical(transaction)),
    })
  }

  async applyHistoryMutations({
    mutations,
  }: {
    readonly mutations: readonly HistoryMutation[]
  }): Promise<void> {
    const entries = mutations.length === 0 ? [] : (await allEntries(this.#thread)).entries
    for (const { callId, replacement } of mutations) {
      const entry = entries.findLast((one) => {
        const item = itemOf(one)
        return item.type === 'function_call' && item.callId === callId
      })
      if (entry === undefined) throw new MessageMissingError(callId)
      if (replacement.callId !== callId) {
        throw new InvalidInputError(
          'replacement.callId',
          'the id of the call that it replaces',
          replacement.callId,
        )
      }
      await this.#thread.edit(entry.message.id, messageOf(replacement))
    }
  }

  async replaceHistoryWithCompaction(items: AgentInputItem[]): Promise<void> {
    const { entries } = await allEntries(this.#thread)
    if (entries.length > maxReplaced) {
      throw new InvalidInputError('items', `a history of at most ${maxReplaced} items`, entries)
    }
    const messages = items.map((item) => ({ ...messageOf(item), id: newId() }))
    await this.#thread.splice({ replace: entries.map(({ message }) => message.id), messages })
  }
}

/** An item has no id of its own; its role is told to the window, which reads its calls. */
function messageOf(item: AgentInputItem): Message {
  const plain = withoutClasses(item, 'item') as Record<string, unknown>
  const { type = 'message', role } = plain
  if (typeof role === 'string') return { role, item: plain }
  if (type === 'reasoning') return { role: 'reasoning', item: plain }
  const isResult = typeof type === 'string' && /_(?:output|result)$/.test(type)
  return { role: isResult ? 'tool' : 'assistant', item: plain }
}

function itemOf({ message }: Pick<Entry, 'message'>): AgentInputItem {
  const { item, id: _, ...rest } = message as StoredMessage & { readonly item?: AgentInputItem }
  return copyOf(item ?? (rest as unknown as AgentInputItem))
}

/** The canonical JSON of an item: equal for two items that are the same. */
function canonical(value: unknown): string {
  return encodeJson('item', withoutClasses(value, 'item')).canonical
}
