import { BaseListChatMessageHistory } from '@langchain/core/chat_history'
import {
  type BaseMessage,
  type StoredMessage as LangChainMessage,
  mapChatMessagesToStoredMessages,
  mapStoredMessagesToChatMessages,
} from '@langchain/core/messages'
import { newId } from '../messages/ids.js'
import type { Message, StoredMessage } from '../messages/message.js'
import { allEntries } from '../threads/read-all.js'
import type { Thread, WindowOptions } from '../threads/thread.js'

export interface ChatHistoryOptions {
  /** Gives this window of the thread rather than all of it: its cost does not grow with the thread. */
  readonly window?: WindowOptions | undefined
}

/**
 * A thread as a history of LangChain. Messages that come together are one append; one that has an id and
 * comes again is there once.
 */
export function createChatHistory(
  thread: Thread,
  options: ChatHistoryOptions = {},
): BaseListChatMessageHistory {
  return new ThreadHistory(thread, options)
}

class ThreadHistory extends BaseListChatMessageHistory {
  override lc_namespace = ['evenkeel', 'agent-memory']
  readonly #thread: Thread
  readonly #window: WindowOptions | undefined

  constructor(thread: Thread, { window }: ChatHistoryOptions) {
    super()
    this.#thread = thread
    this.#window = window
  }

  override async getMessages(): Promise<BaseMessage[]> {
    const messages =
      this.#window === undefined
        ? (await allEntries(this.#thread)).map(({ message }) => message)
        : (await this.#thread.window(this.#window)).messages
    return mapStoredMessagesToChatMessages(messages.map(toLangChain))
  }

  override addMessage(message: BaseMessage): Promise<void> {
    return this.addMessages([message])
  }

  override async addMessages(messages: BaseMessage[]): Promise<void> {
    if (messages.length > 0)
      await this.#thread.append(mapChatMessagesToStoredMessages(messages).map(fromLangChain))
  }

  override async clear(): Promise<void> {
    await this.#thread.delete()
  }
}

const roles: Record<string, string> = { human: 'user', ai: 'assistant', developer: 'system' }

/** Role, content and tool calls stand where a window looks for them; the rest is kept as LangChain wrote it. */
function fromLangChain({ type, data }: LangChainMessage): Message {
  const { id, content, tool_call_id, ...rest } = data as LangChainMessage['data'] & { tool_calls?: unknown }
  const { tool_calls, ...other } = rest
  const isGeneric = !(type in roles) && /^[\w-]{1,64}$/.test(data.role ?? '')
  return {
    id: id ?? newId(),
    role: roles[type] ?? (isGeneric ? data.role : undefined) ?? type,
    content,
    ...(tool_calls !== undefined && { tool_calls }),
    ...(tool_call_id !== undefined && { tool_call_id }),
    langchain: { type, data: other },
  }
}

function toLangChain({ id, role, langchain, ...fields }: StoredMessage): LangChainMessage {
  const known = langchain as LangChainMessage | undefined
  if (known !== undefined) return { type: known.type, data: { ...known.data, ...fields, id } as never }
  // A message that was appended in another way.
  const types: Record<string, string> = { user: 'human', assistant: 'ai', developer: 'system' }
  return {
    type: types[role] ?? role,
    data: { content: '', role, name: undefined, tool_call_id: undefined, ...fields, id } as never,
  }
}
