import { Ejection } from '../health/ejection.js'
import { ProbeRecord } from '../health/probe-record.js'
import type { Registration } from '../registry/port.js'
import type { DecoderNode } from './node.js'

/** How much one answer counts in a node's latency. */
const answerShare = 0.05
/** A failure multiplies a node's latency by this power of (time that the failure counts as / latency before). */
const failurePower = 0.5
/**
 * Time constant by which that fades. It is shorter than that of answers, so that a node that failed once soon gets
 * requests again, and either does well or is ejected; otherwise it would stay in service as capacity that is not used.
 */
const failureDecayMs = 30_000
/** Idle time after which a node counts as quicker by a factor of e; otherwise a slow one would never be tried again. */
const latencyDecayMs = 300_000
/** Time constant by which a node's report of others' requests loses its weight. */
const reportDecayMs = 2_500
/** The assumed latency of a node without a measurement. */
const unknownLatencyMs = 100
/** The part of its full share that a new or recovered node gets at first. */
const minShare = 0.1

/** A failure counts as an answer that took twice as long as the former ones, up to this. */
const slowestFailureMs = 60_000

export interface SlowStart {
  /** How long a new or recovered node gets less than its share. */
  readonly slowStartMs: number
}

/** The last verdict about a node's health. */
export interface Judgement {
  readonly healthy: boolean
  /** The coordinator's id. */
  readonly by: string
  /** On the monotonic clock. */
  readonly at: number
}

/** What this coordinator knows of a node, beside its registration: its own requests, probes and outcomes. */
export class NodeState {
  // The fields that a choice reads of each compared node come first and together, because in a large pool each further
  // cache line is a wait.
  /** This coordinator's own requests in flight; exact. */
  inFlight = 0
  /** The node's capacity, copied for fast access. */
  #capacity: number
  /** Requests of others, as last reported. */
  #others = 0
  #failed = 0
  /** Whether it may take less than its share; `#warmUntil` says so exactly. */
  #mayWarm = false
  /** The node's id, also copied; it does not change. */
  readonly id: string
  #node: DecoderNode
  /** What probes of this or other coordinators say. A node counts as healthy until they say otherwise. */
  healthy = true
  judgement: Judgement | undefined
  requests = 0
  readonly probes = new ProbeRecord()
  readonly ejection = new Ejection()
  /** Until then, the node gets no new requests, because it pushed back. */
  pushedBackUntil = 0
  /** When a request or probe of this coordinator was last answered. */
  workedAt = Number.NEGATIVE_INFINITY
  /** When this coordinator first knew of it, on the monotonic clock. */
  readonly joinedAt: number
  #revision: number
  #warmFrom = 0
  #warmUntil = 0
  #reportedAt = 0
  #failedForMs = unknownLatencyMs
  #lastFailedAt = 0
  #latencyMs = 0
  #latencyAt = 0
  /** Logarithm of the factor by which failures make it slower. */
  #slowdown = 0
  #slowdownAt = 0

  constructor(registration: Registration, now: number) {
    this.id = registration.node.id
    this.#node = registration.node
    this.#revision = registration.revision
    this.#capacity = registration.node.capacity
    this.joinedAt = now
  }

  get node(): DecoderNode {
    return this.#node
  }

  /** The node's capacity, without access to the node. */
  get capacity(): number {
    return this.#capacity
  }

