import { EventEmitter } from 'node:events'
import type CircuitBreaker from 'opossum'

export interface BreakerOptions {
  /** Share of failed commands within the window that opens the breaker, in percent. @default 50 */
  readonly errorThresholdPercentage?: number
  /** Fewer outcomes than this in the window decide nothing. @default 20 */
  readonly volumeThreshold?: number
  /** @default 10_000 */
  readonly windowMs?: number
  /** How long the breaker stays open before the first trial. @default 250 */
  readonly resetMs?: number
  /** The longest pause between two trials. @default 750, so that a recovered Redis is used within a second */
  readonly maxResetMs?: number
}

export interface BreakerCounts {
  readonly opened: number
  readonly failures: number
  readonly trials: number
}

type Outcome = 'ok' | 'failed'

const buckets = 10

/** What the breaker asks for and reports. */
export interface BreakerHost {
  /** Asks Redis for a sign of life. Called after each pause while the breaker is open. */
  trial(): void
  changed(closed: boolean, reason: string): void
}

/** Decides whether commands are sent at all. */
export interface Breaker {
  /** Whether commands may be sent. Read on the hot path. */
  readonly closed: boolean
  /** Grows with every change; a command remembers the generation in which it was sent. */
  readonly generation: number
  /** Why the breaker is open. */
  readonly reason: string
  readonly counts: BreakerCounts
  /** A command that was sent in `generation` succeeded. */
  succeeded(generation: number): void
  /** A command that was sent in `generation` found Redis unavailable. */
  failed(generation: number): void
  /** Opens the breaker without statistics: the socket ended, or nothing was received for a deadline. */
  trip(reason: string): void
  /** The trial's result. A failed one keeps the breaker open for a longer pause. */
  settle(alive: boolean, reason?: string): void
  shutdown(): void
}

export type CreateBreaker = (host: BreakerHost) => Breaker

/** Imports opossum, which takes some milliseconds, with the first connection and not with the package. */
export async function loadBreaker(options: BreakerOptions): Promise<CreateBreaker> {
  const { default: Circuit } = await import('opossum')
  return (host) => new OpossumBreaker(Circuit, options, host)
}

/**
 * opossum keeps the window and the states. It takes a microsecond or two for each call and stores its
 * latency, so it is used only while there is something to decide: from a failure until a whole window has
 * passed without another. A healthy connection costs one comparison for each command. opossum does not see
 * outcomes of commands that were sent before the last opening, because a late success would close a
 * half-open breaker, and a late failure would open it again.
 */
class OpossumBreaker implements Breaker {
  closed = false
  generation = 0

  readonly #circuit: CircuitBreaker<[Outcome], void>
  readonly #settings: CircuitBreaker.Options
  readonly #rotation = new EventEmitter()
  readonly #windowMs: number
  readonly #resetMs: number
  readonly #maxResetMs: number
  readonly #host: BreakerHost
  readonly #counts = { opened: 0, failures: 0, trials: 0 }
  #watchUntil = 0
  #rotatedAt = 0
  #closedAt = 0
  #attempt = 0
  #reason = 'connecting'

  constructor(Circuit: typeof CircuitBreaker, options: BreakerOptions, host: BreakerHost) {
    this.#windowMs = options.windowMs ?? 10_000
    this.#resetMs = options.resetMs ?? 250
    this.#maxResetMs = options.maxResetMs ?? 750
    this.#host = host
    // opossum keeps this very object, so changing `resetTimeout` changes its next pause.
    this.#settings = {
      timeout: false,
      errorThresholdPercentage: options.errorThresholdPercentage ?? 50,
      volumeThreshold: options.volumeThreshold ?? 20,
      rollingCountTimeout: this.#windowMs,
      rollingCountBuckets: buckets,
      rollingPercentilesEnabled: false,
      enableSnapshots: false,
      // Rotated when an outcome is recorded, so that an idle connection has no timer.
      rotateBucketController: this.#rotation,
      resetTimeout: this.#resetMs,
    }
    this.#circuit = new Circuit<[Outcome], void>(async (outcome) => {
      if (outcome === 'failed') throw evidence
    }, this.#settings)
    this.#circuit.on('open', () => this.#opened())
    this.#circuit.on('close', () => this.#set(true, 'recovered'))
    this.#circuit.on('halfOpen', () => {
      this.#counts.trials++
      host.trial()
    })
    // Open until the first connection is ready; that is no outage yet, so it does not count.
    this.#circuit.open()
    this.#counts.opened = 0
  }

  get reason(): string {
    return this.#reason
  }

  get counts(): BreakerCounts {
    return { ...this.#counts }
  }

  succeeded(generation: number): void {
    if (this.#watchUntil !== 0) this.#record('ok', generation)
  }

  failed(generation: number): void {
    this.#counts.failures++
    if (generation !== this.generation || !this.closed) return
    this.#watchUntil = performance.now() + this.#windowMs
    this.#record('failed', generation)
  }

  trip(reason: string): void {
    this.#reason = reason
    this.#settings.resetTimeout = this.#pause()
    this.#circuit.open()
  }

  settle(alive: boolean, reason = this.#reason): void {
    if (alive) {
      this.#circuit.close()
      return
    }
    if (this.closed) return
    this.trip(reason)
  }

  shutdown(): void {
    this.closed = false
    this.generation++
    this.#circuit.shutdown()
  }

  #record(outcome: Outcome, generation: number): void {
    if (generation !== this.generation || !this.closed) return
    const now = performance.now()
    if (now > this.#watchUntil) {
      this.#watchUntil = 0
      return
    }
    this.#rotate(now)
    this.#circuit.fire(outcome).catch(() => {})
  }

  #rotate(now: number): void {
    const bucketMs = this.#windowMs / buckets
    let steps = Math.min(buckets, Math.floor((now - this.#rotatedAt) / bucketMs))
    if (steps > 0) this.#rotatedAt = now
    for (; steps > 0; steps--) this.#rotation.emit('rotate')
  }

  #opened(): void {
    this.#counts.opened++
    if (this.closed) this.#reason = this.#reason === 'recovered' ? 'too many failures' : this.#reason
    this.#set(false, this.#reason)
  }

  #set(closed: boolean, reason: string): void {
    if (this.closed === closed) return
    this.closed = closed
    this.generation++
    if (closed) {
      this.#reason = reason
      this.#watchUntil = 0
      this.#closedAt = performance.now()
      this.#rotate(Number.POSITIVE_INFINITY)
      this.#rotatedAt = this.#closedAt
    }
    this.#host.changed(closed, reason)
  }

  /** Doubles with every opening that closely follows another; has jitter, so that instances do not try at once. */
  #pause(): number {
    if (this.closed && performance.now() - this.#closedAt > this.#windowMs) this.#attempt = 0
    const base = Math.min(this.#maxResetMs, this.#resetMs * 2 ** this.#attempt)
    this.#attempt = Math.min(this.#attempt + 1, 16)
    return Math.round(base * (0.75 + Math.random() * 0.25))
  }
}

const evidence = new Error('Redis is unavailable')
