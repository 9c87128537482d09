import { EvenkeelError, InvalidInputError, UnavailableError } from '../errors.js'
import { type Duration, durationMs } from '../kit/duration.js'
import { type LongTimer, setLongTimeout } from '../kit/timers.js'
import { minTtlMs } from './options.js'

/** A lock that is held. `await using` releases it. */
export interface Lock extends AsyncDisposable {
  readonly token: string
  /**
   * Grows with every holder of the resource. A resource that refuses a lower fence than it has seen is safe
   * from a holder that was paused beyond its ttl.
   */
  readonly fence: number
  /** Aborts the moment the lock may have been lost, before the server lets another have it. */
  readonly signal: AbortSignal
  /** `'redis'`, or `'memory'` for one that excludes only this process. */
  readonly source: 'redis' | 'memory'
  /**
   * Renews now, and from now on, by the ttl or another one; it is renewed by itself at a third of its ttl.
   * @throws EvenkeelError `LOCK_LOST`
   */
  extend(ttl?: Duration): Promise<void>
  /** Gives it back; says whether it was still held. May be called again. */
  release(): Promise<boolean>
}

/** The lock, or for how long it is held by another at most. */
export type Attempt = { readonly lock: Lock } | { readonly heldForMs: number }

/** What keeps a lock: the server, or this process. */
export interface Lease {
  readonly source: 'redis' | 'memory'
  /** `false` when it is not ours any more. */
  extend(ttlMs: number): Promise<boolean>
  release(): Promise<boolean>
  /** It is over: released, or its holder knows of its loss. */
  end(): void
}

interface HeldLockOptions {
  readonly token: string
  readonly fence: number
  readonly ttlMs: number
  /** When the request was sent that took it: the server's ttl began no earlier. */
  readonly sentAt: number
  readonly lease: Lease
}

/** The two clocks may differ by this much before the machine is taken to have slept. */
const clockJumpMs = 250

/**
 * A lock in this process's hands. Its time is judged here: by the monotonic clock from before the request
 * was sent, less a margin, so that it is over here before it is over at the server. A renewal whose answer
 * was lost changes nothing. The monotonic clock stands still while a machine sleeps, so a wall clock that
 * ran ahead of it ends the lock too.
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
        // Its ttl releases it then.
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
    // A third of the ttl, and as the end comes nearer more often; then the moment of the end itself.
    const delayMs = Math.max(1, Math.min(this.#ttlMs / 3, leftMs > 40 ? leftMs / 2 : leftMs))
    this.#timer = setLongTimeout(() => this.#tick(), delayMs)
  }

  #tick(): void {
    if (this.#released !== undefined || this.#lost.signal.aborted) return
    if (performance.now() >= this.#validUntil) return this.#lose('it was not renewed in time')
    if (Math.abs(Date.now() - performance.now() - this.#clocksApart) > clockJumpMs)
      return this.#lose('the clock jumped')
    // Not awaited before the next look: a renewal that hangs must not hide the end.
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
