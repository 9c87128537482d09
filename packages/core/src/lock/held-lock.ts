import { EvenkeelError, InvalidInputError, UnavailableError } from '../errors.js'
import { type Duration, durationMs } from '../kit/duration.js'
import { type LongTimer, setLongTimeout } from '../kit/timers.js'
import { minTtlMs } from './options.js'

/** A lock that this process holds. `await using` releases it. */
export interface Lock extends AsyncDisposable {
  readonly token: string
  /**
   * A fencing token: grows with each holder of the resource. A resource that refuses a fence lower than the highest
   * it has seen is safe from a holder that was paused beyond its ttl.
   */
  readonly fence: number
  /** Aborts as soon as the lock may be lost, before the server gives it to another holder. */
  readonly signal: AbortSignal
  /** `'redis'`, or `'memory'` for a lock that excludes only callers in this process. */
  readonly source: 'redis' | 'memory'
  /**
   * Renews the lock now, and sets a new ttl if one is given. The lock is also renewed automatically, after each third
   * of its ttl. One round trip.
   * @throws EvenkeelError `LOCK_LOST`
   */
  extend(ttl?: Duration): Promise<void>
  /** Releases the lock. Resolves with whether it was still held. One round trip. May be called more than once. */
  release(): Promise<boolean>
}

/** The lock, or for how many milliseconds another holder may still keep it. */
export type Attempt = { readonly lock: Lock } | { readonly heldForMs: number }

/** What keeps a lock: the server, or this process. */
export interface Lease {
  readonly source: 'redis' | 'memory'
  /** Resolves with `false` if the lock no longer belongs to this token. */
  extend(ttlMs: number): Promise<boolean>
  release(): Promise<boolean>
  /** The lease is over: it was released, or the holder knows that it is lost. */
  end(): void
}

interface HeldLockOptions {
  readonly token: string
  readonly fence: number
  readonly ttlMs: number
  /** When the request that took the lock was sent: the ttl on the server began no earlier. */
  readonly sentAt: number
  readonly lease: Lease
}

/** If the wall clock and the monotonic clock drift apart by more than this, the machine has slept. */
const clockJumpMs = 250

/**
 * A lock that this process holds. The process judges its time itself: by the monotonic clock, from before the request
 * was sent, less a margin, so that the lock ends here before it ends on the server. A renewal whose reply is lost
 * does not extend it. The monotonic clock stands still while a machine sleeps, so the lock also ends when the wall
 * clock has run ahead of it.
 */
export class HeldLock implements Lock {
  readonly token: string
  readonly fence: number
  readonly source: 'redis' | 'memory'
  readonly #options: HeldLockOptions
  readonly #lost = new AbortController()
  readonly #clocksApart = Date.now() - performance.now()
  #ttlMs: number
  #validUntil: number
  #timer: LongTimer | undefined
  #released: Promise<boolean> | undefined

  constructor(options: HeldLockOptions) {
    const { token, fence, lease, sentAt, ttlMs } = options
    this.#options = options
    this.token = token
    this.fence = fence
    this.source = lease.source
    this.#ttlMs = ttlMs
    this.#validUntil = validUntil(sentAt, ttlMs)
    this.#schedule()
  }

  get signal(): AbortSignal {
    return this.#lost.signal
  }

  async extend(ttl?: Duration): Promise<void> {
    if (ttl !== undefined) this.#ttlMs = durationMs('ttl', ttl, { minMs: minTtlMs }, InvalidInputError)
    const ttlMs = this.#ttlMs
    if (this.#lost.signal.aborted || this.#released !== undefined)
      throw this.#lost.signal.reason ?? this.#lostError('it was released')
    const sentAt = performance.now()
    if (!(await this.#options.lease.extend(ttlMs))) {
      this.#lose('another may hold it')
      throw this.#lost.signal.reason
    }
    this.#validUntil = validUntil(sentAt, ttlMs)
    this.#schedule()
  }

  release(): Promise<boolean> {
    this.#timer?.clear()
    const { lease } = this.#options
    this.#released ??= lease
      .release()
      .catch((error: unknown) => {
        // The ttl releases the lock then.
        if (UnavailableError.isInstance(error)) return false
        throw error
      })
      .finally(lease.end)
    return this.#released
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release()
  }

  #schedule(): void {
    this.#timer?.clear()
    if (this.#released !== undefined || this.#lost.signal.aborted) return
    const leftMs = this.#validUntil - performance.now()
    // After a third of the ttl, more often as the end comes nearer, and at the end itself.
    const delayMs = Math.max(1, Math.min(this.#ttlMs / 3, leftMs > 40 ? leftMs / 2 : leftMs))
    this.#timer = setLongTimeout(() => this.#tick(), delayMs)
  }

  #tick(): void {
    if (this.#released !== undefined || this.#lost.signal.aborted) return
    if (performance.now() >= this.#validUntil) return this.#lose('it was not renewed in time')
    if (Math.abs(Date.now() - performance.now() - this.#clocksApart) > clockJumpMs)
      return this.#lose('the clock jumped')
    // Scheduled before the renewal is answered: a renewal that hangs must not hide the end.
    this.#schedule()
    this.extend().catch(() => {})
  }

  #lose(why: string): void {
    this.#timer?.clear()
    if (this.#lost.signal.aborted) return
    this.#lost.abort(this.#lostError(why))
    this.#options.lease.end()
  }

  #lostError(why: string): EvenkeelError {
    return new EvenkeelError('LOCK_LOST', `The lock is lost: ${why}`)
  }
}

/** One per cent for clocks that run at different rates, and time to stop. */
function validUntil(sentAt: number, ttlMs: number): number {
  return sentAt + ttlMs - Math.max(ttlMs * 0.01, Math.min(50, ttlMs * 0.1))
}
