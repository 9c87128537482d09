import { CandidateIndex } from '../../../../packages/decoder-pool/src/choosing/candidates.js'
import { Chooser } from '../../../../packages/decoder-pool/src/choosing/chooser.js'
import { NodeState, type Thresholds } from '../../../../packages/decoder-pool/src/node-state.js'
import { RetryBudget } from '../../../../packages/decoder-pool/src/run.js'
import type { CallEnd, Node } from '../cluster/node.js'
import type { Draws } from '../draws.js'
import type { Timeline } from '../timeline.js'
import type { Balancer } from './balancers.js'
import type { Request } from './request.js'

/** The package's own defaults. */
const thresholds: Thresholds = { unhealthyAfter: 2, healthyAfter: 1, ejectAfter: 3, slowStartMs: 30_000 }
const adapterMargin = 0.3
const attempts = 3

interface Member {
  readonly node: Node
  readonly state: NodeState
  /** Calls to it since it died, until it is out of service here. */
  deadCalls: number
  isOut: boolean
}

/**
 * One process that gives requests to nodes: the package's own filters, strategy, node states and retry budget, in
 * virtual time. Only what does I/O in the package is played here: calls, probes, reports and the waiting line.
 */
export class Coordinator {
  readonly #timeline: Timeline
  readonly #members = new Map<string, Member>()
  readonly #states: NodeState[] = []
  readonly #index: CandidateIndex
  readonly #chooser: Chooser
  readonly #mindsCapacity: boolean
  readonly #budget = new RetryBudget()
  readonly #line = new Set<Request>()
  retries = 0
  ejections = 0
  /** The most calls that one dead node was given before it was out. */
  mostDeadCalls = 0
  deadCalls = 0

  constructor(balancer: Balancer, timeline: Timeline, chance: Draws) {
    this.#timeline = timeline
    this.#mindsCapacity = balancer.mindsCapacity
    this.#index = new CandidateIndex(() => this.#states, undefined)
    this.#chooser = new Chooser(this.#index, balancer.make(), adapterMargin, () => chance.next())
  }

  join(node: Node, isNew: boolean): void {
    const capacity = this.#mindsCapacity ? node.registered.capacity : Number.MAX_SAFE_INTEGER
    const { now } = this.#timeline
    const state = new NodeState({ node: { ...node.registered, capacity }, revision: 1 }, now)
    if (isNew) state.warmsUp(now, thresholds)
    this.#states.push(state)
    this.#members.set(node.registered.id, { node, state, deadCalls: 0, isOut: false })
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
    request.call = undefined
    call.abort()
    // Not the node's fault, as far as anybody can tell: the caller's own patience has ended.
    this.#left(call.state)
  }

  /** What nodes told a moment ago. */
  reported(told: ReadonlyMap<string, number>): void {
    for (const [id, underWay] of told) this.#members.get(id)?.state.reported(this.#timeline.now, underWay)
    this.#serve()
  }

  probe(): void {
    const { now } = this.#timeline
    for (const member of this.#members.values()) {
      if (member.state.probed(member.node.isAlive, now, thresholds)) this.#index.invalidate()
      if (!member.state.healthy) member.isOut = true
      else if (member.node.isAlive && !member.state.isEjected(now)) {
        member.isOut = false
        member.deadCalls = 0
      }
    }
    this.#serve()
  }

  #place(request: Request): boolean {
    const { now } = this.#timeline
    const state = this.#chooser.choose(request.wanted, now, request.tried)
    const member = state && this.#members.get(state.node.id)
    if (member === undefined) {
      // Where all nodes were tried in vain there is nothing to wait for.
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

  #give(request: Request, { node, state }: Member): void {
    const givenAt = this.#timeline.now
    this.#line.delete(request)
    request.tried.add(node.registered.id)
    state.inFlight++
    state.requests++
    const onOver = this.#chooser.given(state, request.wanted)
    let firstTokenMs: number | undefined
    const onFirstToken = () => {
      firstTokenMs = this.#timeline.now - givenAt
      request.firstToken()
    }
    const { abort } = node.call({ ...request.work, onFirstToken }, (end) => {
      request.call = undefined
      onOver?.()
      this.#ended(request, state, end, firstTokenMs)
    })
    request.call = {
      state,
      abort: () => {
        onOver?.()
        abort()
      },
    }
  }

  #ended(request: Request, state: NodeState, end: CallEnd, firstTokenMs: number | undefined): void {
    const { now } = this.#timeline
    this.#noteDead(state, end)
    if (end === 'answered') {
      state.succeeded(now, firstTokenMs)
      request.answered()
    } else if (end !== 'full' && state.failed(now, thresholds) > 0) {
      this.ejections++
      this.#index.invalidate()
      const member = this.#members.get(state.node.id)
      if (member !== undefined) member.isOut = true
    }
    if (end !== 'answered') this.#elsewhere(request, firstTokenMs !== undefined)
    this.#left(state)
  }

  /** What somebody has begun to read can't be begun anew. */
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

  #noteDead(state: NodeState, end: CallEnd): void {
    const member = this.#members.get(state.node.id)
    if (end !== 'unreachable' || member === undefined) return
    this.deadCalls++
    if (member.isOut) return
    member.deadCalls++
    this.mostDeadCalls = Math.max(this.mostDeadCalls, member.deadCalls)
  }
}
