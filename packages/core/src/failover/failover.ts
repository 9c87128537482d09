import type { ConnectionEvents } from '../connection/events.js'
import type { ConnectionState, Durability, FailoverState, PairStatus } from '../connection/state.js'
import { UnavailableError } from '../errors.js'
import { checkConnection } from '../kit/connection-option.js'
import { type Deferred, deferred } from '../kit/deferred.js'
import { createLog } from '../kit/log.js'
import { onAbort } from '../kit/signals.js'
import { setLongTimeout } from '../kit/timers.js'
import { option } from '../kit/validate.js'
import { isOutage } from './is-outage.js'

/** What `failover()` needs from the connection. */
export interface FailoverHost {
  readonly state: ConnectionState
  readonly autoResync: boolean
  on<K extends keyof ConnectionEvents>(event: K, listener: ConnectionEvents[K]): () => void
  /** Lists the pair in health reports and metrics, until the returned function is called. */
  track?(pair: PairStatus): () => void
  /** Called for each call that memory answers instead of Redis. */
  fellBack?(pair: string, reason: string): void
}

export type Source = 'redis' | 'memory'

/** An answer, and which of the two stores gave it. */
export interface Answer<T> {
  readonly value: T
  readonly source: Source
}

export interface FailoverOptions<S> {
  /** The pair's name in logs and metrics, usually the name of the package. */
  readonly name: string
  /** The store on Redis. Without it, or without a connection, the fallback answers every call. */
  readonly primary?: S | undefined
  readonly fallback: S
  /**
   * Runs after each outage, before Redis answers again: it moves to Redis what the fallback gathered, or drops it.
   * It must be idempotent, since it starts again if it fails or Redis goes away while it runs. The fallback answers
   * all calls until it resolves.
   */
  readonly recover?: ((stores: RecoverContext<S>) => Promise<void>) | undefined
  /** What a loss of the data in Redis means; decides which alerts the pair needs. @default 'disposable' */
  readonly durability?: Durability | undefined
  /** What the fallback holds, in entries and bytes, for health reports. */
  readonly held?: (() => { readonly entries: number; readonly bytes: number }) | undefined
  /** With `'throw'`, calls reject with an UnavailableError instead of using the fallback. @default 'fallback' */
  readonly onOutage?: 'fallback' | 'throw' | undefined
  /**
   * Milliseconds that one run of `recover` may take, from its start or its last {@link RecoverContext.progress}.
   * @default 10_000
   */
  readonly recoverTimeoutMs?: number | undefined
  /** Each instance waits a random time of up to this many milliseconds before it recovers. @default 100 */
  readonly recoverJitterMs?: number | undefined
}

export interface RecoverContext<S> {
  readonly primary: S
  readonly fallback: S
  /**
   * Switches to Redis synchronously. A `recover` that moves a journal to Redis calls this in the same turn of the
   * event loop in which it finds the journal empty, so that no call slips in between. Without it, the pair switches
   * when the promise of `recover` resolves.
   */
  handOver(): void
  /**
   * Makes calls wait until this recovery ends, whether it succeeds or fails; then the store that is in use answers
   * them. For the last part of a journal that grows as fast as it is moved. @see handOver
   */
  holdCalls(): void
  /**
   * Restarts the time limit of this run, because a part of the work is done. Without it, work that takes longer than
   * `recoverTimeoutMs` would be aborted and started again for ever. It has no effect after {@link holdCalls}, so that
   * no call waits for longer than `recoverTimeoutMs`.
   */
  progress(): void
  /** Aborts when Redis is gone again, when the time is up, or when the pair is closed. */
  readonly signal: AbortSignal
}

/**
 * Two stores with one interface: the one on Redis answers while Redis is up, the fallback in memory answers while it
 * is not. After the connection is closed, calls reject with CONNECTION_CLOSED.
 */
export interface Failover<S> {
  readonly state: FailoverState
  /**
   * Runs one operation on the store in use. If Redis turns out to be unavailable, it runs again on the fallback.
   * @throws UnavailableError with OVERLOADED or CONNECTION_CLOSED, which do not count as an outage
   */
  run<T>(operation: (store: S) => Promise<T>): Promise<Answer<T>>
  close(): void
}

export function failover<S>(redis: FailoverHost | undefined, options: FailoverOptions<S>): Failover<S> {
  checkConnection('redis', redis)
  checkOptions(options)
  if (redis === undefined || options.primary === undefined) return new MemoryOnly(options.fallback)
  return new StorePair(redis, options.primary, options)
}

function checkOptions<S>(options: FailoverOptions<S>): void {
  const { onOutage = 'fallback', durability = 'disposable' } = options
  option.members('', options, {
    name: true,
    primary: true,
    fallback: true,
    recover: true,
    durability: true,
    held: true,
    onOutage: true,
    recoverTimeoutMs: true,
    recoverJitterMs: true,
  })
  option.text('name', options.name)
  option.oneOf('onOutage', onOutage, ['fallback', 'throw'])
  option.number('recoverTimeoutMs', options.recoverTimeoutMs ?? 10_000, { min: 1 })
  option.number('recoverJitterMs', options.recoverJitterMs ?? 100, { max: 60_000 })
  option.oneOf('durability', durability, ['durable', 'transient', 'disposable'])
}

function answeredByRedis<T>(value: T): Answer<T> {
  return { value, source: 'redis' }
}

function answeredByMemory<T>(value: T): Answer<T> {
  return { value, source: 'memory' }
}

