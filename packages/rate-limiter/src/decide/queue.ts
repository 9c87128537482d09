import { type Clock, onAbort, setLongTimeout } from '@evenkeel/core/kit'
import { slackMs } from '../algorithms/meter.js'
import { LimiterClosedError, QueueFullError, RateLimitedError } from '../errors.js'
import type { Change, DecisionOptions, LimitCost } from '../stores/port.js'
import type { Decider, SourcedDecision } from './decider.js'
import { toRateLimitDecision } from './result.js'

export interface WaitRequest {
  /** Identifies the call in the queue of a `concurrency`, and its reservation. */
  readonly id: string
  readonly timeoutMs: number
  /** How long the reservation stays open to be settled; `undefined` if the call is never settled. */
  readonly openMs: number | undefined
  readonly perMille: number
  readonly signal: AbortSignal | undefined
}

export interface WaitQueueOptions {
  /** Name of the limiter. */
  readonly name: string
  readonly decider: Decider
  readonly clock: Clock
  readonly maxQueue: number
}

/** A call that waits for a slot asks again this often, in case the message that its turn has come got lost. */
const askAgainMs = 1_000

/**
 * Waits until a call is admitted. Redis books a time in one round trip, and the call sleeps until then: no polling, no
 * thundering herd. A call that waits for a slot of a `concurrency` is woken when one is free, in order of arrival.
 */
export class WaitQueue {
  readonly #options: WaitQueueOptions
  readonly #waits = new Set<Wait>()
  readonly #turns = new Map<string, () => void>()
  #unwatch: (() => void) | undefined

  constructor(options: WaitQueueOptions) {
    this.#options = options
  }

  /** Number of calls that wait now. */
  get count(): number {
    return this.#waits.size
  }

  /**
   * @throws RateLimitedError, QueueFullError, LimiterClosedError, the signal's reason; nothing stays charged then
   */
  async admit(limitCosts: readonly LimitCost[], request: WaitRequest): Promise<SourcedDecision> {
    request.signal?.throwIfAborted()
    const wait = new Wait(this.#options.decider, limitCosts, request)
    const isFull = this.#waits.size >= this.#options.maxQueue
    this.#waits.add(wait)
    try {
      return await this.#admit(wait, isFull)
    } finally {
      wait.end()
      this.#waits.delete(wait)
    }
  }

  /** Rejects all waiting calls at once. */
  close(): void {
    this.#unwatch?.()
    this.#unwatch = undefined
    for (const wait of this.#waits) wait.giveUp(new LimiterClosedError(this.#options.name))
  }

  async #admit(wait: Wait, isFull: boolean): Promise<SourcedDecision> {
    const { clock, maxQueue } = this.#options
    const { timeoutMs } = wait.request
    const deadline = clock.monotonic() + timeoutMs
    for (;;) {
      const sentAtMs = clock.monotonic()
      const leftMs = Math.max(0, deadline - sentAtMs)
      const decided = await wait.ask(isFull ? 'charge' : 'book', leftMs)
      const { outcome, delayMs } = decided.value
      if (outcome === 'allowed') return decided
      if (outcome === 'booked') {
        await wait.sleep(delayMs, decided)
        if (clock.monotonic() <= sentAtMs + delayMs + slackMs) return decided
        // The timer was late: the booking is refunded, and the call asks again.
        await wait.giveBack(decided)
        continue
      }
      if (isFull) throw new QueueFullError(maxQueue)
      if (outcome === 'queued') {
        await this.#awaitTurn(wait, decided, Math.min(askAgainMs, leftMs))
        if (clock.monotonic() < deadline) continue
        await wait.giveBack(decided)
        throw new RateLimitedError(this.#denialOf(wait, decided), timeoutMs)
      }
      // Denied: the wait is too long, the subject is blocked, or in a Cluster one booking can't cover several nodes.
      const decision = this.#denialOf(wait, decided)
      if (decision.retryAfterMs > leftMs || leftMs === 0) throw new RateLimitedError(decision, timeoutMs)
      await wait.sleep(Math.max(1, decision.retryAfterMs))
    }
  }

  #denialOf({ limitCosts }: Wait, { value, source }: SourcedDecision) {
    return toRateLimitDecision(limitCosts, { ...value, outcome: 'denied' }, source, this.#options.clock.now())
  }

  /** Resolves when the call's turn has come, or after `maxMs`. */
  async #awaitTurn(wait: Wait, queued: SourcedDecision, maxMs: number): Promise<void> {
    const { id } = wait.request
    this.#unwatch ??= this.#options.decider.watch((called) => this.#turns.get(called)?.())
    this.#turns.set(id, () => wait.wake())
    try {
      await wait.sleep(maxMs, queued)
    } finally {
      this.#turns.delete(id)
    }
  }
}

/** A waiting call. Its caller may give up at any moment; then its charge is refunded. */
class Wait {
  readonly limitCosts: readonly LimitCost[]
  readonly request: WaitRequest
  readonly #decider: Decider
  readonly #unfollow: () => void
  /** Why it ended, if its caller has given up. */
  #givenUp: { readonly reason: unknown } | undefined
  #wake: (() => void) | undefined
  #giveUp: (() => void) | undefined

