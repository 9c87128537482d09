import type { Argument, ClientPort, MessageHandler, Reply } from '../clients/port.js'
import type { HealthReport } from '../health/report.js'
import type { Logger } from '../kit/logger.js'
import type { ConnectionEvents } from './events.js'
import type { CommandOptions } from './executor.js'
import type { SubscribeOptions, Subscription } from './pub-sub.js'
import type { Script } from './scripts.js'
import type { ConnectionState } from './state.js'
import type { TransactionOptions } from './transaction.js'

/** A connection to Redis that all packages of a process share. Created by `connect()`. */
export interface Connection extends AsyncDisposable {
  /** Prefix of every key and channel; `evenkeel:` by default. Ends with a colon. */
  readonly namespace: string
  /** Whether recovery starts as soon as Redis is back. Otherwise {@link resync} starts it. */
  readonly autoResync: boolean
  readonly state: ConnectionState
  /** Whether Redis is a Cluster. `undefined` until the first client has connected. */
  readonly topology: ClientPort['topology'] | undefined
  /** Why Redis can't be used now, without any secret. `undefined` while it can. */
  readonly downReason: string | undefined
  /** The host's logger, as given to `connect()`. The packages on this connection send their warnings to it. */
  readonly logger?: Logger | undefined
  /** Number of commands that were sent and that the client has not settled yet. */
  readonly inFlight: number

  /** Adds a listener. Returns a function that removes it. Listening to `alert` or `health` starts the monitor. */
  on<K extends keyof ConnectionEvents>(event: K, listener: ConnectionEvents[K]): () => void
  off<K extends keyof ConnectionEvents>(event: K, listener: ConnectionEvents[K]): void

  /**
   * Sends one command of strings and Buffers: `['SET', key, 'v', 'PX', '1000']`. One round trip, or none while Redis
   * is down. All packages share the connection, so it refuses commands that would change its state or block it
   * (MULTI, SELECT, SUBSCRIBE, BLPOP …).
   * @throws UnavailableError if Redis can't answer now, CommandTimeoutError after the deadline,
   * ReplyError if the server replied with an error, InvalidInputError for a command that is not allowed.
   */
  command(args: readonly Argument[], options?: CommandOptions): Promise<Reply>

  /**
   * Runs commands with no other command between them (MULTI, EXEC), and resolves with the reply of each. One round
   * trip. In a Cluster, all keys must be in one hash slot.
   * @example await redis.transaction([['INCR', '{u1}:n'], ['EXPIRE', '{u1}:n', '60']])
   * @throws TransactionError if a command failed during the transaction (the others did run: Redis does not roll
   * back), ReplyError if the server refused the whole transaction (then no command ran); otherwise as
   * {@link command}.
   */
  transaction(
    commands: readonly (readonly Argument[])[],
    options?: TransactionOptions,
  ): Promise<readonly Reply[]>

  /** Runs a Lua script atomically. One round trip; two if the server does not know the script yet. */
  run(
    script: Script,
    keys: readonly Argument[],
    args: readonly Argument[],
    options?: CommandOptions,
  ): Promise<Reply>

  /**
   * Yields the keys that match a pattern, page by page, from all primaries of a Cluster. One round trip for each page
   * of about `count` keys (500 by default). A key may occur twice. @throws as {@link command}
   */
  scan(pattern: string, count?: number): AsyncIterable<readonly string[]>

  /**
   * Subscribes to a channel. Resolves when the server has confirmed, or at once while Redis is away; the connection
   * then subscribes when Redis is back. Delivery is at most once: `onGap` reports that messages may have been missed.
   */
  subscribe(channel: string, handler: MessageHandler, options?: SubscribeOptions): Promise<Subscription>

  /** Publishes a message. One round trip. While Redis is away, only subscribers in this process receive it. */
  publish(channel: string, message: string): Promise<void>

  /** Checks the health of Redis. Three round trips, which end within a second or two. Never rejects. */
  health(): Promise<HealthReport>

  /** Starts the recovery of every store pair. Needed only with `enableAutoResync: false`. */
  resync(): void

  /**
   * Waits up to `commandTimeout` for commands that were sent, then closes the connection. The host's own client stays
   * open. May be called more than once.
   */
  close(): Promise<void>
}
