import type { Argument, Caller, SendOptions } from '../clients/port.js'
import {
  CommandTimeoutError,
  EvenkeelError,
  InvalidInputError,
  ReplyError,
  UnavailableError,
} from '../errors.js'
import { commandName, type SafeError, safeError } from '../guard/client-error.js'
import { DeadlineQueue, type List, type Timed } from '../guard/deadline-queue.js'
import { meaningOf, replyPrefix, wasNotSent } from '../guard/error-meaning.js'
import { LatencyHistogram } from '../health/latency.js'
import { isError } from '../kit/cross-realm.js'
import { type Deferred, deferred } from '../kit/deferred.js'
import { onAbort } from '../kit/signals.js'
import { maxTimerMs, setLongTimeout } from '../kit/timers.js'

/** How a sent command ended, for metrics and the breaker. */
export interface Evidence {
  succeeded(generation: number): void
  failed(generation: number, error: UnavailableError): void
  /** A deadline passed, and nothing at all was heard for at least half of it. */
  silent(sentAt: number): void
  demoted(): void
  credentialsRefused(error: Error): void
}

export type Observer = (command: string, durationMs: number, failure: EvenkeelError | undefined) => void

export interface CommandOptions extends SendOptions {
  /** This command's deadline in milliseconds. @default the connection's `commandTimeout` */
  readonly timeoutMs?: number | undefined
  /** Stops waiting. A command that was already sent may still run. */
  readonly signal?: AbortSignal | undefined
}

/** Sends a command, or a whole transaction, and resolves with a reply of type `R`. */
export interface Sender<R> {
  send(args: readonly Argument[], options: SendOptions, caller: Caller): Promise<R>
}

class Call implements Timed {
  dueAt = 0
  previous: Timed | undefined = undefined
  next: Timed | undefined = undefined
  list: List | undefined = undefined
  settled = false
  stopFollowing: (() => void) | undefined = undefined

  get command(): string {
    return String(this.args[0])
  }

  constructor(
    readonly args: readonly Argument[],
    readonly sentAt: number,
    readonly timeoutMs: number,
    readonly generation: number,
    readonly resolve: (reply: unknown) => void,
    readonly reject: (error: Error) => void,
  ) {}
}

/**
 * Sends commands so that each one ends by its deadline, and records how it ended: ok, an error of the server, not
 * sent, unknown (sent but not answered), shed, or aborted by the caller.
 */
export class Executor {
  /** Commands that were sent and that the client has not settled, including those past their deadline. */
  inFlight = 0
  lastHeardAt = 0
  readonly latency = new LatencyHistogram()
  observe: Observer | undefined

  readonly #deadlines = new DeadlineQueue<Call>((call) => this.#overdue(call))
  readonly #evidence: Evidence
  readonly #timeoutMs: number
  readonly #maxInFlight: number
  #idle: Deferred<void> | undefined

  constructor(options: { timeoutMs: number; maxInFlight: number }, evidence: Evidence) {
    this.#timeoutMs = options.timeoutMs
    this.#maxInFlight = options.maxInFlight
    this.#evidence = evidence
  }

  send<R>(
    client: Sender<R>,
    generation: number,
    args: readonly Argument[],
    options: CommandOptions,
  ): Promise<R> {
    if (this.inFlight >= this.#maxInFlight) {
      return Promise.reject(
        new UnavailableError('OVERLOADED', `${this.inFlight} commands are in flight already`, 'not-sent'),
      )
    }
    const refusal = refusalOf(args, options)
    if (refusal !== undefined) return Promise.reject(refusal)
    const { signal } = options
    return new Promise<R>((resolve, reject) => {
      const now = performance.now()
      const timeoutMs = options.timeoutMs ?? this.#timeoutMs
      const call = new Call(args, now, timeoutMs, generation, resolve as (reply: unknown) => void, reject)
      this.inFlight++
      this.#deadlines.add(call, timeoutMs, now)
      if (signal !== undefined) this.#followSignal(call, signal)
      client.send(args, options, call).then(
        (reply) => this.#answered(call, reply),
        (error: unknown) => this.#failed(call, error),
      )
    })
  }

  /** Resolves when no command is in flight any more, or after `mostMs`. */
  async idle(mostMs: number): Promise<void> {
    if (this.inFlight === 0) return
    this.#idle ??= deferred()
    const timer = setLongTimeout(this.#idle.resolve, mostMs, { ref: true })
    await this.#idle.promise
    timer.clear()
  }

  close(): void {
    this.#deadlines.close()
  }

  #left(): void {
    this.inFlight--
    if (this.inFlight === 0) this.#idle?.resolve()
  }