  constructor(decider: Decider, limitCosts: readonly LimitCost[], request: WaitRequest) {
    this.#decider = decider
    this.limitCosts = limitCosts
    this.request = request
    this.#unfollow = onAbort(request.signal, (reason) => this.giveUp(reason))
  }

  giveUp(reason: unknown): void {
    this.#givenUp ??= { reason }
    this.#giveUp?.()
  }

  /** Ends a sleep. */
  wake(): void {
    this.#wake?.()
  }

  end(): void {
    this.#unfollow()
  }

  /** Rejects at once when the caller gives up; what the store still grants is then refunded. */
  ask(mode: 'charge' | 'book', maxDelayMs: number): Promise<SourcedDecision> {
    const { id, openMs, perMille } = this.request
    const options: DecisionOptions = {
      mode,
      maxDelayMs,
      perMille,
      id,
      ...(openMs === undefined ? {} : { openMs }),
    }
    return new Promise((resolve, reject) => {
      if (this.#givenUp !== undefined) return reject(this.#givenUp.reason)
      this.#giveUp = () => reject(this.#givenUp?.reason)
      this.#decider.decide(this.limitCosts, options).then((decided) => {
        this.#giveUp = undefined
        if (this.#givenUp === undefined) return resolve(decided)
        if (decided.value.outcome !== 'denied') void this.giveBack(decided).catch(() => {})
      }, reject)
    })
  }

  /**
   * Resolves after `ms`, or when the call is woken. Rejects at once when the caller gives up.
   * @param held the booking or place in the line to give back in that case
   */
  sleep(ms: number, held?: SourcedDecision): Promise<void> {
    return new Promise((resolve, reject) => {
      const over = () => {
        timer.clear()
        this.#wake = undefined
        this.#giveUp = undefined
      }
      const giveUp = () => {
        over()
        if (held !== undefined) void this.giveBack(held).catch(() => {})
        reject(this.#givenUp?.reason)
      }
      const wake = () => {
        over()
        resolve()
      }
      const timer = setLongTimeout(wake, ms, { ref: true })
      this.#wake = wake
      this.#giveUp = giveUp
      if (this.#givenUp !== undefined) giveUp()
    })
  }

  async giveBack({ value, source, mirroredAtMs }: SourcedDecision): Promise<void> {
    const { id, openMs } = this.request
    const changes = this.limitCosts.flatMap(({ subject, name, limit, cost }, index): Change[] => {
      // A queued call only has a place in the queue: nothing was charged.
      if (value.outcome === 'queued' && limit.kind !== 'concurrency') return []
      const chargedAtMs = value.results[index]?.chargedAtMs ?? 0
      return [{ subject, name, limit, change: -cost, chargedAtMs }]
    })
    if (openMs === undefined) await this.#decider.giveBack(changes, source, mirroredAtMs)
    else await this.#decider.settle({ id, changes }, source, mirroredAtMs)
  }
}
