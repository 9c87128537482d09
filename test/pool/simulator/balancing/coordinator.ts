import { Balancer as PoolBalancer } from '../../../../packages/decoder-pool/src/balancing/balancer.js'
import { CandidateIndex } from '../../../../packages/decoder-pool/src/balancing/candidates.js'
import {
  judgeAbort,
  type Outcome,
  type Phase,
} from '../../../../packages/decoder-pool/src/dispatch/outcome.js'
import { RetryBudget } from '../../../../packages/decoder-pool/src/dispatch/retry-budget.js'
import { type EjectedElsewhere, Ejector } from '../../../../packages/decoder-pool/src/health/ejector.js'
import { NodeState } from '../../../../packages/decoder-pool/src/nodes/node-state.js'
import { type ResolvedOptions, resolveOptions } from '../../../../packages/decoder-pool/src/options.js'
import type { CallEnd, Node } from '../cluster/node.js'
import type { Draws } from '../draws.js'
import type { Timeline } from '../timeline.js'
import type { Balancer } from './balancers.js'
import type { Request } from './request.js'

const attempts = 3
/** The pause that `run` assumes for a 429 without Retry-After. */
const pushBackMs = 1_000
const timeIsUp = new DOMException('The caller has no more time', 'TimeoutError')

interface Member {
  readonly node: Node
  readonly state: NodeState
  /** Calls to it since its fault began, until it is out of service here. */
  faultyCalls: number
  /** When the fault began that `isFound` is about. */
  faultySince: number | undefined
  isFound: boolean
}

/**
 * One process that assigns requests to nodes, by the package's own filters, strategy, node states and retry budget, in
 * virtual time. Only what does I/O in the package is simulated here: calls, probes, reports and the queue.
 */
export class Coordinator {
  readonly #timeline: Timeline
  readonly #options: ResolvedOptions
  readonly #members = new Map<string, Member>()
  readonly #states: NodeState[] = []
  readonly #index: CandidateIndex
  readonly #balancer: PoolBalancer
  readonly #ejector: Ejector
  readonly #mindsCapacity: boolean
  readonly #budget = new RetryBudget()
  readonly #line = new Set<Request>()
  retries = 0
  /** Tells the other coordinators of an ejection. */
  onEjected: ((ejected: EjectedElsewhere) => void) | undefined
  /** The most calls that one faulty node got before it was out of service. */
  mostFaultyCalls = 0
  /** The longest time until a faulty node was out of service; infinite if one never was. */
  foundWithinMs = 0

