import { Ejection } from '../health/ejection.js'
import { ProbeRecord } from '../health/probe-record.js'
import type { Registration } from '../registry/port.js'
import type { DecoderNode } from './node.js'

/** How much one answer counts in a node's latency. */
const answerShare = 0.05
/** A failure makes a node seem slower by this power of what it is told to have taken. */
const failurePower = 0.5
/**
 * And it fades by this, sooner than what answers say: a node that failed once is asked again before long, so that it
 * either does well or is ejected, and does not stay in service, unused, as capacity that can't be relied on.
 */
const failureDecayMs = 30_000
/** Idle time after which a node is taken to be quicker by a factor of e, or it would never be tried again. */
const latencyDecayMs = 300_000
/** Time constant by which a node's report of others' requests loses its weight. */
const reportDecayMs = 2_500
/** The assumed latency of a node without a measurement. */
const unknownLatencyMs = 100
/** What a node that has just come back takes of its full share. */
const minShare = 0.1

/** A failure counts as an answer that took twice as long as the former ones, up to this. */
const slowestFailureMs = 60_000

export interface SlowStart {
  /** How long a node that comes (back) is given less than its share. */
  readonly slowStartMs: number
}

/** Who said last whether a node is healthy. */
export interface Judgement {
  readonly healthy: boolean
  /** The coordinator's id. */
  readonly by: string
  /** On the monotonic clock. */
  readonly at: number
}

/** What this coordinator knows of a node, beside its registration: its own requests, probes and outcomes. */
export class NodeState {
  // What a choice reads of each node that it looks at comes first and together: in a large pool every further line of
  // memory is a wait.
  /** This coordinator's own requests under way; exact. */
  inFlight = 0
  /** The node's own, kept at hand. */
  #capacity: number
  /** Requests of others, as the node last told. */
  #others = 0
  #failed = 0
  /** Whether it may take less than its share; `#warmUntil` says so exactly. */
  #mayWarm = false
  /** The node's own too, which it keeps for as long as it is registered. */
  readonly id: string
  #node: DecoderNode
  /** What probes say, its own or others'; a node is taken for healthy until one says otherwise. */
  healthy = true
  judgement: Judgement | undefined
  requests = 0
  readonly probes = new ProbeRecord()
  readonly ejection = new Ejection()
  /** It asked for nothing new until then. */
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

  /** The node's own, without a look at the node. */
  get capacity(): number {
    return this.#capacity
  }

  /** Requests under way, with `more` and what has just failed, by what the node takes at the moment. */
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

  /** Whether an answer has told how quick it is. */
  get knowsLatency(): boolean {
    return this.#latencyMs > 0
  }

  /**
   * Geometric mean of its answers in milliseconds, the newer ones counting more. Prompts differ by a factor of a
   * hundred, so that a sum, or a peak, tells what somebody asked and not how quick the node is. Failures make it
   * longer for a while. `otherwiseMs` is for a node that has not answered yet.
   */
  latencyAt(now: number, otherwiseMs = unknownLatencyMs): number {
    const slowdown = Math.exp(this.#slowdownLeft(now))
    if (!this.knowsLatency) return otherwiseMs * slowdown
    // Silence is no sign of speed, but an old word is no sign of slowness either.
    const fading = Math.exp(-Math.max(0, now - this.#latencyAt) / latencyDecayMs)
    return Math.max(1, this.#latencyMs * fading) * slowdown
  }

  /** Gives whether it is another version of the node. */
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

  /** Whether it has requests, and has of late answered some: then it may be too busy for a probe. */
  isBusy(now: number, withinMs: number): boolean {
    return (this.inFlight > 0 || this.#othersAt(now) >= 1) && now - this.workedAt <= withinMs
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

  /**
   * What fails at once leaves a node empty, which must not draw all others there: a failure counts as a request
   * that is under way about as long as an answer would have been.
   */
  #failedAt(now: number): number {
    if (this.#failed === 0) return 0
    return this.#failed * Math.max(0, 1 - (now - this.#lastFailedAt) / this.#failedForMs)
  }

  /** It has just come, or come back: its caches are cold. */
  warmsUp(now: number, { slowStartMs }: SlowStart): void {
    this.#warmFrom = now
    this.#warmUntil = now + slowStartMs
    this.#mayWarm = true
  }

  /** Gives whether it went into or out of service by this. */
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
   * A request failed. A quick failure is no quick answer: a node that fails at once must not draw all requests.
   * `typicalMs` is what an answer takes in this pool.
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

  /** A request was refused for what it is, after `tookMs`: load, for as long as an answer would have taken. */
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