class MemoryOnly<S> implements Failover<S> {
  readonly state = 'fallback'

  constructor(private readonly store: S) {}

  run<T>(operation: (store: S) => Promise<T>): Promise<Answer<T>> {
    return operation(this.store).then(answeredByMemory)
  }

  close(): void {}
}

const retryMs = { first: 100, max: 1_000 }

class StorePair<S> implements Failover<S>, PairStatus {
  state: FailoverState
  fallbackSince: number | undefined
  readonly #redis: FailoverHost
  readonly #primary: S
  readonly #options: FailoverOptions<S>
  readonly #log: ReturnType<typeof createLog>
  readonly #stop: (() => void)[]
  #recovery: AbortController | undefined
  /** Resolves when calls that wait for the end of recovery may continue. */
  #held: Deferred<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #failures = 0
  #closed = false

  constructor(redis: FailoverHost, primary: S, options: FailoverOptions<S>) {
    this.#redis = redis
    this.#primary = primary
    this.#options = options
    this.#log = createLog(options.name)
    this.state = redis.state === 'up' ? 'primary' : 'fallback'
    this.fallbackSince = this.state === 'primary' ? undefined : performance.now()
    this.#stop = [
      redis.on('down', () => this.#leave('Redis is down')),
      redis.on('up', () => {
        if (redis.autoResync) this.#scheduleRecovery(Math.random() * (options.recoverJitterMs ?? 100))
      }),
      redis.on('resync', () => void this.#recover()),
      redis.on('close', () => this.#leave('the connection was closed')),
      redis.track?.(this) ?? (() => {}),
    ]
  }

  // Not async: this is on the path of every call, and a chain of one `then` is the cheapest there is.
  run<T>(operation: (store: S) => Promise<T>): Promise<Answer<T>> {
    if (this.state === 'primary') {
      return operation(this.#primary).then(answeredByRedis, (error: unknown) => {
        if (this.#options.onOutage === 'throw' || !isOutage(error)) throw error
        this.#missed(error)
        this.#redis.fellBack?.(this.#options.name, error.code)
        return operation(this.#options.fallback).then(answeredByMemory)
      })
    }
    if (this.#redis.state === 'closed') {
      const message = 'The connection was closed'
      return Promise.reject(new UnavailableError('CONNECTION_CLOSED', message, 'not-sent'))
    }
    if (this.#held !== undefined) return this.#held.promise.then(() => this.run(operation))
    if (this.#options.onOutage === 'throw') {
      const message = `Redis is ${this.#redis.state}`
      return Promise.reject(new UnavailableError('CONNECTION_DOWN', message, 'not-sent'))
    }
    this.#redis.fellBack?.(this.#options.name, this.state)
    return operation(this.#options.fallback).then(answeredByMemory)
  }

  get name(): string {
    return this.#options.name
  }

  get durability(): Durability {
    return this.#options.durability ?? 'disposable'
  }

  get held(): PairStatus['held'] {
    return this.#options.held
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#recovery?.abort(new Error('closed'))
    for (const stop of this.#stop) stop()
  }

  /** Memory answered one call although the connection is up; recovery has to move what that call left in memory. */
  #missed(error: UnavailableError): void {
    if (this.#options.recover === undefined || this.state !== 'primary') return
    this.#leave(error.message)
    if (this.#redis.state === 'up' && this.#redis.autoResync) this.#scheduleRecovery(this.#pause())
  }

  #leave(reason: string): void {
    clearTimeout(this.#timer)
    this.#recovery?.abort(new Error(reason))
    if (this.state === 'fallback') return
    this.fallbackSince ??= performance.now()
    this.state = 'fallback'
    this.#log('answering from memory: %s', reason)
  }

  #scheduleRecovery(delayMs: number): void {
    if (this.#closed) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#recover(), delayMs)
    this.#timer.unref()
  }

  async #recover(): Promise<void> {
    if (this.#closed || this.state !== 'fallback' || this.#redis.state !== 'up') return
    this.state = 'recovering'
    const recovery = new AbortController()
    this.#recovery = recovery
    const limit = () =>
      setLongTimeout(
        () => recovery.abort(new Error('recovery took too long')),
        this.#options.recoverTimeoutMs ?? 10_000,
      )
    let timer = limit()
    try {
      await Promise.race([
        this.#options.recover?.({
          primary: this.#primary,
          fallback: this.#options.fallback,
          handOver: () => {
            if (!recovery.signal.aborted) this.state = 'primary'
          },
          holdCalls: () => {
            if (!recovery.signal.aborted) this.#held ??= deferred()
          },
          progress: () => {
            // Calls that already wait must not wait longer.
            if (this.#recovery !== recovery || this.#held !== undefined) return
            timer.clear()
            timer = limit()
          },
          signal: recovery.signal,
        }),
        new Promise<never>((_, reject) => onAbort(recovery.signal, reject)),
      ])
      recovery.signal.throwIfAborted()
      this.#failures = 0
      this.state = 'primary'
      this.fallbackSince = undefined
      this.#log('answering from Redis again')
    } catch (error) {
      this.#log('recovery failed: %s', error)
      this.state = 'fallback'
      if (this.#redis.state === 'up') this.#scheduleRecovery(this.#pause())
    } finally {
      timer.clear()
      this.#recovery = undefined
      this.#held?.resolve()
      this.#held = undefined
    }
  }

  #pause(): number {
    const base = Math.min(retryMs.max, retryMs.first * 2 ** this.#failures++)
    return base * (0.5 + Math.random() * 0.5)
  }
}
