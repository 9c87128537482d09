import { setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '@evenkeel/core'
import { slackMs } from '../algorithms/meter.js'
import { QueueFullError, RateLimitedError } from '../errors.js'
import type { DecisionOptions, LimitCost } from '../stores/port.js'
import type { Decider, SourcedDecision } from './decider.js'
import { toRateLimitDecision } from './result.js'

export interface WaitRequest {
  readonly id: string
  readonly timeoutMs: number
  readonly openMs: number
  readonly perMille: number
  readonly signal: AbortSignal | undefined
}

/** A waiter in line for a slot asks again this often, in case the message that it is its turn got lost. */
const askAgainMs = 1_000

/**
 * Waits until a call is admitted: a time is booked in one round trip and slept for; no polling, no herd. Only
 * who waits for a slot of a `concurrency` is called when one is free, in the order of arrival.
 */
export class WaitQueue {
  readonly #decider: Decider
  readonly #clock: Clock
  readonly #maxQueue: number
  readonly #turns = new Map<string, () => void>()
  #unwatch: (() => void) | undefined
  #count = 0

  constructor(decider: Decider, clock: Clock, maxQueue: number) {
    this.#decider = decider
    this.#clock = clock
    this.#maxQueue = maxQueue
  }

  /** Calls that wait at the moment. */
  get count(): number {
    return this.#count
  }

  /** @throws RateLimitedError, QueueFullError, the signal's reason; nothing is charged then */
  async admit(limitCosts: readonly LimitCost[], options: WaitRequest): Promise<SourcedDecision> {
    const { id, timeoutMs, openMs, perMille, signal } = options
    const deadline = this.#clock.monotonic() + timeoutMs
    signal?.throwIfAborted()
    const isFull = this.#count >= this.#maxQueue
    this.#count++
    try {
      for (;;) {
        const sentAtMs = this.#clock.monotonic()
        const leftMs = Math.max(0, deadline - sentAtMs)
        const own: DecisionOptions = {
          id,
          openMs,
          perMille,
          mode: isFull ? 'charge' : 'book',
          maxDelayMs: leftMs,
        }
        const decided = await this.#decider.decide(limitCosts, own)
        const { value } = decided
        if (value.outcome === 'allowed') return decided
        if (value.outcome === 'booked') {
          if (await this.#sleepUntil(decided, limitCosts, options, sentAtMs)) return decided
          // The timer was late: the time is given back, and the call asks again.
          continue
        }
        if (isFull) throw new QueueFullError(this.#maxQueue)
        const pauseMs = this.#pauseOf(limitCosts, decided, timeoutMs, leftMs)
        if (value.outcome === 'queued') {
          await this.#turn(id, Math.min(pauseMs, leftMs), signal).catch(async (reason: unknown) => {
            await this.#giveBack(limitCosts, decided, id)
            throw reason
          })
          if (this.#clock.monotonic() >= deadline) {
            await this.#giveBack(limitCosts, decided, id)
            throw new RateLimitedError(
              toRateLimitDecision(limitCosts, { ...value, outcome: 'denied' }, decided.source),
              timeoutMs,
            )
          }
        } else await sleep(pauseMs, undefined, { signal })
      }
    } finally {
      this.#count--
    }
  }

  close(): void {
    this.#unwatch?.()
    this.#unwatch = undefined
  }

  /** How long to wait before asking again; an error, where that would be too late. */
  #pauseOf(
    limitCosts: readonly LimitCost[],
    { value, source }: SourcedDecision,
    timeoutMs: number,
    leftMs: number,
  ): number {
    if (value.outcome === 'queued') return askAgainMs
    // Where one booking can't hold for all nodes of a Cluster, and where a block ends.
    const decision = toRateLimitDecision(limitCosts, value, source)
    if (decision.retryAfterMs > leftMs || leftMs === 0) throw new RateLimitedError(decision, timeoutMs)
    return Math.max(1, decision.retryAfterMs)
  }

  /** `false` where it woke too late to use what was booked. */
  async #sleepUntil(
    decided: SourcedDecision,
    limitCosts: readonly LimitCost[],
    { id, signal }: WaitRequest,
    sentAtMs: number,
  ): Promise<boolean> {
    const { delayMs } = decided.value
    try {
      await sleep(delayMs, undefined, { signal })
    } catch (error) {
      await this.#giveBack(limitCosts, decided, id)
      throw error
    }
    if (this.#clock.monotonic() <= sentAtMs + delayMs + slackMs) return true
    await this.#giveBack(limitCosts, decided, id)
    return false
  }

  /** Resolves when it is this waiter's turn, or after a while. */
  async #turn(id: string, maxMs: number, signal: AbortSignal | undefined): Promise<void> {
    this.#unwatch ??= this.#decider.watch((called) => this.#turns.get(called)?.())
    const called = new AbortController()
    this.#turns.set(id, () => called.abort())
    const signals = signal === undefined ? called.signal : AbortSignal.any([called.signal, signal])
    try {
      await sleep(maxMs, undefined, { signal: signals })
    } catch (error) {
      if (signal?.aborted) throw error
    } finally {
      this.#turns.delete(id)
    }
  }

  async #giveBack(
    limitCosts: readonly LimitCost[],
    { value, source, notedAtMs }: SourcedDecision,
    id: string,
  ): Promise<void> {
    const changes = limitCosts.map(({ subject, name, limit, cost }, index) => ({
      subject,
      name,
      limit,
      change: -cost,
      chargedAtMs: value.results[index]?.chargedAtMs ?? 0,
    }))
    await this.#decider.settle({ id, changes }, source, notedAtMs)
  }
}
