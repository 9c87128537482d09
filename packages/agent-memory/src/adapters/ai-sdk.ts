import { checkSubject } from '@evenkeel/core/kit'
import type { UIMessage } from 'ai'
import { digestText } from '../messages/ids.js'
import type { Message } from '../messages/message.js'
import type { Entry } from '../threads/entry.js'
import type { Owner } from '../threads/owner.js'
import { allEntries } from '../threads/read-all.js'
import type { Thread, WindowOptions } from '../threads/thread.js'

export interface SaveOptions<M extends UIMessage> {
  readonly chatId: string
  /** The chat as the client or the stream has it. */
  readonly messages: readonly M[]
  /**
   * Takes away what is stored and not among `messages`, as after a regeneration. Not for chats that several
   * write at once: what another wrote meanwhile would go too. @default false
   */
  readonly removeMissing?: boolean | undefined
}

/** Chats of the AI SDK. */
export interface Chats<M extends UIMessage = UIMessage> {
  /** All messages of a chat, in order; none for a new one. */
  load(chatId: string): Promise<M[]>
  /** The newest messages, to convert for a model: the cost does not grow with the chat. */
  window(chatId: string, options?: WindowOptions): Promise<M[]>
  /** Appends what is new, edits what changed, and writes nothing else. */
  save(options: SaveOptions<M>): Promise<void>
  thread(chatId: string): Thread
  /**
   * Keeps the stream of an answer while it is made, so that any process can give it again from the beginning:
   * for `consumeSseStream` of `toUIMessageStreamResponse`. Resolves when the stream has ended.
   */
  record(options: { readonly chatId: string; readonly stream: ReadableStream<string> }): Promise<void>
  /**
   * The answer that is being made, from its beginning, for a client that lost it; `undefined` when none is.
   * To be sent with `UI_MESSAGE_STREAM_HEADERS` of the AI SDK.
   */
  resume(
    chatId: string,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<ReadableStream<string> | undefined>
}

/**
 * Chats of one owner for the AI SDK: `load` for the page, `save` in `onFinish`, and nothing is written twice.
 * @example
 * const chats = createChats(memory.owner(userId))
 * const messages = await chats.load(id)
 * return result.toUIMessageStreamResponse({ originalMessages: messages, onFinish: ({ messages }) => chats.save({ chatId: id, messages }) })
 */
export function createChats<M extends UIMessage = UIMessage>(owner: Owner): Chats<M> {
  const thread = (chatId: string) => owner.thread(checkSubject('chatId', chatId))
  return {
    thread,
    load: async (chatId) =>
      (await allEntries(thread(chatId))).map(({ message }) => structuredClone(message) as unknown as M),
    window: async (chatId, options) =>
      (await thread(chatId).window(options)).messages.map(
        (message) => structuredClone(message) as unknown as M,
      ),
    record: ({ chatId, stream }) => record(thread(chatId), stream),
    resume: (chatId, { signal } = {}) => resume(thread(chatId), signal),
    save: (options) => save(thread(options.chatId), options),
  }
}

async function save<M extends UIMessage>(
  thread: Thread,
  { messages, removeMissing = false }: SaveOptions<M>,
): Promise<void> {
  const stored = new Map<string, Entry>((await allEntries(thread)).map((entry) => [entry.message.id, entry]))
  const fresh: Message[] = []
  for (const message of messages) {
    const { id, ...body } = message as unknown as Message & { readonly id: string }
    const known = stored.get(id)
    if (known === undefined) fresh.push({ ...body, id })
    else {
      const { id: _, ...before } = known.message
      // As JSON has it: a field that is undefined is none.
      const isSame = digestText(JSON.stringify(body)) === digestText(JSON.stringify(before))
      if (!isSame) await thread.edit(id, body)
    }
  }
  for (let from = 0; from < fresh.length; from += 1_000) await thread.append(fresh.slice(from, from + 1_000))
  if (!removeMissing) return
  const kept = new Set(messages.map(({ id }) => id))
  for (const id of stored.keys()) if (!kept.has(id)) await thread.remove(id)
}

async function record(thread: Thread, stream: ReadableStream<string>): Promise<void> {
  const draft = thread.draft()
  // A stream is a draft from its first moment on, whenever its first words come.
  draft.write(': recorded\n\n')
  await draft.flush().catch(() => {})
  const reader = stream.getReader()
  for (let next = await reader.read(); !next.done; next = await reader.read()) draft.write(next.value)
  await draft.end().catch(() => {})
}

async function resume(
  thread: Thread,
  signal: AbortSignal | undefined,
): Promise<ReadableStream<string> | undefined> {
  const draft = (await thread.drafts()).at(-1)
  if (draft === undefined) return undefined
  const stop = new AbortController()
  const pieces = thread.follow(draft, {
    signal: signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]),
  })
  return new ReadableStream<string>({
    async pull(controller) {
      const next = await pieces.next()
      if (next.done) controller.close()
      else controller.enqueue(next.value.text)
    },
    cancel: () => stop.abort(),
  })
}
