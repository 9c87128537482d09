import { createLog } from '@evenkeel/core/kit'
import { isHttpRefusal, isNodeRefusal, type Outcome, type Phase } from '../dispatch/outcome.js'
import type { NodeState } from '../nodes/node-state.js'
import type { ResolvedOptions } from '../options.js'
import type { EjectionReason } from './ejection.js'
import { Outliers } from './outliers.js'
import { Refusals } from './refusals.js'
import { TypicalLatency } from './typical-latency.js'

const log = createLog('decoder-pool')

/** At most this part of the pool, or one node, is ejected by comparison: what many share is not a node's fault. */
const maxByComparison = 0.1
/** The longest push-back that is respected. */
const maxPushBackMs = 300_000
/** A trial that takes longer than this is not waited for. */
const maxTrialMs = 60_000
/** A permit for which its holder has no request is returned after this time, or after `ejectFor` if that is shorter. */
const maxIdleMs = 10_000
/** A coordinator that was refused the permit asks again after this part of the first ejection. */
const permitRetryShare = 0.1

export interface Permits {
  /** Whether permits are shared; otherwise each coordinator gives its own at once. */
  readonly isShared: boolean
  takeTrial(node: string, ttlMs: number): Promise<boolean>
  giveTrial(node: string): Promise<void>
  /** Tells the other coordinators why a node is ejected here, and for how long. */
  tellEjected(ejected: EjectedElsewhere): void
}

/** Another coordinator's message that it has ejected a node. */
export interface EjectedElsewhere {
  readonly node: string
  readonly reason: EjectionReason
  readonly forMs: number
}

export interface EjectorHost {
  readonly permits: Permits
  states(): readonly NodeState[]
  stateOf(id: string): NodeState | undefined
  /** A node went out of service or came back. */
  serviceChanged(): void
  /** A waiting request may be served now. */
  serve(): void
}

/** Ejects nodes because of the outcomes of their requests, and brings them back by one trial at a time. */
export class Ejector {
  readonly #options: ResolvedOptions
  readonly #host: EjectorHost
  readonly #outliers: Outliers
  readonly #idleMs: number
  /** One for each node whose state changes at a known time. */
  readonly #timers = new Map<NodeState, NodeJS.Timeout>()
  /** Ejections by reason. */
  readonly counts: Record<EjectionReason, number> = {
    failures: 0,
    'success-rate': 0,
    latency: 0,
    refusals: 0,
  }
  readonly #refusals = new Refusals()
  readonly #typical = new TypicalLatency()
  #closed = false

  constructor(options: ResolvedOptions, host: EjectorHost) {
    this.#options = options
    this.#host = host
    this.#outliers = new Outliers(options.outliers)
    this.#idleMs = Math.min(maxIdleMs, options.outliers.ejectForMs)
  }

