import { type LongTimer, onAbort, setLongTimeout } from '@evenkeel/core/kit'
import type { Version } from '../entry/entry.js'
import type { AbandonedWork } from '../streams/abandoned.js'
import type { CallerIdentity, Found } from './call.js'
import type { FlightLease } from './flight.js'

/** How long a call that no caller wants any more may take to end, before it is given up. */
const abandonedMs = 120_000

/** A caller that leaves sooner has changed its mind; the time limits of clients are longer. */
const suspectMs = 250

export interface SharedCallOptions<L> {
  readonly identity: CallerIdentity | undefined
  readonly isRetry: boolean
  /** What becomes of a call whose callers have all left. */
  readonly onAbandon: 'finish' | 'cancel'
  /** Counts the calls that are finished without a caller. */
  readonly abandoned: AbandonedWork
  /** The generation of a call that was given up: it is not followed. */
  readonly avoided: string | undefined
  /** Called when newcomers must no longer find the call. */
  finish(self: SharedCall<L>): void
}

/** One call under way in this process, and the callers that wait for it. */
export class SharedCall<L> {
  readonly options: SharedCallOptions<L>
  /** The versions of the answer, known after the look-up. */
  versions: readonly Version[] | undefined
  /** The entry was deleted meanwhile: the answer is not stored. */
  isVoid = false
  /** Held while this process calls the provider. */
  lease: FlightLease | undefined
  /** Of the lease under which the provider is called, here or in another instance. */
  generation: string | undefined
  found: Found<L> | undefined
  /** When the answer came, on the cache's clock. */
  answeredAtMs: number | undefined
  /** The answer is complete, and is stored or will be in a moment. */
  isEnded = false
  readonly #beganAt = performance.now()
  #isGivenUp = false
  #waiting = 0
  #run: Promise<Found<L>> | undefined
  #abandoned: LongTimer | undefined
  readonly #ending = new AbortController()
  #onEnd: ((reason: unknown) => void) | undefined

  constructor(options: SharedCallOptions<L>) {
    this.options = options
  }

  /** Aborts when the call stalled, or when no caller wants it. */
  get signal(): AbortSignal {
    return this.#ending.signal
  }

  /** A caller left before the answer, but not at once: the call may hang, so newcomers make one of their own. */
  get isGivenUp(): boolean {
    return this.#isGivenUp && this.found === undefined && performance.now() - this.#beganAt > suspectMs
  }

  /** All callers have left before there was an answer. */
  get isAbandoned(): boolean {
    return this.#isGivenUp && this.found === undefined && this.#waiting === 0
  }

  /** Whether a caller waits for the answer, as none does for a renewal in the background. */
  get isAwaited(): boolean {
    return this.#waiting > 0
  }

  begin(run: Promise<Found<L>>): void {
    this.#run = run
    const over = () => this.#resume()
    run.then((found) => {
      this.found = found
      over()
    }, over)
  }

  end(reason: Error): void {
    this.#ending.abort(reason)
    this.#onEnd?.(reason)
  }

  /** Waits for the provider until the call is ended. @throws the reason of the end */
  untilEnded<T>(pending: Promise<T>): Promise<T> {
    // A listener of the signal would cost more than the promise.
    return new Promise((resolve, reject) => {
      const { signal } = this
      if (signal.aborted) reject(signal.reason)
      this.#onEnd = reject
      pending.then(resolve, reject)
    })
  }

  finish(): void {
    this.options.finish(this)
  }

  /** The signal ends this caller's wait alone. */
  wait(signal: AbortSignal | undefined): Promise<Found<L>> {
    const run = this.#run
    if (run === undefined) throw new TypeError('The call has not begun')
    this.#waiting++
    this.#resume()
    if (signal === undefined) return run
    return new Promise((resolve, reject) => {
      let isOver = false
      const over = () => {
        if (isOver) return
        isOver = true
        this.#waiting--
        unfollow?.()
        if (signal.aborted && this.found === undefined) this.#giveUp()
      }
      let unfollow: (() => void) | undefined
      unfollow = onAbort(signal, (reason) => {
        over()
        reject(reason)
      })
      run.finally(over).then(resolve, reject)
    })
  }

  #giveUp(): void {
    this.#isGivenUp = true
    if (this.#waiting > 0) return
    // Other instances need not wait for a call that has no caller here.
    this.lease?.giveUp()
    if (this.options.onAbandon === 'cancel') return this.end(new Error('All callers left the call'))
    this.#abandoned ??= setLongTimeout(() => this.end(new Error('The call was abandoned')), abandonedMs)
    this.options.abandoned.add(this, (reason) => this.end(reason))
  }

  /** Ends the abandonment: a caller waits for the call, or it is over. */
  #resume(): void {
    if (this.#abandoned === undefined) return
    this.#abandoned.clear()
    this.#abandoned = undefined
    this.options.abandoned.delete(this)
  }
}
