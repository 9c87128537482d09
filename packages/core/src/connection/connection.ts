import type { Argument, ClientPort, MessageHandler, Reply } from '../clients/port.js'
import type { HealthReport } from '../health/report.js'
import type { Logger } from '../kit/logger.js'
import type { ConnectionEvents } from './events.js'
import type { CommandOptions } from './executor.js'
import type { SubscribeOptions, Subscription } from './pub-sub.js'
import type { Script } from './scripts.js'
import type { ConnectionState } from './state.js'
import type { TransactionOptions } from './transaction.js'

/** One Redis, as all packages of a process share it. Made by `connect()`. */
export interface Connection extends AsyncDisposable {
  /** Prefix of every key, `evenkeel:` by default. */
  readonly namespace: string
  /** Whether recovery starts by itself when Redis is back; otherwise {@link resync} starts it. */
  readonly autoResync: boolean
  readonly state: ConnectionState
  /** Whether Redis is a Cluster, as far as is known; `undefined` before the first client is there. */
  readonly topology: ClientPort['topology'] | undefined
  /** Why Redis is not used at the moment, without any secret; `undefined` while it is. */
  readonly downReason: string | undefined
  /** The host's, as given to `connect()`: what the packages on this connection have to tell goes there. */
  readonly logger?: Logger | undefined
  /** Commands sent and not yet settled by the client. */
  readonly inFlight: number

  /** Calls the listener at each event. Returns a function that stops it. Listening to `alert` or `health` starts the monitor. */
  on<K extends keyof ConnectionEvents>(event: K, listener: ConnectionEvents[K]): () => void
  off<K extends keyof ConnectionEvents>(event: K, listener: ConnectionEvents[K]): void

  /**
   * Sends one command, as text and Buffers: `['SET', key, 'v', 'PX', '1000']`. One round trip, or none while Redis
   * is down. The connection is shared, so commands that change its state or hold it up (MULTI, SELECT, SUBSCRIBE,
   * BLPOP …) are refused.
   * @throws UnavailableError when Redis can't answer now, CommandTimeoutError past the deadline,
   * ReplyError when the server answered with an error, InvalidInputError for a refused command.
   */
  command(args: readonly Argument[], options?: CommandOptions): Promise<Reply>

  /**
   * Executes commands one after the other with nothing between them (MULTI, EXEC), and resolves with the reply of
   * each. One round trip. In a Cluster all keys must be of one hash slot.
   * @example await redis.transaction([['INCR', '{u1}:n'], ['EXPIRE', '{u1}:n', '60']])
   * @throws TransactionError when one of the commands failed while it was executed (the others were executed all the
   * same, Redis undoes nothing), ReplyError when the server refused the transaction, of which nothing was executed
   * then; else as {@link command}.
   */
  transaction(
    commands: readonly (readonly Argument[])[],
    options?: TransactionOptions,
  ): Promise<readonly Reply[]>

  /** Runs a script atomically: one round trip, two where the server meets it for the first time. */
  run(
    script: Script,
    keys: readonly Argument[],
    args: readonly Argument[],
    options?: CommandOptions,
  ): Promise<Reply>

  /**
   * Pages of keys that match a pattern, over all primaries of a Cluster. One round trip a page of about
   * `count` keys (500 by default); a key may come twice. @throws as {@link command}
   */
  scan(pattern: string, count?: number): AsyncIterable<readonly string[]>

  /**
   * Follows a channel; resolves when the server has confirmed, or at once while Redis is away (the
   * subscription is then made on return). At most once: `onGap` says when messages may have been missed.
   */
  subscribe(channel: string, handler: MessageHandler, options?: SubscribeOptions): Promise<Subscription>

  /** One round trip; while Redis is away the message reaches the subscribers in this process only. */
  publish(channel: string, message: string): Promise<void>

  /** Asks Redis how it is; all at once, within a second or two whatever happens. Never rejects. */
  health(): Promise<HealthReport>

  /** Starts the recovery of every store pair, where `enableAutoResync: false` made it wait. */
  resync(): void

  /** Ends what is ours; a borrowed client stays open. May be called again. */
  close(): Promise<void>
}
