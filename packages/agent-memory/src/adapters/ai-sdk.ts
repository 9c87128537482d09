import { ByteBoundedLru, checkSubject, isOutage, linkSignals } from '@evenkeel/core/kit'
import type { UIMessage } from 'ai'
import { MessageTooLargeError } from '../errors.js'
import { digestText } from '../messages/ids.js'
import { copyOf, withoutClasses } from '../messages/json.js'
import type { Message, StoredMessage } from '../messages/message.js'
import type { Owner } from '../threads/owner.js'
import { allEntries, type ReadAllOptions } from '../threads/read-all.js'
import type { Thread, Window, WindowOptions } from '../threads/thread.js'

export interface SaveOptions<M extends UIMessage> {
  readonly chatId: string
  /** The chat's messages as the client or the stream has them. */
  readonly messages: readonly M[]
  /**
   * Removes stored messages that are not among `messages`, as after a regeneration, and puts the chat in the order of
   * the list. Messages that these `Chats` have not read or saved stay; if they know nothing of the chat, messages
   * before the first stored one of `messages` stay. Not for chats with several writers at once. @default false
   */
  readonly removeMissing?: boolean | undefined
}

/** Chats of the AI SDK. */
export interface Chats<M extends UIMessage = UIMessage> {
  /**
   * Returns all messages of a chat, in order; none for a new chat.
   * @throws ThreadIncompleteError in an outage, when this process knows only a part and `partial` is not set
   */
  load(chatId: string, options?: ReadAllOptions): Promise<M[]>
  /**
   * Returns the newest messages, to convert for a model; the cost does not grow with the chat. If the chat was
   * compacted, its summary comes first, as a system message.
   */
  window(chatId: string, options?: WindowOptions): Promise<M[]>
  /**
   * Makes the chat hold the messages: new ones are appended, changed ones edited, and removed ones restored, in one
   * step, without a read first; in an outage it is journaled. A chat that was deleted since these `Chats` read it, or
   * since one of the messages was read from them, stays deleted. A message without an id, as the AI SDK makes them
   * without `generateMessageId`, is identified by the message that it answers.
   * @throws MessageTooLargeError that names the message; the others are saved
   */
  save(options: SaveOptions<M>): Promise<void>
  thread(chatId: string): Thread
  /**
   * Stores the stream of an answer while it is generated, so that any process can replay it from the beginning: for
   * `consumeSseStream` of `toUIMessageStreamResponse`. Resolves when the stream has ended, and never rejects.
   */
  record(options: { readonly chatId: string; readonly stream: ReadableStream<string> }): Promise<void>
  /**
   * Streams the answer that is being generated from its beginning, for a client that lost it; `undefined` if there is
   * none, or if an outage hides whether there is one. It ends with the answer, or 30 s after its writer is gone.
   * Send it with `UI_MESSAGE_STREAM_HEADERS` of the AI SDK.
   */
  resume(
    chatId: string,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<ReadableStream<string> | undefined>
}

/** Which chat a message was read from, and how often that had been deleted. */
interface Origin {
  readonly chatId: string
  readonly generation: number
}

/** What has been read or saved of a chat. */
interface SeenChat {
  readonly generation: number
  readonly from: number
  readonly upTo: number
}

/**
 * Chats of one owner for the AI SDK: `load` for the page, `save` in `onFinish`, and nothing is written twice.
 * @example
 * const chats = createChats(memory.owner(userId))
 * const messages = await chats.load(id)
 * return result.toUIMessageStreamResponse({
 *   originalMessages: messages,
 *   generateMessageId: generateId,
 *   onFinish: ({ messages }) => chats.save({ chatId: id, messages }),
 * })
 */
export function createChats<M extends UIMessage = UIMessage>(owner: Owner): Chats<M> {
  const thread = (chatId: string) => owner.thread(checkSubject('chatId', chatId))
  const seen = new ByteBoundedLru<SeenChat>({ maxEntries: 10_000, sizeOf: () => 50 })
  /**
   * The origin of each message that was read. `seen` is not enough: another request may read a chat again after it
   * was deleted, and before the messages read earlier are saved.
   */
  const origins = new WeakMap<object, Origin>()
  const given = (messages: readonly object[], origin: Origin) => {
    for (const message of messages) origins.set(message, origin)
    return messages as unknown as M[]
  }
  const generationOf = (chatId: string, messages: readonly object[]): number | undefined => {
    const read = messages.flatMap((message) => origins.get(message) ?? [])
    const own = read.filter((origin) => origin.chatId === chatId).map(({ generation }) => generation)
    const least = Math.min(...own, seen.get(chatId)?.generation ?? Number.POSITIVE_INFINITY)
    return Number.isFinite(least) ? least : undefined
  }
  return {
    thread,
    async load(chatId, options) {
      const { entries, generation, newest, complete } = await allEntries(thread(chatId), options)
      // If only a part was read, nothing can count as missing.
      seen.set(chatId, { generation, from: complete ? 1 : Number.MAX_SAFE_INTEGER, upTo: newest })
      const messages = entries.map(({ message }) => copyOf(message))
      return given(messages, { chatId, generation })
    },
    async window(chatId, options) {
      const window = await thread(chatId).window(options)
      const { generation, from } = window
      if (window.stale) return messagesOf(window) as unknown as M[]
      seen.set(chatId, { generation, from, upTo: Number.MAX_SAFE_INTEGER })
      return given(messagesOf(window), { chatId, generation })
    },
    record: ({ chatId, stream }) => record(thread(chatId), stream),
    resume: (chatId, { signal } = {}) => resume(thread(chatId), signal),
    async save({ chatId, messages, removeMissing = false }) {
      if (messages.length === 0) return
      const before = seen.get(chatId)
      const plain = withoutClasses(messages, 'messages') as readonly StoredMessage[]
      const ifGeneration = generationOf(chatId, messages)
      const saved = await save(thread(chatId), plain, { before, ifGeneration, removeMissing })
      if (saved !== undefined) seen.set(chatId, saved)
    },
  }
}

interface SaveTerms {
  readonly before: SeenChat | undefined
  readonly ifGeneration: number | undefined
  readonly removeMissing: boolean
}

async function save(
  thread: Thread,
  given: readonly StoredMessage[],
  { before, ifGeneration, removeMissing }: SaveTerms,
): Promise<SeenChat | undefined> {
  let messages = await named(thread, given)
  let refused: MessageTooLargeError | undefined
  for (;;) {
    try {
      const receipt = await thread.put(messages, {
        ifGeneration,
        // If a message was refused, nothing is removed: the refused one may be the replacement.
        removes:
          removeMissing && refused === undefined
            ? { from: before?.from ?? 0, upTo: before?.upTo ?? Number.MAX_SAFE_INTEGER }
            : undefined,
      })
      if (refused !== undefined) throw refused
      if (receipt.status !== 'stored') return before
      const { generation, seqs } = receipt
      const from = Math.min(before?.from ?? Number.MAX_SAFE_INTEGER, ...seqs)
      return { generation, from, upTo: Math.max(before?.upTo ?? 0, ...seqs) }
    } catch (error) {
      if (!(error instanceof MessageTooLargeError) || error === refused) throw error
      refused ??= error
      const kept = messages.filter(({ id }) => id !== error.id)
      if (kept.length === 0 || kept.length === messages.length) throw refused
      messages = kept
    }
  }
}

/**
 * Gives every message an id. An answer without one is named after the message before it. The client later gives the
 * same answer an id of its own; so if any answer lacks an id, the others are looked up by that name too.
 */
async function named(thread: Thread, given: readonly StoredMessage[]): Promise<readonly Message[]> {
  if (!given.some(({ id }) => id === '' || id === undefined)) return given
  const messages: Message[] = []
  let previous = ''
  for (const message of given) {
    const name = `answer.${digestText(previous)}`
    const isNamed = message.id !== '' && message.id !== undefined
    const isKnown = isNamed && message.role === 'assistant' && (await isStored(thread, name))
    const id = isNamed && !isKnown ? message.id : name
    messages.push({ ...message, id })
    previous = id
  }
  return messages
}

async function isStored(thread: Thread, id: string): Promise<boolean> {
  // In an outage nobody can tell, and the message keeps the client's id.
  const entry = await thread.get(id).catch(() => undefined)
  return entry !== undefined
}

/** Messages of a window, the summary of those before as one of them. */
function messagesOf({ messages, summary }: Window): readonly object[] {
  const copies = messages.map((message) => copyOf(message))
  if (summary === undefined) return copies
  const parts = [{ type: 'text', text: summary.text }]
  const system = copies.findIndex(({ role }) => role !== 'system')
  const at = system < 0 ? copies.length : system
  return copies.toSpliced(at, 0, { id: `summary.${summary.upTo}`, role: 'system', parts } as StoredMessage)
}

/** Records a stream as a draft. A failure to record does not disturb the answer, which continues unrecorded. */
async function record(thread: Thread, stream: ReadableStream<string>): Promise<void> {
  const reader = stream.getReader()
  const draft = thread.draft()
  // The draft exists as soon as the stream starts, even if its first words come later.
  await draft.flush().catch(() => {})
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) draft.write(next.value)
  } catch {
    // The answer broke off: its readers keep what was recorded.
  }
  await draft.end().catch(() => {})
}

async function resume(
  thread: Thread,
  signal: AbortSignal | undefined,
): Promise<ReadableStream<string> | undefined> {
  const open = await thread.drafts({ idle: '30s' }).catch((error: unknown) => {
    if (isOutage(error)) return []
    throw error
  })
  const draft = open.at(-1)
  if (draft === undefined) return undefined
  const linked = linkSignals(signal)
  const pieces = thread.follow(draft, { signal: linked.signal })
  return new ReadableStream<string>({
    async pull(controller) {
      try {
        const next = await pieces.next()
        if (!next.done) return controller.enqueue(next.value.text)
      } catch (error) {
        linked.unlink()
        throw error
      }
      linked.unlink()
      controller.close()
    },
    cancel: (reason) => linked.abort(reason),
  })
}