  /** Requests in flight, `more` and recent failures, divided by what the node can take now. */
  loadAt(now: number, more = 0): number {
    const load = (this.inFlight + this.#othersAt(now) + this.#failedAt(now) + more) / this.#capacity
    if (!this.#mayWarm) return load
    if (now >= this.#warmUntil) {
      this.#mayWarm = false
      return load
    }
    const share = Math.max(minShare, (now - this.#warmFrom) / (this.#warmUntil - this.#warmFrom))
    return load / share
  }

  /** Whether an answer has shown how quick the node is. */
  get knowsLatency(): boolean {
    return this.#latencyMs > 0
  }

  /**
   * Geometric mean of the node's answers in milliseconds; newer ones count more. Prompts differ by a factor of a
   * hundred, so a sum or a peak would show what was asked, not how quick the node is. Failures make it longer for a
   * while. `otherwiseMs` is for a node that has not answered yet.
   */
  latencyAt(now: number, otherwiseMs = unknownLatencyMs): number {
    const slowdown = Math.exp(this.#slowdownLeft(now))
    if (!this.knowsLatency) return otherwiseMs * slowdown
    // An old measurement does not prove that the node is still slow.
    const fading = Math.exp(-Math.max(0, now - this.#latencyAt) / latencyDecayMs)
    return Math.max(1, this.#latencyMs * fading) * slowdown
  }

  /** Returns whether the revision is another one. */
  update(registration: Registration): boolean {
    const isNew = registration.revision !== this.#revision
    this.#revision = registration.revision
    this.#node = registration.node
    this.#capacity = registration.node.capacity
    return isNew
  }

  /** Healthy, and neither ejected nor waiting for a trial to end. */
  isServing(now: number): boolean {
    return this.healthy && !this.ejection.blocks(now)
  }

  isWarming(now: number): boolean {
    return now < this.#warmUntil
  }

  /** Whether it has requests and has recently answered some, so that it may be too busy for a probe. */
  isBusy(now: number, withinMs: number): boolean {
    return (this.inFlight > 0 || this.#othersAt(now) >= 1) && now - this.workedAt <= withinMs
  }

  /** Records how many requests the node has in flight; those that are not this coordinator's are others'. */
  reported(now: number, underWay: number): void {
    this.#others = Math.max(0, underWay - this.inFlight)
    this.#reportedAt = now
  }

  /** An old report fades, so that it does not influence choices for ever. */
  #othersAt(now: number): number {
    if (this.#others === 0) return 0
    return this.#others * Math.exp(-Math.max(0, now - this.#reportedAt) / reportDecayMs)
  }

  /**
   * Requests that fail at once leave a node empty, which must not attract all others: so a failure counts as a request
   * in flight for about as long as an answer would have taken.
   */
  #failedAt(now: number): number {
    if (this.#failed === 0) return 0
    return this.#failed * Math.max(0, 1 - (now - this.#lastFailedAt) / this.#failedForMs)
  }

  /** The node is new or back, so its caches are cold. */
  warmsUp(now: number, { slowStartMs }: SlowStart): void {
    this.#warmFrom = now
    this.#warmUntil = now + slowStartMs
    this.#mayWarm = true
  }

  /** Returns whether this changed the node's health. */
  judged(judgement: Judgement, now: number, slowStart: SlowStart): boolean {
    const before = this.healthy
    this.judgement = judgement
    this.healthy = judgement.healthy
    if (this.healthy && !before) this.warmsUp(now, slowStart)
    return this.healthy !== before
  }

  /** A request was answered. */
  succeeded(now: number, latencyMs: number): void {
    this.workedAt = now
    this.#noteLatency(now, latencyMs)
  }

  /**
   * A request failed. A quick failure does not count as a quick answer, because a node that fails at once must not
   * attract all requests. `typicalMs` is what an answer takes in this pool.
   */
  failed(now: number, typicalMs = unknownLatencyMs): void {
    const before = this.latencyAt(now)
    this.#countFailed(now, Math.max(before, typicalMs))
    const told = Math.max(before, unknownLatencyMs, Math.min(slowestFailureMs, 2 * before))
    this.#slowdown = this.#slowdownLeft(now) + failurePower * Math.log(told / before)
    this.#slowdownAt = now
  }

  #slowdownLeft(now: number): number {
    return this.#slowdown * Math.exp(-Math.max(0, now - this.#slowdownAt) / failureDecayMs)
  }

  /** A request was refused after `tookMs`. It counts as load for as long as an answer would have taken. */
  refused(now: number, tookMs: number, typicalMs = unknownLatencyMs): void {
    const forMs = Math.max(this.latencyAt(now), typicalMs)
    if (tookMs < forMs) this.#countFailed(now, forMs)
  }

  #countFailed(now: number, forMs: number): void {
    this.#failed = Math.min(this.#capacity, this.#failedAt(now) + 1)
    this.#failedForMs = Math.max(forMs, unknownLatencyMs)
    this.#lastFailedAt = now
  }

  #noteLatency(now: number, latencyMs: number): void {
    const told = Math.max(1, latencyMs)
    this.#latencyMs = this.knowsLatency ? this.#latencyMs * (told / this.#latencyMs) ** answerShare : told
    this.#latencyAt = now
  }
}
