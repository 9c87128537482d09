import type { Argument, ClientPort, MessageHandler, Reply, SubscriberPort } from '../clients/port.js'
import { ReplyError, UnavailableError } from '../errors.js'
import { safeError } from '../guard/client-error.js'
import { meaningOf, replyPrefix } from '../guard/error-meaning.js'
import { isError } from '../kit/cross-realm.js'
import { queueMicrotask } from '../kit/event-loop.js'
import { createLog } from '../kit/log.js'
import { type Logger, notify, warnOfListener } from '../kit/logger.js'
import { linkSignals } from '../kit/signals.js'
import { untilAborted } from '../kit/until-aborted.js'
import type { CommandOptions } from './executor.js'

const log = createLog('core')

export interface SubscribeOptions {
  /**
   * Called when messages may have been missed: whenever the process's connection for messages was opened, the first
   * time too. A subscriber that follows shared state through messages should read that state again here.
   */
  readonly onGap?: (() => void) | undefined
}

export interface Subscription {
  close(): Promise<void>
}

interface Listener {
  readonly handler: MessageHandler
  readonly onGap: (() => void) | undefined
  /** Its `subscribe()` has resolved, so a refusal can no longer reject it. */
  isConfirmed: boolean
}

/** What publish and subscribe need from the connection. */
export interface PubSubHost {
  readonly namespace: string
  readonly logger: Logger | undefined
  readonly client: ClientPort | undefined
  readonly isUp: boolean
  command(args: readonly Argument[], options: CommandOptions): Promise<Reply>
}

const retryMs = { first: 250, max: 5_000 }
/** If a subscriber lived this long, it ended for a new reason. */
const provenAfterMs = 10_000

/**
 * One subscriber connection for all channels of a process (sharded on Cluster), opened at the first subscription and
 * opened again after each outage. Without Redis, messages reach only this process. Delivery is at most once: what is
 * built on it recovers by version numbers.
 */
export class PubSub {
  readonly #host: PubSubHost
  readonly #openTimeoutMs: number
  readonly #channels = new Map<string, Set<Listener>>()
  /** Channels that the current subscriber has confirmed. */
  readonly #attached = new Set<string>()
  /** Channels that the server has refused since the current subscriber was opened. */
  readonly #refused = new Map<string, ReplyError>()
  /** Running operation of each channel: a subscription waits for the end of an earlier one and for its confirmation. */
  readonly #pending = new Map<string, Promise<void>>()
  #subscriber: SubscriberPort | undefined
  #opening: { readonly done: Promise<void>; abort(reason: unknown): void } | undefined
  #openedAt = 0
  #failures = 0
  #unwatch: (() => void) | undefined
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor(host: PubSubHost, openTimeoutMs: number) {
    this.#host = host
    this.#openTimeoutMs = openTimeoutMs
  }

