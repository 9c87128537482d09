import type { MessageHandler } from '../clients/port.js'
import type { SubscribeOptions, Subscription } from '../connection/pub-sub.js'
import { type LongTimer, setLongTimeout } from './timers.js'

/** What a view needs from a connection. */
export interface SharedViewHost {
  subscribe(channel: string, handler: MessageHandler, options?: SubscribeOptions): Promise<Subscription>
}

/** Why a view reads; if one read serves several causes, the first. */
export type ReadCause = 'message' | 'poll' | 'asked'

export interface SharedViewOptions {
  /** Without a connection there are no messages, only polls. */
  readonly redis: SharedViewHost | undefined
  readonly channel: string
  /** Milliseconds between a message and the read that it causes, so that a burst of changes is read once. @default 5 */
  readonly settleMs?: number | undefined
  /** Milliseconds between two reads without a message, varied by a tenth. Without it, there are no polls. */
  readonly pollMs?: number | undefined
  /** Reads the shared state. Never overlaps another read of this view. */
  read(cause: ReadCause): Promise<void>
  onError(error: unknown): void
  /** Whether a message requires a read. Without it, every message does. */
  concerns?(message: string): boolean
  /** From 0 to 1. @default Math.random */
  readonly random?: (() => number) | undefined
}

/**
 * One instance's view of shared state: a message says only that something has changed, a read fetches it, and a poll
 * makes up for lost messages. A gap in the subscription counts as a message.
 */
export class SharedView {
  readonly #options: SharedViewOptions
  #subscription: Subscription | undefined
  #reading: Promise<void> | undefined
  /** The read after the one that is under way. */
  #next: Promise<void> | undefined
  #timer: LongTimer | undefined
  /** A read that a message caused is scheduled; further messages need no other one. */
  #isSoon = false
  #isClosed = false

  constructor(options: SharedViewOptions) {
    this.#options = options
  }

  /** Subscribes and starts to poll, even if it can't subscribe. Reads nothing yet. @throws what subscribing throws */
  async start(): Promise<void> {
    const { redis, channel, concerns } = this.#options
    this.#poll()
    const subscription = await redis?.subscribe(
      channel,
      (message) => {
        if (concerns?.(message) ?? true) this.soon()
      },
      { onGap: () => this.soon() },
    )
    if (this.#isClosed) return subscription?.close()
    this.#subscription = subscription
  }

  /** Reads within `settleMs`. A later call never delays the read of an earlier one. */
  soon(): void {
    if (this.#isSoon || this.#isClosed) return
    this.#isSoon = true
    this.#schedule(this.#options.settleMs ?? 5)
  }

  /** Reads now. A call during a read waits for the next one, since the running one may have missed a change. */
  refresh(): Promise<void> {
    return this.#read('asked')
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#timer?.clear()
    const subscription = this.#subscription
    this.#subscription = undefined
    await subscription?.close()
  }

  #poll(): void {
    const { pollMs, random = Math.random } = this.#options
    if (!this.#isSoon && pollMs !== undefined) this.#schedule(pollMs * (0.9 + random() * 0.2))
  }

  #schedule(delayMs: number): void {
    this.#timer?.clear()
    if (!this.#isClosed) this.#timer = setLongTimeout(() => void this.#onTimer(), delayMs)
  }

  async #onTimer(): Promise<void> {
    const cause = this.#isSoon ? 'message' : 'poll'
    this.#isSoon = false
    await this.#read(cause).catch((error: unknown) => this.#options.onError(error))
    this.#poll()
  }

  /** Calls during a read share the next one. */
  #read(cause: ReadCause): Promise<void> {
    if (this.#next !== undefined) return this.#next
    if (this.#reading === undefined) return this.#begin(cause)
    this.#next = this.#reading
      .catch(() => {})
      .then(() => {
        this.#next = undefined
        return this.#begin(cause)
      })
    return this.#next
  }

  async #begin(cause: ReadCause): Promise<void> {
    if (this.#isClosed) return
    this.#reading = Promise.resolve()
      .then(() => this.#options.read(cause))
      .finally(() => {
        this.#reading = undefined
      })
    await this.#reading
  }
}
