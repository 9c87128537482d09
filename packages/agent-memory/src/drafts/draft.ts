import { type Duration, type Heartbeat, heartbeat, input, isOutage } from '@evenkeel/core/kit'
import { FencedError, MessageConflictError, ThreadDeletedError } from '../errors.js'
import { newId } from '../messages/ids.js'
import type { Message } from '../messages/message.js'
import { type PreparedMessage, prepareAll } from '../messages/prepare.js'
import type { AppendResult } from '../stores/port.js'
import type { ThreadId } from '../stores/thread-id.js'
import { appendMessages } from '../threads/append.js'
import type { ThreadContext } from '../threads/context.js'
import { type DraftId, type DraftWrite, type Piece, recoveredId } from './port.js'

/** An answer that is still being generated, shown to readers in every process. */
export interface Draft {
  readonly id: string
  /** Adds text. Text written within 50 ms is sent as one piece. Never waits, and never throws because of an outage. */
  write(text: string): void
  /**
   * Resolves when all text written so far is in the store.
   * @throws FencedError when another process took the draft over, or its thread was deleted
   */
  flush(): Promise<void>
  /**
   * Appends the final message and ends the draft, in one step. In an outage the message is journaled like any other.
   * `deleted`: the thread was deleted since the draft began, and stays deleted.
   * @throws FencedError when another process took the draft over, MessageConflictError
   */
  finalize(message: Message): Promise<DraftReceipt>
  /** Ends the draft without a message. */
  end(): Promise<void>
}

export interface DraftReceipt {
  readonly status: 'stored' | 'duplicate' | 'journaled' | 'deleted'
  readonly id: string
}

export interface FollowOptions {
  /** Begins after the piece with this number. @default 0, at the beginning */
  readonly after?: number | undefined
  /** Silence of the writer after which it is considered gone, and the draft ends for this reader. @default '30s' */
  readonly idle?: Duration | undefined
  readonly signal?: AbortSignal | undefined
}

export interface RecoverOptions {
  /** Silence after which the writer is considered gone; a live one gives a sign every 10 s. @default '30s' */
  readonly idle?: Duration | undefined
  /** Makes a message from the text so far. @default an assistant's message with the text, and `interrupted: true` */
  readonly message?: ((text: string) => Message) | undefined
}

/** Minimum time between two pieces. */
const flushMs = 50
/** Maximum length of a piece, in characters. */
const maxPiece = 32_768
/** Characters that may wait for Redis. Beyond it readers see a gap; the final message is complete. */
const maxWaiting = 8 << 20
const ttlMs = 3_600_000
/** Interval of a writer's signs of life: a third of the silence after which it is considered gone. */
const signMs = 10_000
const defaultIdle: Duration = '30s'

export class DraftHandle implements Draft {
  readonly id: string
  readonly #context: ThreadContext
  readonly #place: DraftId
  readonly #token = newId()
  readonly #signs: Heartbeat
  #waiting = ''
  /** Characters left out after the text that waits. */
  #omitted = 0
  #sending: Piece | undefined
  #sent = 0
  #timer: NodeJS.Timeout | undefined
  #flushing: Promise<void> | undefined
  #begun: Promise<void> | undefined
  /** Generation of the thread when the draft began; `undefined` until it is known. */
  #generation: number | undefined
  #isFenced = false
  #isEnded = false

  constructor(context: ThreadContext, thread: ThreadId, id: string) {
    this.id = id
    this.#context = context
    this.#place = { ...thread, draft: id }
    // If a handle is dropped without an end, it is garbage-collected, and its draft can be recovered.
    const handle = new WeakRef(this)
    const signs = heartbeat({
      everyMs: signMs,
      beat: () => {
        const draft = handle.deref()
        return draft === undefined ? signs.close() : draft.#sign()
      },
      // While Redis is away there is no reader to notify.
      onError: () => {},
    })
    this.#signs = signs
    signs.start()
    this.#begin().catch(() => {})
  }

  write(text: string): void {
    if (this.#isEnded || this.#isFenced) return
    const room = maxWaiting - this.#waiting.length
    if (this.#omitted > 0 || text.length > room) this.#omitted += text.length
    else this.#waiting += text
    if (this.#timer !== undefined) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.flush().catch(() => {})
    }, flushMs)
    this.#timer.unref()
  }

  flush(): Promise<void> {
    return this.#flush(false)
  }

  async finalize(message: Message): Promise<DraftReceipt> {
    const [prepared] = prepareAll(message, this.#context.options)
    if (prepared === undefined) throw new TypeError('A message was not prepared')
    const isShown = await this.#flush(true).then(
      () => true,
      (error: unknown) => {
        // If the draft was taken over or its thread deleted, the store says so below.
        if (error instanceof FencedError) return true
        if (!isOutage(error)) throw error
        return false
      },
    )
    this.#stop()
    const { id } = prepared
    const result = isShown ? await this.#finalizeShown(prepared) : undefined
    if (result?.status === 'fenced') throw new FencedError()
    if (result?.status === 'conflict') throw new MessageConflictError(id)
    if (result?.status === 'deleted') return { status: 'deleted', id }
    if (result?.status === 'stored' || result?.status === 'duplicate') {
      this.#context.counters.appended[result.status]++
      this.#context.noted(this.#place, [prepared], result.generation)
      return { status: result.status, id }
    }
    return this.#append(prepared)
  }

  async end(): Promise<void> {
    this.#stop()
    await this.#flush(true)
    await this.#write({ kind: 'end', number: this.#sent + 1 })
  }

  /** The message has the same id in the store and in the journal, so that it is stored only once in any case. */
  async #finalizeShown(message: PreparedMessage): Promise<AppendResult | undefined> {
    const { drafts, options, notifier } = this.#context
    const end = {
      ttlMs: options.ttlMs,
      token: this.#token,
      number: this.#sent + 1,
      generation: this.#generation,
    }
    const result = await drafts.finalize(this.#place, message, end).catch((error: unknown) => {
      if (!isOutage(error)) throw error
      return undefined
    })
    notifier.notify(this.#place)
    return result
  }