  /**
   * Resolves when the server has confirmed, or at once while Redis is away; it then subscribes when Redis is back.
   * @throws ReplyError if the server refuses the channel or the command
   */
  async subscribe(name: string, handler: MessageHandler, options: SubscribeOptions): Promise<Subscription> {
    const channel = this.#host.namespace + name
    const listener: Listener = { handler, onGap: options.onGap, isConfirmed: false }
    const listeners = this.#channels.get(channel) ?? new Set()
    this.#channels.set(channel, listeners.add(listener))
    try {
      await this.#attach(channel)
    } catch (error) {
      this.#remove(channel, listener)
      throw error
    }
    listener.isConfirmed = true
    return { close: () => this.#leave(channel, listener) }
  }

  /** One round trip. While Redis is away, only subscribers in this process receive the message. */
  async publish(name: string, message: string): Promise<void> {
    const channel = this.#host.namespace + name
    const sharded = this.#host.client?.topology === 'cluster'
    try {
      await this.#host.command([sharded ? 'SPUBLISH' : 'PUBLISH', channel, message], { key: channel })
    } catch (error) {
      if (!UnavailableError.isInstance(error)) throw error
      queueMicrotask(() => this.#deliver(message, channel))
    }
  }

  /** The connection is up again: subscribes to all channels again. */
  resume(): void {
    this.#failures = 0
    if (this.#channels.size > 0) void this.#open()
  }

  /** The connection is down; a subscriber that looks alive may hang on the same dead server. */
  suspend(): void {
    clearTimeout(this.#timer)
    this.#opening?.abort(new Error('the connection is down'))
    this.#unwatch?.()
    this.#subscriber?.kill()
    this.#subscriber = undefined
    this.#attached.clear()
    this.#refused.clear()
  }

  async close(): Promise<void> {
    this.#closed = true
    const subscriber = this.#subscriber
    this.#subscriber = undefined
    this.suspend()
    this.#channels.clear()
    await subscriber?.close()
  }

  async #attach(channel: string): Promise<void> {
    if (this.#subscriber === undefined) {
      await this.#open()
      const refusal = this.#refused.get(channel)
      if (refusal !== undefined) throw refusal
      return
    }
    const subscriber = this.#subscriber
    await this.#inOrder(channel, async () => {
      if (this.#subscriber !== subscriber || this.#attached.has(channel)) return
      try {
        await withTimeout(subscriber.subscribe(channel, this.#onMessage), this.#openTimeoutMs)
        this.#attached.add(channel)
      } catch (error) {
        if (isRefusal(error)) throw refusalOf(error)
        log('subscribing failed: %s', error)
        if (this.#subscriber === subscriber) this.#lost()
      }
    })
  }

  /** Opens the subscriber and subscribes to every channel; `onGap` tells their subscribers that there was a gap. */
  #open(): Promise<void> {
    if (this.#opening === undefined) {
      const opening = new AbortController()
      const done = this.#openOnce(opening.signal).finally(() => {
        this.#opening = undefined
      })
      this.#opening = { done, abort: (reason) => opening.abort(reason) }
    }
    return this.#opening.done
  }

  async #openOnce(stop: AbortSignal): Promise<void> {
    const client = this.#host.client
    if (client === undefined || !this.#host.isUp || this.#closed || this.#subscriber !== undefined) return
    const opening = linkSignals(stop)
    const timer = setTimeout(
      () => opening.abort(new Error(`no subscription within ${this.#openTimeoutMs} ms`)),
      this.#openTimeoutMs,
    )
    timer.unref()
    let subscriber: SubscriberPort | undefined
    try {
      subscriber = await client.subscriber(opening.signal)
      opening.signal.throwIfAborted()
      await untilAborted(this.#attachAll(subscriber), opening.signal)
    } catch (error) {
      log('the subscriber could not be opened: %s', error)
      subscriber?.kill()
      // The caller that stopped this attempt opens the subscriber again.
      if (!stop.aborted) this.#lost()
      return
    } finally {
      clearTimeout(timer)
      opening.unlink()
    }
    this.#subscriber = subscriber
    this.#openedAt = performance.now()
    this.#unwatch = subscriber.watch({ ready: () => this.#gap(), end: () => this.#lost(), error: () => {} })
    this.#gap()
  }

  /** Subscribes to all channels, including those that are added while it runs. */
  async #attachAll(subscriber: SubscriberPort): Promise<void> {
    this.#attached.clear()
    this.#refused.clear()
    for (;;) {
      const missing = [...this.#channels.keys()].filter(
        (channel) => !this.#attached.has(channel) && !this.#refused.has(channel),
      )
      if (missing.length === 0) return
      await Promise.all(missing.map((channel) => this.#attachTo(subscriber, channel)))
    }
  }

  async #attachTo(subscriber: SubscriberPort, channel: string): Promise<void> {
    try {
      await subscriber.subscribe(channel, this.#onMessage)
      this.#attached.add(channel)
    } catch (error) {
      if (!isRefusal(error)) throw error
      const refusal = refusalOf(error)
      this.#refused.set(channel, refusal)
      const listeners = [...(this.#channels.get(channel) ?? [])]
      if (listeners.some(({ isConfirmed }) => isConfirmed)) {
        const message = `A subscription could not be restored: ${refusal.message}`
        notify(this.#host.logger, 'warn', message, 'EVENKEEL_SUBSCRIPTION')
      }
    }
  }

  #lost(): void {
    if (performance.now() - this.#openedAt > provenAfterMs) this.#failures = 0
    this.suspend()
    if (this.#closed) return
    const pauseMs = Math.min(retryMs.max, retryMs.first * 2 ** Math.min(this.#failures++, 8))
    this.#timer = setTimeout(
      () => {
        if (this.#channels.size > 0) void this.#open()
      },
      pauseMs * (0.75 + Math.random() * 0.25),
    )
    this.#timer.unref()
  }

  #gap(): void {
    for (const listeners of this.#channels.values()) for (const { onGap } of listeners) onGap?.()
  }

  async #leave(channel: string, listener: Listener): Promise<void> {
    if (!this.#remove(channel, listener)) return
    await this.#inOrder(channel, async () => {
      // Another caller has subscribed to the channel meanwhile: the subscription stays.
      if (this.#channels.has(channel) || !this.#attached.delete(channel)) return
      await this.#subscriber?.unsubscribe(channel).catch((error) => log('unsubscribing failed: %s', error))
    })
  }

  /** Returns whether the listener was the last of its channel. */
  #remove(channel: string, listener: Listener): boolean {
    const listeners = this.#channels.get(channel)
    if (!listeners?.delete(listener) || listeners.size > 0) return false
    this.#channels.delete(channel)
    return true
  }

  /** Runs the operations of one channel one after the other. */
  async #inOrder(channel: string, task: () => Promise<void>): Promise<void> {
    const before = this.#pending.get(channel)
    const run = (before ?? Promise.resolve()).catch(() => {}).then(task)
    this.#pending.set(channel, run)
    try {
      await run
    } finally {
      if (this.#pending.get(channel) === run) this.#pending.delete(channel)
    }
  }

  readonly #onMessage: MessageHandler = (message, channel) => this.#deliver(message, channel)

  #deliver(message: string, channel: string): void {
    const name = channel.slice(this.#host.namespace.length)
    for (const { handler } of [...(this.#channels.get(channel) ?? [])]) {
      try {
        handler(message, name)
      } catch (error) {
        warnOfListener(handler, error, 'message')
      }
    }
  }
}

/** The server is up and refuses, for example with NOPERM if the user may not use the channel. */
function isRefusal(error: unknown): error is Error {
  return isError(error) && replyPrefix(error) !== undefined && meaningOf(error) === 'caller'
}

function refusalOf(error: Error): ReplyError {
  return new ReplyError('SUBSCRIBE', replyPrefix(error) ?? 'ERR', { cause: safeError(error) })
}

async function withTimeout<T>(pending: Promise<T>, timeoutMs: number): Promise<T> {
  const stop = new AbortController()
  const timer = setTimeout(() => stop.abort(new Error(`no reply within ${timeoutMs} ms`)), timeoutMs)
  timer.unref()
  try {
    return await untilAborted(pending, stop.signal)
  } finally {
    clearTimeout(timer)
  }
}
