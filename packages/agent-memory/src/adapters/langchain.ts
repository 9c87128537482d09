import { BaseListChatMessageHistory } from '@langchain/core/chat_history'
import {
  type BaseMessage,
  type StoredMessage as LangChainMessage,
  mapChatMessagesToStoredMessages,
  mapStoredMessagesToChatMessages,
} from '@langchain/core/messages'
import { ThreadIncompleteError } from '../errors.js'
import { newId } from '../messages/ids.js'
import { copyOf, withoutClasses } from '../messages/json.js'
import type { Message, StoredMessage } from '../messages/message.js'
import { appendInParts } from '../threads/append-parts.js'
import { allEntries } from '../threads/read-all.js'
import type { Thread, WindowOptions } from '../threads/thread.js'

export interface ChatHistoryOptions {
  /** Returns this window of the thread rather than all of it, at a cost that does not grow with the thread. */
  readonly window?: WindowOptions | undefined
  /**
   * In an outage returns what this process knows of the thread. By default, a thread that is known only in part is
   * refused with ThreadIncompleteError. @default false
   */
  readonly partial?: boolean | undefined
}

/**
 * A thread as a LangChain history. Messages that are added together are one append; a message whose id is
 * stored already is not stored again.
 */
export function createChatHistory(
  thread: Thread,
  options: ChatHistoryOptions = {},
): BaseListChatMessageHistory {
  return new ThreadHistory(thread, options)
}

/** The id by which a `RemoveMessage` means all messages. */
const everything = '__remove_all__'

const isRemoval = (message: BaseMessage): boolean => message.getType() === 'remove'

class ThreadHistory extends BaseListChatMessageHistory {
  override lc_namespace = ['evenkeel', 'agent-memory']
  readonly #thread: Thread
  readonly #window: WindowOptions | undefined
  readonly #partial: boolean
  /** The thread's generation when it was last read: messages are added to that generation only. */
  #generation: number | undefined

  constructor(thread: Thread, { window, partial = false }: ChatHistoryOptions) {
    super()
    this.#thread = thread
    this.#window = window
    this.#partial = partial
  }

  override async getMessages(): Promise<BaseMessage[]> {
    const messages = this.#window === undefined ? await this.#all() : await this.#windowed(this.#window)
    return mapStoredMessagesToChatMessages(messages.map(toLangChain))
  }

  override addMessage(message: BaseMessage): Promise<void> {
    return this.addMessages([message])
  }

  /**
   * A thread that was deleted since it was read stays deleted. A `RemoveMessage` removes the message of its id; one
   * with the id `__remove_all__` removes all messages before it, as in a graph's state.
   */
  override async addMessages(messages: BaseMessage[]): Promise<void> {
    let rest = messages
    while (rest.length > 0) {
      const next = rest.findIndex(isRemoval)
      await this.#add(next < 0 ? rest : rest.slice(0, next))
      const removal = next < 0 ? undefined : rest[next]
      if (removal?.id === everything) await this.clear()
      else if (removal?.id !== undefined) await this.#thread.remove(removal.id)
      rest = next < 0 ? [] : rest.slice(next + 1)
    }
  }

  async #add(messages: readonly BaseMessage[]): Promise<void> {
    if (messages.length === 0) return
    const stored = mapChatMessagesToStoredMessages([...messages])
    const own = stored.map((one, index) => fromLangChain(withOwnValues(one, messages[index])))
    this.#generation = await appendInParts(this.#thread, own, this.#generation)
  }

  override async clear(): Promise<void> {
    await this.#thread.delete()
    this.#generation = undefined
  }

  async #all(): Promise<readonly StoredMessage[]> {
    const { entries, generation } = await allEntries(this.#thread, { partial: this.#partial })
    this.#generation = generation
    return entries.map(({ message }) => copyOf(message))
  }

  async #windowed(options: WindowOptions): Promise<readonly StoredMessage[]> {
    const { messages, summary, generation, complete } = await this.#thread.window(options)
    if (!complete && !this.#partial) throw new ThreadIncompleteError()
    this.#generation = generation
    const copies = messages.map((message) => copyOf(message))
    if (summary === undefined) return copies
    const first = copies.findIndex(({ role }) => role !== 'system' && role !== 'developer')
    const content = { id: `summary.${summary.upTo}`, role: 'system', content: summary.text }
    return copies.toSpliced(first < 0 ? copies.length : first, 0, content)
  }
}

interface ToolCallFields {
  readonly tool_calls?: unknown
  readonly invalid_tool_calls?: unknown
}

const roles: Record<string, string> = { human: 'user', ai: 'assistant', developer: 'system' }

/** LangChain's own form turns bytes and maps into plain objects: the message has them as they are. */
function withOwnValues({ type, data }: LangChainMessage, message: BaseMessage | undefined): LangChainMessage {
  const own = new Map(Object.entries(message ?? {}))
  const values = Object.entries(data).map(([name, value]) => [name, own.has(name) ? own.get(name) : value])
  return { type, data: Object.fromEntries(values) as LangChainMessage['data'] }
}

/** Role, content and tool calls stand where a window looks for them; the rest is kept as LangChain wrote it. */
function fromLangChain({ type, data }: LangChainMessage): Message {
  const { id, content, tool_call_id, ...rest } = withoutClasses(data, 'data') as LangChainMessage['data'] &
    ToolCallFields
  const { tool_calls, invalid_tool_calls, ...other } = rest
  const isGeneric = !(type in roles) && /^[\w-]{1,64}$/.test(data.role ?? '')
  return {
    id: id ?? newId(),
    role: roles[type] ?? (isGeneric ? data.role : undefined) ?? type,
    content,
    ...(tool_calls !== undefined && { tool_calls }),
    // Some providers' classes send these with the others, and so they need an answer too.
    ...(Array.isArray(invalid_tool_calls) && invalid_tool_calls.length > 0 && { invalid_tool_calls }),
    ...(tool_call_id !== undefined && { tool_call_id }),
    langchain: { type, data: other },
  }
}

function toLangChain({ id, role, langchain, ...fields }: StoredMessage): LangChainMessage {
  const known = langchain as LangChainMessage | undefined
  if (known !== undefined) return { type: known.type, data: { ...known.data, ...fields, id } as never }
  // A message that was appended in another way.
  return toKnownType({ role, ...fields, id })
}

/** A type that LangChain has for it: it throws where it meets another one, or one that lacks what the type needs. */
function toKnownType({ role, content, ...fields }: StoredMessage): LangChainMessage {
  const types: Record<string, string> = {
    user: 'human',
    assistant: 'ai',
    model: 'ai',
    system: 'system',
    developer: 'system',
    tool: 'tool',
    function: 'function',
  }
  const needs: Record<string, string> = { tool: 'tool_call_id', function: 'name' }
  const known = Object.hasOwn(types, role) ? (types[role] ?? 'generic') : 'generic'
  const type = typeof fields[needs[known] ?? 'id'] === 'string' ? known : 'generic'
  const data = {
    name: undefined,
    tool_call_id: undefined,
    ...fields,
    content: content ?? textsOf(fields.parts),
  }
  return { type, data: { ...data, role: role || String(fields.type ?? 'item') } as never }
}

/** Texts of a message whose content are parts, as Gemini's and the AI SDK's; the parts stay beside it. */
function textsOf(parts: unknown): string {
  if (!Array.isArray(parts)) return ''
  return parts.map((part: { readonly text?: unknown } | null) => String(part?.text ?? '')).join('')
}
