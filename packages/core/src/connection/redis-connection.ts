import type { Argument, ClientPort, MessageHandler, Reply } from '../clients/port.js'
import { EvenkeelError, UnavailableError } from '../errors.js'
import type { Breaker, CreateBreaker } from '../guard/breaker.js'
import { messageOf, safeError } from '../guard/client-error.js'
import { meaningOf } from '../guard/error-meaning.js'
import type { AlertThresholds } from '../health/alerts.js'
import { checkHealth } from '../health/check.js'
import { HealthMonitor } from '../health/monitor.js'
import { askPrimaries } from '../health/primaries.js'
import type { HealthReport, PairHealth, ServerHealth } from '../health/report.js'
import type { Vitals } from '../health/vitals.js'
import { deferred } from '../kit/deferred.js'
import { Emitter } from '../kit/emitter.js'
import { queueMicrotask } from '../kit/event-loop.js'
import { createLog } from '../kit/log.js'
import type { Logger } from '../kit/logger.js'
import { listOf, textOf } from '../kit/replies.js'
import type { Telemetry } from '../telemetry/commands.js'
import type { ClientProvider } from '../topology/provider.js'
import type { Connection } from './connection.js'
import type { ConnectionEvents } from './events.js'
import { type CommandOptions, checkOptions, Executor, type Sender } from './executor.js'
import { Liveness, type LivenessHost } from './liveness.js'
import { OfflineQueue } from './offline-queue.js'
import { missingPermissions } from './permissions.js'
import { PubSub, type PubSubHost, type SubscribeOptions, type Subscription } from './pub-sub.js'
import { checkCommand } from './refused-commands.js'
import { runScript, type Script } from './scripts.js'
import type { ConnectionState, PairStatus } from './state.js'
import { checkTransaction, repliesOf, routeOf, type TransactionOptions } from './transaction.js'

const log = createLog('core')

export interface ConnectionSettings {
  readonly provider: ClientProvider
  /** Ends with a colon. */
  readonly namespace: string
  readonly logger?: Logger | undefined
  readonly commandTimeoutMs: number
  readonly connectionTimeoutMs: number
  readonly maxInFlight: number
  readonly createBreaker: CreateBreaker
  readonly healthCheckIntervalMs: number
  readonly alerts: AlertThresholds
  /** While the connection is down, commands wait for it until their deadline. */
  readonly enableOfflineQueue: boolean
  /** Whether recovery starts as soon as Redis is back. */
  readonly autoResync: boolean
}

const noOptions: CommandOptions = {}

/** Sends a command, or a whole transaction, through a client. */
type By<R> = (client: ClientPort) => Sender<R>

const itself: By<Reply> = (client) => client

/**
 * Joins the provider of clients, the deadlines, the breaker and the liveness checks; none of them knows the others.
 */
export class RedisConnection implements Connection {
  readonly namespace: string
  readonly autoResync: boolean
  readonly logger: Logger | undefined
  readonly #events = new Emitter<ConnectionEvents>()
  readonly #provider: ClientProvider
  readonly #executor: Executor
  readonly #breaker: Breaker
  readonly #liveness: Liveness
  readonly #offlineQueue: OfflineQueue | undefined
  readonly #pubSub: PubSub
  readonly #monitor: HealthMonitor
  readonly #pairs = new Set<PairStatus>()
  #telemetry: Telemetry | undefined
  readonly #commandTimeoutMs: number
  readonly #firstVerdict = deferred()
  #client: ClientPort | undefined
  #state: ConnectionState = 'connecting'
  #downSince = performance.now()
  #credentialsError: Error | undefined

