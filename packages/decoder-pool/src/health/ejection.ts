export type EjectionReason = 'failures' | 'success-rate' | 'latency' | 'refusals'

/**
 * What comes after an ejection: one request at a time shows whether the node works again. `'due'`: nobody has
 * asked for the permit; `'asked'`: it is asked for; `'open'`: the next request is the trial; `'busy'`: it is under way.
 */
export type Trial = 'none' | 'due' | 'asked' | 'open' | 'busy'

export interface EjectionTimes {
  readonly ejectForMs: number
  readonly ejectAtMostMs: number
}

/** Whether a node is out for what its requests came to. Times are those of the monotonic clock. */
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
  /** Why and until when another coordinator has it out; what it failed there, it need fail here only once. */
  #elsewhere: { readonly reason: EjectionReason; readonly until: number } | undefined
  /** When the permit for the trial ends, which others may take then. */
  permitUntil = Number.POSITIVE_INFINITY
  #count = 0
  /** Since when it is back. */
  #goodSince: number | undefined

  /** Ejections that are not yet made good. */
  countAt(now: number, { ejectForMs }: EjectionTimes): number {
    if (this.#goodSince === undefined) return this.#count
    // A good period lowers the count, as a bad one raised it (Envoy).
    return Math.max(0, this.#count - Math.floor((now - this.#goodSince) / ejectForMs))
  }

  /** Another coordinator has ejected it until then. */
  outElsewhere(reason: EjectionReason, until: number): void {
    this.#elsewhere = { reason, until }
  }

  /** How many failures of this kind in a row take it out: `usual`, or one where another coordinator says the same. */
  neededFor(reason: EjectionReason, usual: number, now: number): number {
    const isConfirmed = this.#elsewhere?.reason === reason && now < this.#elsewhere.until
    return isConfirmed ? 1 : usual
  }

  isOver(now: number): boolean {
    return now >= this.until
  }

  /** Whether the node is out, its trial apart. */
  blocks(now: number): boolean {
    return !this.isOver(now) || (this.trial !== 'none' && this.trial !== 'open')
  }

  /** Ejects for the first time's length times the count, up to the most, with a tenth of jitter. */
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

  /** It has done well: that outweighs what others say. */
  didWell(): void {
    this.#elsewhere = undefined
    this.forgetFailures()
  }

  forgetFailures(): void {
    this.failures = 0
    this.refusals = 0
    this.contradictions = 0
  }

  /** The node works: it is back. What it did counts until a good period is over. */
  end(now: number): void {
    this.#goodSince = now
    this.until = Math.min(this.until, now)
    this.trial = 'none'
    this.reason = undefined
    this.didWell()
  }
}
