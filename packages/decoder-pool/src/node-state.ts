import type { DecoderNode } from './node.js'
import type { Registration } from './store.js'

/** Ejections grow from this to {@link maxEjectionMs}. */
const minEjectionMs = 1_000
const maxEjectionMs = 60_000
/** How much one answer counts in a node's latency. */
const answerShare = 0.05
/** And how much one failure. */
const failureShare = 0.5
/** A node that was not used for so long is taken for quicker by a factor of e, or it would never be tried again. */
const latencyDecayMs = 300_000
/** What a node told of others' requests counts less and less, by this. */
const reportDecayMs = 10_000
/** A node that was never heard of is taken for as quick as this. */
const unknownLatencyMs = 100
/** What a node that has just come back takes of its full share. */
const leastShare = 0.1

export interface Thresholds {
  readonly unhealthyAfter: number
  readonly healthyAfter: number
  readonly ejectAfter: number
  /** How long a node that comes (back) is given less than its share. */
  readonly slowStartMs: number
}

/** What this coordinator knows of a node, beside its registration: its own requests, probes and outcomes. */
export class NodeState {
  /** This coordinator's own requests under way; exact. */
  inFlight = 0
  /** What probes say; a node is taken for healthy until one says otherwise. */
  healthy = true
  requests = 0
  /** When this coordinator first knew of it, on the monotonic clock. */
  readonly joinedAt: number
  #registration: Registration
  #failingSince: number | undefined
  #probeFailures = 0
  #probeSuccesses = 0
  #failures = 0
  #ejections = 0
  #ejectedUntil = 0
  #warmFrom = 0
  #warmUntil = 0
  /** Requests of others, as the node last told. */
  #others = 0
  #reportedAt = 0
  #latencyMs = 0
  #latencyAt = 0

  constructor(registration: Registration, now: number) {
    this.#registration = registration
    this.joinedAt = now
  }

  get node(): DecoderNode {
    return this.#registration.node
  }

  /** On the monotonic clock; in the past for a node that is not ejected. */
  get ejectedUntil(): number {
    return this.#ejectedUntil
  }

  /** Requests under way, with `more`, by what the node takes at the moment. */
  loadAt(now: number, more = 0): number {
    const load = (this.inFlight + this.#othersAt(now) + more) / this.#registration.node.capacity
    if (now >= this.#warmUntil) return load
    const share = Math.max(leastShare, (now - this.#warmFrom) / (this.#warmUntil - this.#warmFrom))
    return load / share
  }

  /** Whether an answer or a failure has told how quick it is. */
  get knowsLatency(): boolean {
    return this.#latencyMs > 0
  }

  /**
   * Geometric mean of its answers in milliseconds, the newer ones counting more. Prompts differ by a factor of a
   * hundred, so that a sum, or a peak, tells what somebody asked and not how quick the node is.
   */
  latencyAt(now: number): number {
    if (!this.knowsLatency) return unknownLatencyMs
    // Silence is no sign of speed, but an old word is no sign of slowness either.
    return Math.max(1, this.#latencyMs * Math.exp(-Math.max(0, now - this.#latencyAt) / latencyDecayMs))
  }

  /** Whether the last probe was answered. */
  get answers(): boolean {
    return this.#probeSuccesses > 0
  }

  /** Gives whether it is another version of the node. */
  update(registration: Registration): boolean {
    const isNew = registration.revision !== this.#registration.revision
    this.#registration = registration
    return isNew
  }

  isEjected(now: number): boolean {
    return now < this.#ejectedUntil
  }

  /** What the node says it has under way; what of it is not this coordinator's own is others'. */
  reported(now: number, underWay: number): void {
    this.#others = Math.max(0, underWay - this.inFlight)
    this.#reportedAt = now
  }

  /** An old report fades, rather than steer for ever. */
  #othersAt(now: number): number {
    if (this.#others === 0) return 0
    return this.#others * Math.exp(-Math.max(0, now - this.#reportedAt) / reportDecayMs)
  }

  /** It has just come, or come back: its caches are cold. */
  warmsUp(now: number, { slowStartMs }: Pick<Thresholds, 'slowStartMs'>): void {
    this.#warmFrom = now
    this.#warmUntil = now + slowStartMs
  }

  /** For how long no probe has been answered. */
  failingForMs(now: number): number {
    return this.#failingSince === undefined ? 0 : now - this.#failingSince
  }

  /** Gives whether it went into or out of service by this. */
  probed(ok: boolean, now: number, thresholds: Thresholds): boolean {
    const before = this.healthy
    this.#probeFailures = ok ? 0 : this.#probeFailures + 1
    this.#probeSuccesses = ok ? this.#probeSuccesses + 1 : 0
    this.#failingSince = ok ? undefined : (this.#failingSince ?? now)
    if (this.#probeFailures >= thresholds.unhealthyAfter) this.healthy = false
    else if (this.#probeSuccesses >= thresholds.healthyAfter) this.healthy = true
    if (this.healthy && !before) this.warmsUp(now, thresholds)
    return this.healthy !== before
  }

  /** Silence before this moment shall not count against the node. */
  failsOnlySince(now: number): void {
    if (this.#failingSince !== undefined) this.#failingSince = now
  }

  /** Outcomes of real requests: several failures in a row take it out, for twice as long each time. */
  succeeded(now: number, latencyMs: number | undefined): void {
    this.#failures = 0
    this.#ejections = 0
    if (latencyMs !== undefined) this.#noteLatency(now, latencyMs, answerShare)
  }

  /** Gives for how many milliseconds it is ejected by this; `0` when it is not. */
  failed(now: number, { ejectAfter, slowStartMs }: Thresholds): number {
    this.#failures++
    // A quick failure is no quick answer: a node that fails at once must not draw all requests.
    this.#noteLatency(now, Math.max(2 * this.latencyAt(now), unknownLatencyMs), failureShare)
    if (this.#failures < ejectAfter || this.isEjected(now)) return 0
    const ejectedMs = Math.min(maxEjectionMs, minEjectionMs * 2 ** this.#ejections)
    this.#ejectedUntil = now + ejectedMs
    this.warmsUp(this.#ejectedUntil, { slowStartMs })
    this.#ejections++
    // After the ejection one failure suffices: the next request is its trial.
    this.#failures = ejectAfter - 1
    return ejectedMs
  }

  #noteLatency(now: number, latencyMs: number, share: number): void {
    const told = Math.max(1, latencyMs)
    this.#latencyMs = this.knowsLatency ? this.#latencyMs * (told / this.#latencyMs) ** share : told
    this.#latencyAt = now
  }
}