  constructor(balancer: Balancer, timeline: Timeline, chance: Draws) {
    const clock = { now: () => timeline.now, monotonic: () => timeline.now }
    const random = () => chance.next()
    this.#timeline = timeline
    this.#options = resolveOptions({ clock, random })
    this.#mindsCapacity = balancer.mindsCapacity
    this.#index = new CandidateIndex(
      () => this.#states,
      undefined,
      (state, now) => this.#ejector.trialDue(state, now),
    )
    this.#balancer = new PoolBalancer(this.#index, balancer.make(), this.#options.adapterMargin, random)
    this.#ejector = new Ejector(this.#options, {
      // Each coordinator lets a node back by its own trial.
      permits: {
        isShared: false,
        takeTrial: async () => true,
        giveTrial: async () => {},
        tellEjected: (ejected) => this.onEjected?.(ejected),
      },
      states: () => this.#states,
      stateOf: (id) => this.#members.get(id)?.state,
      serviceChanged: () => this.#index.invalidate(),
      serve: () => this.#serve(),
    })
  }

  /** The ejector's timers are real, and would wait for a time that never comes. */
  close(): void {
    for (const id of this.#members.keys()) this.#watchFault(id)
    for (const { faultySince, isFound } of this.#members.values())
      if (faultySince !== undefined && !isFound) this.foundWithinMs = Number.POSITIVE_INFINITY
    this.#ejector.close()
  }

  join(node: Node, isNew: boolean): void {
    const capacity = this.#mindsCapacity ? node.registered.capacity : Number.MAX_SAFE_INTEGER
    const { now } = this.#timeline
    const state = new NodeState({ node: { ...node.registered, capacity }, revision: 1 }, now)
    if (isNew) state.warmsUp(now, this.#options)
    this.#states.push(state)
    this.#members.set(node.registered.id, {
      node,
      state,
      faultyCalls: 0,
      faultySince: undefined,
      isFound: false,
    })
    this.#index.invalidate()
    this.#serve()
  }

  begin(request: Request): void {
    this.#budget.earn()
    this.#place(request)
  }

  /** The caller waits no longer. */
  giveUp(request: Request): void {
    this.#line.delete(request)
    const { call } = request
    if (call === undefined) return
    const { now } = this.#timeline
    const { state, phase, givenAt } = call
    call.abort()
    const { kind } = judgeAbort(timeIsUp, {
      startedAt: request.arrivedAt,
      givenAt,
      now,
      silentMs: now - givenAt,
      typicalMs: this.#ejector.typicalMs(),
    })
    const ended = kind === 'fault' ? { ok: false } : { ok: true, error: timeIsUp }
    this.#ejector.ended(state, phase, ended, now, now - givenAt)
    this.#watchFault(state.node.id)
    this.#left(state)
  }

  ejectedElsewhere(ejected: EjectedElsewhere): void {
    this.#ejector.ejectedElsewhere(ejected, this.#timeline.now)
    this.#watchFault(ejected.node)
  }

  /** Takes what nodes reported a moment ago: their requests in flight. */
  reported(told: ReadonlyMap<string, number>): void {
    for (const [id, underWay] of told) this.#members.get(id)?.state.reported(this.#timeline.now, underWay)
    this.#serve()
  }

  /** Probes all nodes, or only the undecided ones; gives whether any node is undecided. */
  probe(isConfirming: boolean): boolean {
    const { now } = this.#timeline
    const { probe } = this.#options
    let isUndecided = false
    for (const { node, state } of this.#members.values()) {
      if (probe === undefined || (isConfirming && !state.probes.isUndecided)) continue
      state.probes.note(node.isAlive ? 'ok' : 'failed', false, now, probe)
      const { healthy, at } = state.probes
      if (healthy !== undefined && state.judged({ healthy, by: '', at }, now, this.#options))
        this.#index.invalidate()
      if (state.probes.isUndecided) isUndecided = true
      this.#watchFault(node.registered.id)
    }
    this.#serve()
    return isUndecided
  }

  #place(request: Request): boolean {
    const { now } = this.#timeline
    const state = this.#balancer.choose(request.wanted, now, request.tried)
    const member = state && this.#members.get(state.node.id)
    if (member === undefined) {
      // If all nodes were tried in vain, there is nothing to wait for.
      if (request.tried.size < this.#members.size) this.#line.add(request)
      else {
        this.#line.delete(request)
        request.fail()
      }
      return false
    }
    this.#give(request, member)
    return true
  }

  #give(request: Request, member: Member): void {
    const { node, state } = member
    const givenAt = this.#timeline.now
    this.#line.delete(request)
    request.tried.add(node.registered.id)
    this.#noteFaulty(member)
    state.inFlight++
    state.requests++
    const onOver = this.#balancer.given(state, request.wanted)
    const phase = this.#ejector.began(state, givenAt)
    let firstTokenMs: number | undefined
    const onFirstToken = () => {
      firstTokenMs = this.#timeline.now - givenAt
      request.firstToken()
    }
    const leave = () => {
      request.call = undefined
      onOver?.()
    }
    const { abort } = node.call({ ...request.work, onFirstToken }, (end) => {
      leave()
      this.#ended(request, state, phase, end, firstTokenMs, givenAt)
    })
    const giveUp = () => {
      leave()
      abort()
    }
    request.call = { state, phase, givenAt, abort: giveUp }
  }

  #ended(
    request: Request,
    state: NodeState,
    phase: Phase,
    end: CallEnd,
    firstTokenMs: number | undefined,
    givenAt: number,
  ): void {
    const { now } = this.#timeline
    this.#ejector.ended(state, phase, outcomeOf(end, firstTokenMs), now, now - givenAt)
    this.#watchFault(state.node.id)
    if (end === 'denied') request.refusedBy.push(state.node.id)
    if (end === 'answered') {
      for (const id of request.refusedBy) this.#ejector.contradicted(id, now)
      request.answered()
    } else this.#elsewhere(request, firstTokenMs !== undefined)
    this.#left(state)
  }

  /** An answer that the caller has begun to read cannot be started again. */
  #elsewhere(request: Request, hasBegun: boolean): void {
    if (hasBegun || request.tried.size >= attempts || !this.#budget.spend()) return request.fail()
    this.retries++
    this.#place(request)
  }

  #left(state: NodeState): void {
    state.inFlight--
    this.#serve()
  }

  #serve(): void {
    for (const request of this.#line) if (!this.#place(request)) return
  }

  #noteFaulty(member: Member): void {
    this.#watchFault(member.node.registered.id)
    // Once it was found, only trials and panic send requests to it, which do not count.
    if (member.faultySince === undefined || member.isFound) return
    this.mostFaultyCalls = Math.max(this.mostFaultyCalls, ++member.faultyCalls)
  }

  /** Notes when a faulty node is out of service here, or has recovered without ever having been. */
  #watchFault(id: string): void {
    const member = this.#members.get(id)
    if (member === undefined) return
    const { node, state } = member
    const { now } = this.#timeline
    if (node.faultySince !== member.faultySince) {
      if (member.faultySince !== undefined && !member.isFound) this.foundWithinMs = Number.POSITIVE_INFINITY
      member.faultySince = node.faultySince
      member.faultyCalls = 0
      member.isFound = false
    }
    if (member.faultySince === undefined || member.isFound) return
    if (state.isServing(now) && state.ejection.trial === 'none') return
    member.isFound = true
    this.foundWithinMs = Math.max(this.foundWithinMs, now - member.faultySince)
  }
}

function outcomeOf(end: CallEnd, latencyMs: number | undefined): Outcome {
  if (end === 'answered') return { ok: true, latencyMs }
  if (end === 'denied') return { ok: true, error: { status: 401 } }
  return end === 'full' ? { ok: true, error: end, retryAfterMs: pushBackMs } : { ok: false, error: end }
}