  async #append(message: PreparedMessage): Promise<DraftReceipt> {
    const { id } = message
    try {
      const guards = { generation: this.#generation }
      const { status } = await appendMessages(this.#context, this.#place, [message], guards)
      return { status, id }
    } catch (error) {
      if (error instanceof ThreadDeletedError) return { status: 'deleted', id }
      throw error
    }
  }

  #stop(): void {
    this.#isEnded = true
    this.#signs.close()
    clearTimeout(this.#timer)
  }

  /** Tries again after a failure. */
  #begin(): Promise<void> {
    this.#begun ??= this.#write({ kind: 'begin' }).catch((error: unknown) => {
      this.#begun = undefined
      throw error
    })
    return this.#begun
  }

  async #sign(): Promise<void> {
    await this.#begin()
    await this.#write({ kind: 'alive' })
  }

  async #write(write: DistributiveOmit<DraftWrite, 'token' | 'ttlMs'>): Promise<void> {
    const written = await this.#context.drafts.write(this.#place, { ...write, token: this.#token, ttlMs })
    if (written.status !== 'written') {
      this.#isFenced = true
      this.#signs.close()
      throw new FencedError()
    }
    this.#generation = written.generation
    if (write.kind === 'piece' || write.kind === 'end') this.#context.notifier.notify(this.#place)
  }

  async #flush(isLast: boolean): Promise<void> {
    while (this.#flushing !== undefined) await this.#flushing.catch(() => {})
    this.#flushing = this.#send(isLast).finally(() => {
      this.#flushing = undefined
    })
    return this.#flushing
  }

  async #send(isLast: boolean): Promise<void> {
    await this.#begin()
    for (;;) {
      if (this.#isFenced) throw new FencedError()
      // A piece that may have been sent is sent again under its number before anything else.
      this.#sending ??= this.#take(isLast)
      if (this.#sending === undefined) return
      await this.#write({ kind: 'piece', ...this.#sending })
      this.#sent = this.#sending.number
      this.#sending = undefined
    }
  }

  /** Takes the next piece. Half of a surrogate pair waits for its other half. */
  #take(isLast: boolean): Piece | undefined {
    let length = Math.min(maxPiece, this.#waiting.length)
    const isCut = /[\uD800-\uDBFF]/.test(this.#waiting[length - 1] ?? '')
    if (isCut && (length < this.#waiting.length || !isLast)) length--
    const number = this.#sent + 1
    if (length > 0) {
      const text = this.#waiting.slice(0, length)
      this.#waiting = this.#waiting.slice(length)
      return { number, text, omitted: 0 }
    }
    const omitted = this.#omitted
    if (omitted === 0) return undefined
    this.#omitted = 0
    return { number, text: '', omitted }
  }
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never

/** Yields the pieces of a draft as they come, until it ends or its writer is gone. In an outage it waits. */
export async function* follow(
  context: ThreadContext,
  id: DraftId,
  { after = 0, idle = defaultIdle, signal }: FollowOptions,
): AsyncGenerator<Piece> {
  const idleMs = input.duration('idle', idle)
  let behind = after
  for await (const _ of context.notifier.changes(id, signal)) {
    for (;;) {
      const reading = await context.drafts.read(id, behind).catch((error: unknown) => {
        if (!isOutage(error)) throw error
        return { pieces: [], isEnded: false, silentMs: 0 }
      })
      if (reading === undefined) return
      for (const piece of reading.pieces) {
        yield piece
        behind = piece.number
      }
      if (reading.isEnded) return
      if (reading.pieces.length === 0) {
        if (reading.silentMs >= idleMs) return
        break
      }
    }
  }
}

/** Makes a message of a draft whose writer is gone. `undefined` while the writer lives, or if there is no draft. */
export async function recover(
  context: ThreadContext,
  id: DraftId,
  { idle = defaultIdle, message = interrupted }: RecoverOptions,
): Promise<Message | undefined> {
  const token = newId()
  const idleMs = input.duration('idle', idle)
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
  // A draft becomes one message, whichever instance recovers it.
  const made = { id: recoveredId(id.draft), ...message(text) }
  const [prepared] = prepareAll(made, context.options)
  if (prepared === undefined) return undefined
  const end = { ttlMs: context.options.ttlMs, token, number: number + 1 }
  const result = await context.drafts.finalize(id, prepared, end)
  context.notifier.notify(id)
  if (result.status !== 'stored' && result.status !== 'duplicate') return undefined
  context.noted(id, [prepared], result.generation)
  return made
}

function interrupted(text: string): Message {
  return { role: 'assistant', content: text, interrupted: true }
}
