import type { Argument, ClientPort, MessageHandler, Reply, SubscriberPort } from '../clients/port.js'
import { UnavailableError } from '../errors.js'
import { createLog } from '../kit/log.js'
import type { CommandOptions } from './executor.js'

const log = createLog('core')

export interface SubscribeOptions {
  /**
   * Messages may have been missed: the subscription was (re)made after a time without one. Whoever follows
   * shared state by messages reads it anew here.
   */
  readonly onGap?: (() => void) | undefined
}

export interface Subscription {
  close(): Promise<void>
}

interface Listener {
  readonly handler: MessageHandler
  readonly onGap: (() => void) | undefined
}

/** What publish and subscribe need of the connection. */
export interface PubSubHost {
  readonly namespace: string
  readonly client: ClientPort | undefined
  readonly isUp: boolean
  command(args: readonly Argument[], options: CommandOptions): Promise<Reply>
}

const retryMs = 250

/**
 * One subscriber connection for all channels of a process, sharded on Cluster, made at the first
 * subscription and made anew after each outage. Without Redis, messages reach this process only.
 * At-most-once by nature: what is built on it heals by version.
 */
export class PubSub {
  readonly #host: PubSubHost
  readonly #channels = new Map<string, Set<Listener>>()
  #subscriber: SubscriberPort | undefined
  #opening: Promise<void> | undefined
  #unwatch: (() => void) | undefined
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor(host: PubSubHost) {
    this.#host = host
  }

  /** Resolves when the server has confirmed, or at once while Redis is away: it is then made on return. */
  async subscribe(name: string, handler: MessageHandler, options: SubscribeOptions): Promise<Subscription> {
    const channel = this.#host.namespace + name
    const listener: Listener = { handler, onGap: options.onGap }
    const known = this.#channels.get(channel)
    if (known !== undefined) known.add(listener)
    else {
      this.#channels.set(channel, new Set([listener]))
      await this.#attach(channel)
    }
    return { close: () => this.#leave(channel, listener) }
  }

  /** One round trip. While Redis is away the message reaches the subscribers in this process only. */
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

  /** The connection is up again: whatever was subscribed is subscribed anew. */
  resume(): void {
    if (this.#channels.size > 0) void this.#open()
  }

  /** The connection is down; a subscriber that still looks alive may hang on the same dead server. */
  suspend(): void {
    clearTimeout(this.#timer)
    this.#unwatch?.()
    this.#subscriber?.kill()
    this.#subscriber = undefined
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#unwatch?.()
    this.#channels.clear()
    const subscriber = this.#subscriber
    this.#subscriber = undefined
    await subscriber?.close()
  }

  async #attach(channel: string): Promise<void> {
    if (this.#subscriber === undefined) return this.#open()
    try {
      await this.#subscriber.subscribe(channel, this.#onMessage)
    } catch (error) {
      log('subscribing failed: %s', error)
      this.#lost()
    }
  }

  /** Opens the subscriber and subscribes to every channel; its users are told of the gap. */
  #open(): Promise<void> {
    this.#opening ??= this.#openOnce().finally(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  async #openOnce(): Promise<void> {
    const client = this.#host.client
    if (client === undefined || !this.#host.isUp || this.#closed || this.#subscriber !== undefined) return
    let subscriber: SubscriberPort | undefined
    try {
      subscriber = await client.subscriber()
      if (this.#closed || this.#host.client !== client) return subscriber.kill()
      // Channels may be added while the earlier ones are confirmed.
      for (const channel of this.#channels.keys()) await subscriber.subscribe(channel, this.#onMessage)
    } catch (error) {
      log('the subscriber could not be opened: %s', error)
      subscriber?.kill()
      return this.#lost()
    }
    this.#subscriber = subscriber
    this.#unwatch = subscriber.watch({ ready: () => this.#gap(), end: () => this.#lost(), error: () => {} })
    this.#gap()
  }

  #lost(): void {
    this.suspend()
    if (this.#closed) return
    this.#timer = setTimeout(() => this.resume(), retryMs)
    this.#timer.unref()
  }

  #gap(): void {
    for (const listeners of this.#channels.values()) for (const { onGap } of listeners) onGap?.()
  }

  async #leave(channel: string, listener: Listener): Promise<void> {
    const listeners = this.#channels.get(channel)
    if (!listeners?.delete(listener) || listeners.size > 0) return
    this.#channels.delete(channel)
    await this.#subscriber?.unsubscribe(channel).catch((error) => log('unsubscribing failed: %s', error))
  }

  readonly #onMessage: MessageHandler = (message, channel) => this.#deliver(message, channel)

  #deliver(message: string, channel: string): void {
    const name = channel.slice(this.#host.namespace.length)
    for (const { handler } of [...(this.#channels.get(channel) ?? [])]) {
      try {
        handler(message, name)
      } catch (error) {
        process.emitWarning(error instanceof Error ? error : String(error), { code: 'EVENKEEL_LISTENER' })
      }
    }
  }
}
