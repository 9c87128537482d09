import { UnavailableError } from '@evenkeel/core'
import { FencedError, MessageConflictError } from '../errors.js'
import { newId } from '../messages/ids.js'
import type { Message } from '../messages/message.js'
import { prepareAll } from '../messages/prepare.js'
import type { ThreadId } from '../stores/thread-id.js'
import { appendMessages } from '../threads/append.js'
import type { ThreadContext } from '../threads/context.js'
import type { DraftId, Piece } from './port.js'

/** An answer that is still being made, shown to every reader in every process. */
export interface Draft {
  readonly id: string
  /** Adds to it; pieces that come close together are sent as one. Never waits, and never throws for an outage. */
  write(text: string): void
  /** Resolves when all that was written is in the store. @throws FencedError when another took the draft over */
  flush(): Promise<void>
  /**
   * Appends the message that the draft came to, and ends the draft, in one step. In an outage the message is
   * journaled like any other.
   * @throws FencedError when another took the draft over
   */
  finalize(
    message: Message,
  ): Promise<{ readonly status: 'stored' | 'duplicate' | 'journaled'; readonly id: string }>
  /** Ends it without a message. */
  end(): Promise<void>
}

export interface FollowOptions {
  /** Begins behind this piece. @default 0, at the beginning */
  readonly after?: number | undefined
  readonly signal?: AbortSignal | undefined
}

export interface RecoverOptions {
  /** A writer that has been silent for so long is taken to be gone. @default 30_000 */
  readonly idleMs?: number | undefined
  /** Makes a message of what there is. @default an assistant's message with the text, and `interrupted: true` */
  readonly message?: ((text: string) => Message) | undefined
}

/** Pieces are sent at most so often. */
const flushMs = 50
/** One piece is no longer than this. */
const maxPiece = 32_768
/** What waits for Redis is no more than this; a draft that is not shown is no loss, its message is kept. */
const maxWaiting = 1 << 20
const ttlMs = 3_600_000

export class DraftHandle implements Draft {
  readonly id: string
  readonly #context: ThreadContext
  readonly #place: DraftId
  readonly #token = newId()
  #waiting = ''
  #sending: { readonly number: number; readonly text: string } | undefined
  #sent = 0
  #timer: NodeJS.Timeout | undefined
  #flushing: Promise<void> | undefined
  #isFenced = false
  #isEnded = false

  constructor(context: ThreadContext, thread: ThreadId, id: string) {
    this.id = id
    this.#context = context
    this.#place = { ...thread, draft: id }
  }

  write(text: string): void {
    if (this.#isEnded || this.#isFenced || this.#waiting.length > maxWaiting) return
    this.#waiting += text
    if (this.#timer !== undefined) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.flush().catch(() => {})
    }, flushMs)
    this.#timer.unref()
  }

  async flush(): Promise<void> {
    while (this.#flushing !== undefined) await this.#flushing.catch(() => {})
    this.#flushing = this.#send().finally(() => {
      this.#flushing = undefined
    })
    return this.#flushing
  }

  async finalize(message: Message) {
    const { context, place } = { context: this.#context, place: this.#place }
    const [prepared] = prepareAll(message, context.options)
    if (prepared === undefined) throw new TypeError('A message was not prepared')
    const shown = await this.flush().then(
      () => true,
      (error: unknown) => {
        if (!UnavailableError.isInstance(error)) throw error
        return false
      },
    )
    this.#stop()
    const options = { ttlMs: context.options.ttlMs, token: this.#token, number: this.#sent + 1 }
    const result = shown
      ? await context.drafts.finalize(place, prepared, options).catch((error: unknown) => {
          // The message's id is the same there and in the journal: it is there once, whatever has happened.
          if (!UnavailableError.isInstance(error)) throw error
          return undefined
        })
      : undefined
    if (result?.status === 'fenced') throw new FencedError()
    if (result?.status === 'conflict') throw new MessageConflictError(prepared.id)
    context.notifier.notify(place)
    if (result?.status === 'stored' || result?.status === 'duplicate')
      return { status: result.status, id: prepared.id }
    const { status } = await appendMessages(context, place, [prepared], {})
    return { status, id: prepared.id }
  }

  async end(): Promise<void> {
    await this.flush()
    this.#stop()
    const piece = { number: this.#sent + 1, text: '', token: this.#token, isEnd: true, ttlMs }
    await this.#context.drafts.write(this.#place, piece)
    this.#context.notifier.notify(this.#place)
  }

  #stop(): void {
    this.#isEnded = true
    clearTimeout(this.#timer)
  }

  async #send(): Promise<void> {
    while (this.#sending !== undefined || this.#waiting !== '') {
      if (this.#isFenced) throw new FencedError()
      // What may have been sent is sent again under its number before anything else.
      this.#sending ??= { number: this.#sent + 1, text: this.#take() }
      const piece = { ...this.#sending, token: this.#token, isEnd: false, ttlMs }
      const status = await this.#context.drafts.write(this.#place, piece)
      if (status !== 'written') {
        this.#isFenced = true
        throw new FencedError()
      }
      this.#sent = this.#sending.number
      this.#sending = undefined
      this.#context.notifier.notify(this.#place)
    }
  }

  #take(): string {
    let length = Math.min(maxPiece, this.#waiting.length)
    // Half of a character is none.
    if (length < this.#waiting.length && /[\uD800-\uDBFF]/.test(this.#waiting[length - 1] ?? '')) length--
    const text = this.#waiting.slice(0, length)
    this.#waiting = this.#waiting.slice(length)
    return text
  }
}

/** Pieces of a draft as they come, until it ends. In an outage it waits. */
export async function* follow(
  context: ThreadContext,
  id: DraftId,
  { after = 0, signal }: FollowOptions,
): AsyncGenerator<Piece> {
  let behind = after
  for await (const _ of context.notifier.changes(id, signal)) {
    for (;;) {
      const reading = await context.drafts.read(id, behind).catch((error: unknown) => {
        if (!UnavailableError.isInstance(error)) throw error
        return { pieces: [], isEnded: false }
      })
      if (reading === undefined) return
      for (const piece of reading.pieces) {
        yield piece
        behind = piece.number
      }
      if (reading.isEnded) return
      if (reading.pieces.length === 0) break
    }
  }
}

/** Makes a message of a draft whose writer is gone. `undefined` while it lives, or when there is none. */
export async function recover(
  context: ThreadContext,
  id: DraftId,
  { idleMs = 30_000, message = interrupted }: RecoverOptions,
): Promise<Message | undefined> {
  const token = newId()
  if ((await context.drafts.take(id, token, idleMs)) !== 'taken') return undefined
  let [text, number] = ['', 0]
  for (;;) {
    const reading = await context.drafts.read(id, number)
    for (const piece of reading?.pieces ?? []) {
      text += piece.text
      number = piece.number
    }
    if (reading === undefined || reading.pieces.length === 0) break
  }
  // One draft is one message, whoever recovers it.
  const made = { id: `draft.${id.draft}`, ...message(text) }
  const [prepared] = prepareAll(made, context.options)
  if (prepared === undefined) return undefined
  const options = { ttlMs: context.options.ttlMs, token, number: number + 1 }
  const result = await context.drafts.finalize(id, prepared, options)
  context.notifier.notify(id)
  return result.status === 'stored' || result.status === 'duplicate' ? made : undefined
}

function interrupted(text: string): Message {
  return { role: 'assistant', content: text, interrupted: true }
}