  close(): void {
    this.#closed = true
    for (const timer of this.#timers.values()) clearTimeout(timer)
    this.#timers.clear()
    for (const { node, ejection } of this.#host.states()) {
      if (ejection.trial === 'open' || ejection.trial === 'busy') this.#giveBack(node.id)
    }
  }

  /** A request is given to the node. */
  began(state: NodeState, now: number): Phase {
    const { ejection } = state
    if (ejection.trial === 'none') return 'serving'
    if (!ejection.isOver(now) || ejection.trial !== 'open') return 'panic'
    ejection.trial = 'busy'
    ejection.permitUntil = now + maxTrialMs
    this.#watch(state, now)
    this.#host.serviceChanged()
    return 'trial'
  }

  /** Recent milliseconds until the first bytes of an answer in this pool; `undefined` before the first answer. */
  typicalMs(): number | undefined {
    return this.#typical.ms
  }

  /** A request has ended. */
  ended(state: NodeState, phase: Phase, outcome: Outcome, now: number, tookMs: number): void {
    const { ok, error, retryAfterMs, latencyMs } = outcome
    if (retryAfterMs !== undefined) this.#pushedBack(state, retryAfterMs, now)
    const isNeutral = retryAfterMs !== undefined || (ok && error !== undefined)
    const refused = isNeutral && retryAfterMs === undefined && isHttpRefusal(error)
    const isDenial = refused && isNodeRefusal(error)
    if (phase === 'trial') this.#tried(state, verdictOf(state, isNeutral, isDenial, ok), now)
    if (refused) this.#refused(state, phase, isDenial, now, tookMs)
    // A quick refusal is not a quick answer, and a caller that errs or leaves says nothing about the node.
    if (isNeutral) return
    const latency = latencyMs ?? tookMs
    if (ok) this.#succeeded(state, phase, now, latency)
    else if (phase === 'serving') this.#failed(state, now)
    else state.failed(now, this.#typical.ms)
    // An ejected node is not compared, because its earlier outcomes were judged already.
    if (phase !== 'serving' || state.ejection.trial !== 'none') return
    for (const { id, reason } of this.#outliers.note(state.node.id, ok, latency, now)) {
      const outlier = this.#host.stateOf(id)
      if (outlier?.ejection.trial === 'none' && this.#mayCompare(now)) this.#eject(outlier, reason, now)
    }
  }

  /** Another node served a request that this one refused as if the caller were wrong. */
  contradicted(id: string, now: number): void {
    const state = this.#host.stateOf(id)
    if (state === undefined || state.ejection.trial !== 'none') return
    const { ejection } = state
    ejection.contradictions++
    if (ejection.contradictions >= this.#needed(state, 'refusals', now)) this.#eject(state, 'refusals', now)
  }

  /**
   * Another coordinator has ejected the node. That alone does not eject it here, because only the path from there may
   * be broken. But one failure of the same kind here, before or after, is then enough.
   */
  ejectedElsewhere({ node, reason, forMs }: EjectedElsewhere, now: number): void {
    const state = this.#host.stateOf(node)
    if (state === undefined) return
    const { ejection } = state
    ejection.outElsewhere(reason, now + Math.min(forMs, this.#options.outliers.ejectAtMostMs))
    const had =
      reason === 'failures' ? ejection.failures : Math.max(ejection.refusals, ejection.contradictions)
    const isMeant = reason === 'failures' || reason === 'refusals'
    if (isMeant && had > 0 && ejection.trial === 'none') this.#eject(state, reason, now)
  }

  #needed({ ejection }: NodeState, reason: EjectionReason, now: number): number {
    return ejection.neededFor(reason, this.#options.ejectAfter, now)
  }

  #refused(state: NodeState, phase: Phase, isDenial: boolean, now: number, tookMs: number): void {
    state.refused(now, tookMs, this.#typical.ms)
    if (!isDenial) return
    this.#refusals.note(state.node.id, true, now)
    if (phase !== 'serving' || state.ejection.trial !== 'none') return
    const { ejection } = state
    ejection.refusals++
    if (ejection.refusals < this.#needed(state, 'refusals', now)) return
    const isConfirmed = ejection.refusals < this.#options.ejectAfter
    if (isConfirmed || this.#refusals.isAlone(state.node.id, ejection.refusals)) {
      this.#eject(state, 'refusals', now)
    }
  }

  /** An ejection is over, and a request could use the node: its trial may begin. */
  trialDue(state: NodeState, now: number): void {
    const { ejection, node } = state
    if (ejection.trial !== 'due' || !ejection.isOver(now) || this.#closed) return
    if (!this.#host.permits.isShared) {
      ejection.trial = 'open'
      ejection.permitUntil = Number.POSITIVE_INFINITY
      return
    }
    ejection.trial = 'asked'
    void this.#host.permits
      .takeTrial(node.id, maxTrialMs)
      .catch((error) => {
        log('no permit to try %s: %s', node.id, error)
        return false
      })
      .then((isTaken) => this.#answered(state, isTaken))
  }

  #answered(state: NodeState, isTaken: boolean): void {
    const { ejection, node } = state
    if (this.#closed || ejection.trial !== 'asked') {
      if (isTaken) this.#giveBack(node.id)
      return
    }
    const now = this.#options.clock.monotonic()
    if (isTaken) {
      ejection.trial = 'open'
      ejection.permitUntil = now + this.#idleMs
    } else this.#askLater(state, now)
    this.#watch(state, now)
    this.#wake()
  }

  #succeeded(state: NodeState, phase: Phase, now: number, latencyMs: number): void {
    state.succeeded(now, latencyMs)
    this.#typical.note(latencyMs)
    this.#refusals.note(state.node.id, false, now)
    if (phase === 'serving') state.ejection.didWell()
    // The node was used because most nodes are out, and did well, which is as good as a trial.
    if (phase === 'panic' && state.ejection.trial !== 'none') this.#back(state, now)
  }

  #failed(state: NodeState, now: number): void {
    state.failed(now, this.#typical.ms)
    const { ejection } = state
    // A request from before the ejection says nothing new.
    if (ejection.trial !== 'none') return
    ejection.failures++
    if (ejection.failures >= this.#needed(state, 'failures', now)) this.#eject(state, 'failures', now)
  }

  #tried(state: NodeState, ok: boolean | undefined, now: number): void {
    const { ejection, node } = state
    if (ejection.trial !== 'busy') return
    if (ok === undefined) {
      ejection.trial = 'open'
      ejection.permitUntil = now + this.#idleMs
      this.#watch(state, now)
      this.#host.serviceChanged()
      return
    }
    this.#giveBack(node.id)
    if (ok) this.#back(state, now)
    else {
      // The node already counts among the ejected ones, so their limit does not apply.
      ejection.trial = 'none'
      this.#eject(state, ejection.reason ?? 'failures', now, true)
    }
  }

  #back(state: NodeState, now: number): void {
    log('node %s is back', state.node.id)
    state.ejection.end(now)
    state.warmsUp(now, this.#options)
    this.#host.serviceChanged()
  }

  #eject(state: NodeState, reason: EjectionReason, now: number, isAgain = false): void {
    const { outliers, random } = this.#options
    const { ejection, node } = state
    if (this.#closed || (!isAgain && !this.#mayEject())) return
    ejection.eject(now, reason, outliers, random())
    this.counts[reason]++
    const forMs = ejection.until - now
    log('node %s is ejected for %d ms: %s', node.id, forMs, reason)
    this.#host.permits.tellEjected({ node: node.id, reason, forMs })
    this.#host.serviceChanged()
    this.#watch(state, now)
  }

  /** At most half of the pool is ejected: if more nodes fail, the problem is probably this coordinator's own. */
  #mayEject(): boolean {
    const states = this.#host.states()
    const ejected = states.filter(({ ejection }) => ejection.trial !== 'none').length
    return (ejected + 1) * 2 <= states.length
  }

  #mayCompare(now: number): boolean {
    const states = this.#host.states()
    const most = Math.max(1, Math.floor(states.length * maxByComparison))
    const compared = states.filter(({ ejection }) => !ejection.isOver(now) && ejection.reason !== 'failures')
    return compared.length < most
  }

  #pushedBack(state: NodeState, retryAfterMs: number, now: number): void {
    const isNew = state.pushedBackUntil <= now
    const waitMs = Math.min(maxPushBackMs, Math.max(0, retryAfterMs))
    state.pushedBackUntil = Math.max(state.pushedBackUntil, now + waitMs)
    if (!isNew) return
    this.#host.serviceChanged()
    this.#watch(state, now)
  }

  /** Sets a timer for the node's next change, since a request may wait for it. Timers fire up to 1 ms early. */
  #watch(state: NodeState, now: number): void {
    const { ejection, pushedBackUntil } = state
    const isPermitted = ejection.trial === 'open' || ejection.trial === 'busy'
    const permitUntil = isPermitted ? ejection.permitUntil : Number.POSITIVE_INFINITY
    const moments = [ejection.until, pushedBackUntil, permitUntil].filter((moment) => moment > now)
    const next = Math.min(...moments)
    clearTimeout(this.#timers.get(state))
    this.#timers.delete(state)
    if (this.#closed || !Number.isFinite(next)) return
    const timer = setTimeout(() => this.#due(state), next - now + 1)
    timer.unref()
    this.#timers.set(state, timer)
  }

  #due(state: NodeState): void {
    const now = this.#options.clock.monotonic()
    const { ejection } = state
    const isHeld = ejection.trial === 'open' || ejection.trial === 'busy'
    if (isHeld && now >= ejection.permitUntil) {
      // The permit was not used, or the trial does not end: another coordinator may try.
      this.#giveBack(state.node.id)
      this.#askLater(state, now)
    } else this.trialDue(state, now)
    this.#watch(state, now)
    this.#wake()
  }

  #wake(): void {
    this.#host.serviceChanged()
    this.#host.serve()
  }

  #askLater({ ejection }: NodeState, now: number): void {
    ejection.trial = 'due'
    ejection.until = now + this.#options.outliers.ejectForMs * permitRetryShare
  }

  #giveBack(id: string): void {
    if (!this.#host.permits.isShared) return
    this.#host.permits.giveTrial(id).catch((error) => log('a permit was not given back: %s', error))
  }
}

/** The result of a trial: `undefined` if the caller caused it, unless the node was ejected for such answers. */
function verdictOf(
  state: NodeState,
  isNeutral: boolean,
  isDenial: boolean,
  ok: boolean,
): boolean | undefined {
  if (isDenial && state.ejection.reason === 'refusals') return false
  return isNeutral ? undefined : ok
}