  #answered(call: Call, reply: unknown): void {
    this.#left()
    const now = performance.now()
    this.lastHeardAt = now
    if (call.settled) return
    this.#settle(call)
    this.latency.record(now - call.sentAt, now)
    this.#evidence.succeeded(call.generation)
    if (this.observe !== undefined) this.observe(call.command, now - call.sentAt, undefined)
    call.resolve(reply)
  }

  #failed(call: Call, error: unknown): void {
    this.#left()
    const fromServer = isError(error) && replyPrefix(error) !== undefined
    if (fromServer) this.lastHeardAt = performance.now()
    if (call.settled) return
    this.#settle(call)
    this.#reject(call, this.#translate(call, error, fromServer))
  }

  #translate(call: Call, error: unknown, fromServer: boolean): EvenkeelError {
    // An argument was refused before anything was sent.
    if (EvenkeelError.isInstance(error)) return error
    const meaning = meaningOf(error)
    const cause = safeError(error, fromServer ? call.args : [])
    const options = { cause }
    const command = commandName(call.command)
    if (meaning === 'unavailable' || meaning === 'demoted') {
      const unavailable = unavailableError(command, cause, wasNotSent(error), fromServer)
      this.#evidence.failed(call.generation, unavailable)
      if (meaning === 'demoted') this.#evidence.demoted()
      return unavailable
    }
    if (meaning === 'credentials') {
      if (isError(error)) this.#evidence.credentialsRefused(error)
      // As with a server that is loading: no command ran, and memory can answer until an operator rotates the password.
      return unavailableError(command, cause, false, true)
    }
    if (fromServer) this.#evidence.succeeded(call.generation)
    else if (isError(error) && error.name === 'TypeError') {
      const wrong = call.args.find((arg) => typeof arg !== 'string' && !Buffer.isBuffer(arg))
      return new InvalidInputError(command, 'text or Buffers as arguments', wrong)
    }
    const prefix = isError(error) ? replyPrefix(error) : undefined
    return new ReplyError(command, prefix ?? 'ERR', options)
  }

  #overdue(call: Call): void {
    this.#settle(call)
    const error = withoutStack(() => new CommandTimeoutError(commandName(call.command), call.timeoutMs))
    const quietFor = performance.now() - Math.max(this.lastHeardAt, call.sentAt)
    // Half a deadline is enough: silence also counts for a command sent just before the last reply.
    if (quietFor >= call.timeoutMs / 2) this.#evidence.silent(call.sentAt)
    this.#evidence.failed(call.generation, error)
    this.#reject(call, error)
  }

  #reject(call: Call, error: EvenkeelError): void {
    if (this.observe !== undefined) this.observe(call.command, performance.now() - call.sentAt, error)
    call.reject(error)
  }

  #settle(call: Call): void {
    call.settled = true
    this.#deadlines.remove(call)
    call.stopFollowing?.()
  }

  #followSignal(call: Call, signal: AbortSignal): void {
    call.stopFollowing = onAbort(signal, (reason) => {
      this.#settle(call)
      call.reject(aborted(commandName(call.command), 'it may have run', reason))
    })
  }
}

/** @throws INVALID_INPUT for a deadline that no timer holds, COMMAND_ABORTED if the caller has left */
export function checkOptions(args: readonly Argument[], options: CommandOptions): void {
  const refusal = refusalOf(args, options)
  if (refusal !== undefined) throw refusal
}

function refusalOf(
  args: readonly Argument[],
  { timeoutMs, signal }: CommandOptions,
): EvenkeelError | undefined {
  const wrong = timeoutMs === undefined ? undefined : wrongTimeout(timeoutMs)
  if (wrong !== undefined) return wrong
  return signal?.aborted ? aborted(commandName(String(args[0])), 'not sent', signal.reason) : undefined
}

/** The stack of a timer tells nothing, and capturing ten thousand stacks takes longer than expiring their calls. */
function withoutStack<T>(make: () => T): T {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    return make()
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

/** Node would fire a timer of more than 24.8 days at once, and a command with such a deadline is a mistake. */
function wrongTimeout(timeoutMs: unknown): InvalidInputError | undefined {
  if (typeof timeoutMs === 'number' && timeoutMs <= maxTimerMs) return undefined
  return new InvalidInputError('timeoutMs', `a number of milliseconds up to ${maxTimerMs}`, timeoutMs)
}

function unavailableError(
  command: string,
  cause: SafeError,
  isUnsent: boolean,
  fromServer: boolean,
): UnavailableError {
  const options = { cause }
  const { message } = cause
  if (fromServer) {
    return new UnavailableError('REDIS_REFUSED', `${command} was refused: ${message}`, 'refused', options)
  }
  if (isUnsent) {
    return new UnavailableError('CONNECTION_DOWN', `${command} was not sent: ${message}`, 'not-sent', options)
  }
  const lost = `${command} lost its connection (${message}); it may have run`
  return new UnavailableError('COMMAND_UNKNOWN', lost, 'unknown', options)
}

function aborted(command: string, state: string, cause?: unknown): EvenkeelError {
  return new EvenkeelError('COMMAND_ABORTED', `${command} was aborted by the caller; ${state}`, { cause })
}
