/** `'timeout'`: no answer in time, which a busy node may give as well as a dead one. */
export type ProbeOutcome = 'ok' | 'failed' | 'timeout'

export interface ProbeThresholds {
  readonly unhealthyAfter: number
  readonly healthyAfter: number
}

/** Weight of a timeout, as a part of a failure, if the node answers requests: it may only be busy. */
const busyTimeoutWeight = 1 / 3

/** What this coordinator's own probes say of a node. Times are those of the monotonic clock. */
export class ProbeRecord {
  /** `undefined` until enough probes agree. */
  healthy: boolean | undefined
  /** When the last probe ended. */
  at = Number.NEGATIVE_INFINITY
  /** When the present row of failed, or of answered, probes began. */
  since = 0
  /** The answer to the last probe, or why there was none. */
  reason: string | undefined
  #failures = 0
  #successes = 0
  #failingSince: number | undefined

  /** Whether the last probe was answered. */
  get answers(): boolean {
    return this.#successes > 0
  }

  /** Since when no probe has been answered; `undefined` if the last one was. */
  get failingSince(): number | undefined {
    return this.#failingSince
  }

  /** Whether the last probes contradict the verdict, so that a few more will decide. */
  get isUndecided(): boolean {
    if (this.healthy === undefined) return this.#failures > 0
    return this.healthy ? this.#failures > 0 : this.#successes > 0
  }

  note(outcome: ProbeOutcome, isBusy: boolean, now: number, thresholds: ProbeThresholds): void {
    const ok = outcome === 'ok'
    if (ok !== this.answers || this.at === Number.NEGATIVE_INFINITY) this.since = now
    this.at = now
    const weight = outcome === 'timeout' && isBusy ? busyTimeoutWeight : 1
    this.#failures = ok ? 0 : this.#failures + weight
    this.#successes = ok ? this.#successes + 1 : 0
    this.#failingSince = ok ? undefined : (this.#failingSince ?? now)
    // Three thirds must count as one, despite floating point.
    if (this.#failures + 1e-9 >= thresholds.unhealthyAfter) this.healthy = false
    else if (ok && this.#mayBeHealthy(thresholds)) this.healthy = true
  }

  /** A node that was not unhealthy needs only one answered probe. */
  #mayBeHealthy({ healthyAfter }: ProbeThresholds): boolean {
    return this.healthy !== false || this.#successes >= healthyAfter
  }
}
