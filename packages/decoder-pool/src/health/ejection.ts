export type EjectionReason = 'failures' | 'success-rate' | 'latency' | 'refusals'

/**
 * What comes after an ejection: one request at a time shows whether the node works again. `'due'`: the permit was not
 * requested yet; `'asked'`: it was requested; `'open'`: the next request is the trial; `'busy'`: that is in flight.
 */
export type Trial = 'none' | 'due' | 'asked' | 'open' | 'busy'

export interface EjectionTimes {
  readonly ejectForMs: number
  readonly ejectAtMostMs: number
}

/** Whether a node is ejected because of its requests. Times are those of the monotonic clock. */
export class Ejection {
  trial: Trial = 'none'
  reason: EjectionReason | undefined
  /** In the past for a node that is not ejected. */
  until = 0
  /** Failed requests in a row. */
  failures = 0
  /** Requests in a row that it refused as if their callers were wrong (401, 403, 404). */
  refusals = 0
  /** Of these, how many another node then served. */
  contradictions = 0
  /** Why and until when another coordinator has ejected it. One such failure here is then enough. */
  #elsewhere: { readonly reason: EjectionReason; readonly until: number } | undefined
  /** When the permit for the trial ends, which others may take then. */
  permitUntil = Number.POSITIVE_INFINITY
  #count = 0
  /** Since when the node is back. */
  #goodSince: number | undefined

  /** Number of ejections that still count. */
  countAt(now: number, { ejectForMs }: EjectionTimes): number {
    if (this.#goodSince === undefined) return this.#count
    // A good period lowers the count, as a bad one raised it (Envoy).
    return Math.max(0, this.#count - Math.floor((now - this.#goodSince) / ejectForMs))
  }

  /** Another coordinator has ejected it until then. */
  outElsewhere(reason: EjectionReason, until: number): void {
    this.#elsewhere = { reason, until }
  }

  /** Failures in a row that eject: `usual`, or 1 if another coordinator has ejected the node for the same reason. */
  neededFor(reason: EjectionReason, usual: number, now: number): number {
    const isConfirmed = this.#elsewhere?.reason === reason && now < this.#elsewhere.until
    return isConfirmed ? 1 : usual
  }

  isOver(now: number): boolean {
    return now >= this.until
  }

  /** Whether the node gets no request, not even a trial. */
  blocks(now: number): boolean {
    return !this.isOver(now) || (this.trial !== 'none' && this.trial !== 'open')
  }

  /** Ejects for `ejectForMs` times the count, up to `ejectAtMostMs`, with a tenth of jitter. */
  eject(now: number, reason: EjectionReason, times: EjectionTimes, random: number): void {
    this.#count = this.countAt(now, times) + 1
    const lengthMs = Math.min(times.ejectAtMostMs, times.ejectForMs * this.#count) * (0.9 + random * 0.2)
    this.#goodSince = undefined
    // Of two ejections the later end counts.
    this.until = Math.max(this.until, now + lengthMs)
    this.reason = reason
    this.trial = 'due'
    this.forgetFailures()
  }

  /** A request went well, which outweighs what others say. */
  didWell(): void {
    this.#elsewhere = undefined
    this.forgetFailures()
  }

  forgetFailures(): void {
    this.failures = 0
    this.refusals = 0
    this.contradictions = 0
  }

  /** The node works, and is back. Its ejections count until it has been good for a while. */
  end(now: number): void {
    this.#goodSince = now
    this.until = Math.min(this.until, now)
    this.trial = 'none'
    this.reason = undefined
    this.didWell()
  }
}
