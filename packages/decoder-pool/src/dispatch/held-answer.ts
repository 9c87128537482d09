import type { Clock } from '@evenkeel/core'
import { isResponse } from '@evenkeel/core/kit'
import { type BodyEnd, type BodyWatcher, watchedAnswer, watchedStream, watchIterable } from './answer-body.js'
import type { NodeLease } from './dispatcher.js'
import { type Judged, judgeAbort, judgeError, type Outcome, type Silence } from './outcome.js'
import { isEventStream, StreamEvents } from './stream-events.js'

/** Marks an answer whose body was read before it was returned, so that nothing is left to watch. */
const alreadyRead = Symbol.for('evenkeel.decoder-pool.read')

export function markRead(answer: Response): Response {
  return Object.defineProperty(answer, alreadyRead, { value: true })
}

export interface AnswerContext {
  readonly lease: NodeLease
  readonly clock: Clock
  /** When the node was asked. */
  readonly givenAt: number
  readonly signal: AbortSignal | undefined
  silence(silentMs: number): Silence
}

/** An answer whose slot was released: only the caller's signal still ends its body. */
export function held<T>(value: T, signal: AbortSignal | undefined): T {
  if (!isResponse(value) || alreadyRead in value || signal === undefined) return value
  return watchedAnswer(value, { waiting() {}, chunk() {}, end() {} }, signal) as T
}

/**
 * A good answer, as the caller gets it. One that is still arriving keeps its slot until it has been read, left or
 * broken off: a `Response`, a stream, or the iterable that a provider's client returns for one.
 */
export function whole<T>(value: T, context: AnswerContext): T {
  const { lease, clock, givenAt, signal } = context
  if (isResponse(value) && !(alreadyRead in value)) {
    const type = value.headers.get('content-type')
    return watchedAnswer(value, new AnswerWatcher(context, isEventStream(type)), signal) as T
  }
  if (value instanceof ReadableStream) {
    return watchedStream(value, new AnswerWatcher(context, false), signal) as T
  }
  const isIterated = typeof value === 'object' && value !== null && Symbol.asyncIterator in value
  if (!isIterated || !watchIterable(value, new AnswerWatcher(context, false))) {
    lease.release({ ok: true, latencyMs: clock.monotonic() - givenAt })
  }
  return value
}

/** Judges a body by how it arrives, and releases its slot when it has ended. */
class AnswerWatcher implements BodyWatcher {
  readonly #context: AnswerContext
  readonly #events: StreamEvents | undefined
  /** Since when the caller waits for the next piece; `undefined` while the caller does not read. */
  #waitingSince: number | undefined
  #firstAt: number | undefined

  constructor(context: AnswerContext, isEvents: boolean) {
    this.#context = context
    this.#events = isEvents ? new StreamEvents() : undefined
  }

  waiting(): void {
    this.#waitingSince ??= this.#context.clock.monotonic()
  }

  chunk(chunk: Uint8Array): void {
    const { clock } = this.#context
    const before = this.#events?.count
    this.#events?.see(chunk, clock.now())
    // An event that only keeps the connection alive does not end the caller's wait.
    if (before === undefined || this.#events?.count !== before) this.#waitingSince = undefined
    const isAnswer = this.#events === undefined || this.#events.count > 0
    if (isAnswer) this.#firstAt ??= clock.monotonic()
  }

  end(end: BodyEnd): void {
    this.#events?.end(this.#context.clock.now())
    this.#context.lease.release(this.#outcomeOf(end))
  }

  #outcomeOf(end: BodyEnd): Outcome {
    const { clock, givenAt } = this.#context
    const failure = this.#events?.failure
    if (failure !== undefined) return outcomeOf(failure)
    const latencyMs = (this.#firstAt ?? clock.monotonic()) - givenAt
    if (end.kind === 'read') {
      // A stream of events without any piece of an answer is a failure.
      const isEmpty = this.#events !== undefined && this.#events.count === 0
      return isEmpty
        ? { ok: false, error: new Error('the stream ended without a token') }
        : { ok: true, latencyMs }
    }
    if (end.kind === 'broken') {
      const { kind } = judgeError(end.error, clock.now())
      if (kind !== 'blameless') return { ok: false, error: end.error }
    }
    return this.#leftOutcome(end.error)
  }

  /** The caller left. If the node was silent, that may be why; otherwise the node is not to blame. */
  #leftOutcome(reason: unknown): Outcome {
    const { clock, silence } = this.#context
    const silentMs = this.#waitingSince === undefined ? 0 : clock.monotonic() - this.#waitingSince
    if (judgeAbort(reason, silence(silentMs)).kind === 'fault') {
      return { ok: false, error: new Error(`nothing came for ${Math.round(silentMs)} ms`) }
    }
    // Half of an answer does not prove that the node would have finished it.
    return { ok: true, error: reason ?? new Error('the caller left') }
  }
}

function outcomeOf(judged: Judged): Outcome {
  const error = new Error('the stream reported an error')
  if (judged.kind === 'push-back') return { ok: true, error, retryAfterMs: judged.retryAfterMs }
  return { ok: judged.kind !== 'fault', error }
}