  constructor(settings: ConnectionSettings) {
    this.namespace = settings.namespace
    this.autoResync = settings.autoResync
    this.logger = settings.logger
    this.#provider = settings.provider
    this.#commandTimeoutMs = settings.commandTimeoutMs
    this.#liveness = new Liveness(this.#livenessHost(), settings.commandTimeoutMs)
    this.#breaker = settings.createBreaker({
      trial: () => this.#liveness.ask(),
      changed: (closed, reason) => {
        this.#telemetry?.transition(closed)
        if (closed) this.#wentUp()
        else this.#wentDown(reason)
      },
    })
    if (settings.enableOfflineQueue) {
      this.#offlineQueue = new OfflineQueue(
        { onceSettled: (callback) => this.#onceSettled(callback) },
        settings.maxInFlight,
      )
    }
    this.#pubSub = new PubSub(this.#pubSubHost(), settings.connectionTimeoutMs)
    this.#monitor = new HealthMonitor(() => this.health(), settings.healthCheckIntervalMs, settings.alerts, {
      report: (report) => this.#events.emit('health', report),
      alert: (alert) => this.#events.emit('alert', alert),
      cleared: (name) => this.#events.emit('alertCleared', name),
    })
    this.#executor = new Executor(
      { timeoutMs: settings.commandTimeoutMs, maxInFlight: settings.maxInFlight },
      {
        succeeded: (generation) => this.#breaker.succeeded(generation),
        failed: (generation, error) => {
          this.#breaker.failed(generation)
          if (this.#client?.topology === 'cluster') this.#provider.refresh(error.message)
        },
        silent: (sentAt) => this.#liveness.silent(sentAt),
        demoted: () => this.#demoted(),
        credentialsRefused: (error) => {
          this.#breaker.trip(`credentials refused: ${error.message}`)
          // A Cluster client connects to its nodes by itself, with the password from when it was created.
          if (this.#client?.topology === 'cluster') this.#provider.refresh(error.message)
        },
      },
    )
  }

  get state(): ConnectionState {
    return this.#state
  }

  /** Whether Redis is a Cluster. `undefined` until the first client has connected. */
  get topology(): ClientPort['topology'] | undefined {
    return this.#client?.topology
  }

  /** Why Redis can't be used now, without any secret. */
  get downReason(): string | undefined {
    return this.#state === 'up' ? undefined : this.#breaker.reason
  }

  get inFlight(): number {
    return this.#executor.inFlight
  }

  /** Resolves when the first attempt has ended. @throws CREDENTIALS_REFUSED, nothing else */
  async start(): Promise<void> {
    await this.#provider.start({
      ready: (client) => {
        const changedOver = this.#client !== undefined
        this.#client = client
        if (changedOver) this.#pubSub.suspend()
        if (this.#breaker.closed) this.#pubSub.resume()
        this.#liveness.ask()
      },
      lost: (error) => {
        this.#client = undefined
        if (error !== undefined && meaningOf(error) === 'credentials') this.#credentialsError = error
        const reason = error && messageOf(error)
        this.#breaker.trip(reason ?? 'the connection ended')
        if (this.#state === 'connecting') this.#wentDown(reason ?? 'no connection')
      },
    })
    await this.#firstVerdict.promise
    if (this.#credentialsError !== undefined) {
      const cause = safeError(this.#credentialsError)
      throw new EvenkeelError('CREDENTIALS_REFUSED', `Redis refused the credentials: ${cause.message}`, {
        cause,
      })
    }
  }

  /** Permissions that the Redis user lacks although all packages need them; empty while Redis is away. */
  async missingPermissions(): Promise<readonly string[]> {
    const client = this.#client
    if (client === undefined || this.#state !== 'up') return []
    return missingPermissions(client, this.namespace, this.#commandTimeoutMs)
  }

  on<K extends keyof ConnectionEvents>(event: K, listener: ConnectionEvents[K]): () => void {
    // The monitor looks for alerts only if there is a listener.
    if (event === 'alert' || event === 'health') this.#monitor.start()
    const stop = this.#events.on(event, listener)
    if (event === 'down' && this.#state === 'down') queueMicrotask(() => this.#repeatDown(listener))
    return stop
  }

  off<K extends keyof ConnectionEvents>(event: K, listener: ConnectionEvents[K]): void {
    this.#events.off(event, listener)
  }

  command(args: readonly Argument[], options: CommandOptions = noOptions): Promise<Reply> {
    const refusal = checkCommand(args)
    if (refusal !== undefined) return Promise.reject(refusal)
    return this.#send(args, options, itself)
  }

  async transaction(
    commands: readonly (readonly Argument[])[],
    options: TransactionOptions = noOptions,
  ): Promise<readonly Reply[]> {
    const refusal = checkTransaction(commands)
    if (refusal !== undefined) throw refusal
    // The executor treats it as one command with one reply.
    const results = await this.#send(['MULTI', ...commands.flat()], options, (client) => {
      const key = options.key ?? routeOf(commands, client.topology)
      return { send: () => client.transaction(commands, { key }) }
    })
    return repliesOf(commands, results)
  }

  /** Runs a Lua script atomically. One round trip; two if the server does not know the script yet. */
  run(
    script: Script,
    keys: readonly Argument[],
    args: readonly Argument[],
    options?: CommandOptions,
  ): Promise<Reply> {
    return runScript(this, script, { keys, args }, options)
  }

  /**
   * Yields the keys that match a pattern, page by page, from all primaries of a Cluster. One round trip for each page
   * of about `count` keys. A key may occur twice. @throws as {@link command}
   */
  async *scan(pattern: string, count = 500): AsyncIterable<readonly string[]> {
    const client = this.#client
    if (client === undefined || !this.#breaker.closed) throw this.#unavailable()
    for (const send of await client.primaries()) {
      let cursor = '0'
      do {
        const args = ['SCAN', cursor, 'MATCH', pattern, 'COUNT', String(count)]
        const reply = await this.#executor.send({ send }, this.#breaker.generation, args, noOptions)
        const [next, keys = null] = listOf('SCAN', reply)
        const page = listOf('SCAN', keys).map(String)
        cursor = textOf('SCAN', next) ?? '0'
        yield page
      } while (cursor !== '0')
    }
  }

  /**
   * Subscribes to a channel. Resolves when the server has confirmed, or at once while Redis is away; the connection
   * then subscribes when Redis is back. Delivery is at most once: `onGap` reports that messages may have been missed.
   */
  subscribe(channel: string, handler: MessageHandler, options: SubscribeOptions = {}): Promise<Subscription> {
    return this.#pubSub.subscribe(channel, handler, options)
  }

  /** Publishes a message. One round trip. While Redis is away, only subscribers in this process receive it. */
  publish(channel: string, message: string): Promise<void> {
    return this.#pubSub.publish(channel, message)
  }

  /** Checks the health of Redis. Three round trips, which end within a second or two. Never rejects. */
  health(): Promise<HealthReport> {
    return checkHealth({
      namespace: this.namespace,
      // A check tells how Redis is now, so its commands don't wait in the offline queue.
      command: (args, options = noOptions) => this.#sendNow(args, options, itself),
      vitals: () => this.vitals(),
    })
  }

  /**
   * INFO of each primary, sent past the breaker and not counted as a command. Empty while Redis is away or if its user
   * may not run INFO. Takes at most a second. Never rejects.
   */
  async askPrimaries(): Promise<readonly ServerHealth[]> {
    const client = this.#client
    return client === undefined || this.#state !== 'up' ? [] : askPrimaries(client)
  }

  /** Checks health every `healthCheckInterval`, until the connection is closed. */
  startMonitor(): void {
    this.#monitor.start()
  }

  stopMonitor(): void {
    this.#monitor.stop()
  }

  /** What the connection knows without asking Redis. */
  vitals(): Vitals {
    const { closed, reason, counts } = this.#breaker
    return {
      state: this.#state,
      topology: this.topology,
      client: this.#client?.library,
      latency: this.#executor.latency,
      inFlight: this.inFlight,
      breaker: { closed, reason, ...counts },
      pairs: [...this.#pairs].map(pairHealth),
    }
  }

  track(pair: PairStatus): () => void {
    this.#pairs.add(pair)
    return () => this.#pairs.delete(pair)
  }

  fellBack(pair: string, reason: string): void {
    this.#telemetry?.fellBack(pair, reason)
  }

  /** Reports commands, breaker openings and fallbacks to `telemetry` from now on; `undefined` ends that. */
  useTelemetry(telemetry: Telemetry | undefined): void {
    this.#telemetry = telemetry
    this.#executor.observe = telemetry?.command
  }

  /** Starts the recovery of every store pair. Needed only with `enableAutoResync: false`. */
  resync(): void {
    this.#events.emit('resync')
  }

  /**
   * Waits up to `commandTimeout` for commands that were sent and refuses new ones, then closes the connection. The
   * host's own client stays open. May be called more than once.
   */
  async close(): Promise<void> {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#firstVerdict.resolve()
    this.#client = undefined
    // First waits for commands that were sent, so that the last messages of an instance still reach the others.
    if (this.#breaker.closed) await this.#executor.idle(this.#commandTimeoutMs)
    this.#liveness.close()
    this.#monitor.stop()
    this.#breaker.shutdown()
    await this.#pubSub.close()
    await this.#provider.close()
    this.#executor.close()
    this.#events.emit('close')
    this.#events.clear()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #send<R>(args: readonly Argument[], options: CommandOptions, by: By<R>): Promise<R> {
    const isDown = this.#client === undefined || !this.#breaker.closed
    if (isDown && this.#offlineQueue !== undefined) return this.#whenUp(this.#offlineQueue, args, options, by)
    return this.#sendNow(args, options, by)
  }

  #sendNow<R>(args: readonly Argument[], options: CommandOptions, by: By<R>): Promise<R> {
    const client = this.#client
    if (client === undefined || !this.#breaker.closed) return Promise.reject(this.#unavailable())
    return this.#executor.send(by(client), this.#breaker.generation, args, options)
  }

  async #whenUp<R>(
    queue: OfflineQueue,
    args: readonly Argument[],
    options: CommandOptions,
    by: By<R>,
  ): Promise<R> {
    checkOptions(args, options)
    if (queue.isFull || this.#state === 'closed') throw this.#unavailable()
    const leftMs = await queue.wait(options.timeoutMs ?? this.#commandTimeoutMs, options.signal)
    checkOptions(args, options)
    if (leftMs <= 0) throw this.#unavailable()
    return this.#sendNow(args, { ...options, timeoutMs: leftMs }, by)
  }

  #onceSettled(callback: () => void): () => void {
    const stops = [this.#events.on('up', callback), this.#events.on('close', callback)]
    return () => {
      for (const stop of stops) stop()
    }
  }

  #livenessHost(): LivenessHost {
    const connection = this
    return {
      get client() {
        return connection.#client
      },
      get isInUse() {
        return connection.#breaker.closed
      },
      get lastHeardAt() {
        return connection.#executor.lastHeardAt
      },
      verdict: (alive, reason) => this.#verdict(alive, reason),
      failed: (error, client) => {
        if (meaningOf(error) === 'credentials') this.#credentialsError = error
        if (client.topology === 'cluster') this.#provider.refresh(error.message)
      },
      unresponsive: (reason) => this.#breaker.trip(reason),
      drop: (reason, cause) => this.#provider.drop(reason, cause),
    }
  }

  /** The server has become a replica and refused a write. */
  #demoted(): void {
    const reason = 'the server became a replica'
    this.#liveness.demoted()
    if (this.#client?.topology === 'standalone') this.#breaker.trip(reason)
    this.#provider.drop(reason, 'demoted')
  }

  #verdict(alive: boolean, reason?: string): void {
    this.#breaker.settle(alive, reason)
    if (!alive && this.#state === 'connecting' && reason !== undefined) this.#wentDown(reason)
  }

  #pubSubHost(): PubSubHost {
    const connection = this
    return {
      namespace: this.namespace,
      logger: this.logger,
      get client() {
        return connection.#client
      },
      get isUp() {
        return connection.#state === 'up'
      },
      command: (args, options) => this.command(args, options),
    }
  }

  #wentUp(): void {
    if (this.#state === 'closed') return
    const downForMs = Math.round(performance.now() - this.#downSince)
    this.#state = 'up'
    this.#firstVerdict.resolve()
    this.#credentialsError = undefined
    log('up after %d ms', downForMs)
    this.#pubSub.resume()
    this.#events.emit('up', { downForMs })
  }

  #wentDown(reason: string): void {
    if (this.#state === 'closed' || this.#state === 'down') return
    if (this.#state === 'up') this.#downSince = performance.now()
    this.#state = 'down'
    this.#firstVerdict.resolve()
    log('down: %s', reason)
    this.#pubSub.suspend()
    this.#events.emit('down', { reason })
  }

  /** Tells a listener that was added while the connection was already down. */
  #repeatDown(listener: ConnectionEvents[keyof ConnectionEvents]): void {
    if (this.#state !== 'down') return
    this.#events.emitTo('down', listener as ConnectionEvents['down'], { reason: this.#breaker.reason })
  }

  #unavailable(): UnavailableError {
    if (this.#state === 'closed') {
      return new UnavailableError('CONNECTION_CLOSED', 'The connection was closed', 'not-sent')
    }
    return new UnavailableError(
      'CONNECTION_DOWN',
      `Redis is ${this.#state}: ${this.#breaker.reason}`,
      'not-sent',
    )
  }
}

function pairHealth({ name, durability, state, fallbackSince, held }: PairStatus): PairHealth {
  const size = held?.()
  return {
    name,
    durability,
    state,
    fallbackForMs: fallbackSince === undefined ? 0 : Math.round(performance.now() - fallbackSince),
    entries: size?.entries,
    bytes: size?.bytes,
  }
}
