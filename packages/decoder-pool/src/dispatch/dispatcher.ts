import type { Clock } from '@evenkeel/core'
import { onAbort } from '@evenkeel/core/kit'
import type { Balancer } from '../balancing/balancer.js'
import { type NodeRequirements, requirementKey } from '../balancing/requirements.js'
import { NoNodeError, PoolClosedError } from '../errors.js'
import type { DecoderNode } from '../nodes/node.js'
import type { NodeState } from '../nodes/node-state.js'
import type { Slots } from '../slots/slots.js'
import { FairQueue } from './fair-queue.js'
import { type Outcome, type Phase, unused } from './outcome.js'

/** A slot on a node, for one request. */
export interface NodeLease {
  readonly node: DecoderNode
  /**
   * Frees the slot and reports the outcome. Only the first call counts.
   * @param outcome how the request went; by default it went well
   */
  release(outcome?: Outcome): void
}

/** A request that has been counted, and may be given the node. */
interface Begun {
  readonly state: NodeState
  readonly at: number
  readonly phase: Phase
}

export interface DispatcherHost {
  readonly balancer: Balancer
  readonly slots: Slots
  readonly clock: Clock
  readonly maxWaiting: number
  /** A request on a node has ended. */
  released(state: NodeState): void
  /** A request is given to the node. */
  began(state: NodeState, now: number): Phase
  /** The request has a slot on the node. */
  given(state: NodeState): void
  /** Records the outcome of a request. */
  ended(state: NodeState, phase: Phase, outcome: Outcome, now: number, tookMs: number): void
  /** Explains why no node is available. */
  noNode(wanted: NodeRequirements): NoNodeError
  /** Whether a serving node, other than these, may have a free slot within this time. */
  mayServe(wanted: NodeRequirements, except: ReadonlySet<string>, withinMs: number): boolean
}

export interface AcquireRequest {
  /** How long to wait for a slot. */
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
  /** Nodes that are not used. */
  readonly except?: ReadonlySet<string> | undefined
  /** Nodes that are used only if no other has a free slot. */
  readonly avoid?: ReadonlySet<string> | undefined
  /** Another node was tried before: if no node is left to try, it does not wait. */
  readonly isRetry?: boolean | undefined
}

export type Acquire = (wanted: NodeRequirements, request: AcquireRequest) => Promise<NodeLease>

const nobody: ReadonlySet<string> = new Set()

/** Number of nodes in one round trip: the chosen one, and others in case it is full by now. */
const maxCandidates = 8

/** Gives requests to nodes, counts them, records their outcomes, and queues waiting requests. */
export class Dispatcher {
  readonly #host: DispatcherHost
  readonly #line: FairQueue<NodeLease>
  requests = 0
  #retries = 0
  #closed = false

  constructor(host: DispatcherHost) {
    this.#host = host
    this.#line = new FairQueue<NodeLease>({
      most: host.maxWaiting,
      now: () => host.clock.monotonic(),
      giveBack: (lease) => lease.release({ ok: true, error: unused }),
    })
  }

  get waiting(): number {
    return this.#line.length
  }

  /** Requirements of waiting requests, with how long the oldest of each has waited, in milliseconds. */
  waitingRequirements(): ReadonlyMap<string, number> {
    const oldest = new Map<string, number>()
    for (const [line, waitedMs] of this.#line.oldest()) {
      const [requirement = line] = line.split('|')
      oldest.set(requirement, Math.max(waitedMs, oldest.get(requirement) ?? 0))
    }
    return oldest
  }

  async acquire(wanted: NodeRequirements, request: AcquireRequest): Promise<NodeLease> {
    const { timeoutMs, signal, except = nobody, isRetry = false } = request
    signal?.throwIfAborted()
    if (this.#closed) throw new PoolClosedError()
    const requirement = requirementKey(wanted)
    // Waiting callers come first, and take the free slots before this caller does.
    if (this.#line.length > 0) this.#line.serve()
    if (!this.#line.has(requirement)) {
      const lease = await this.#unlessAborted(signal, this.#take(wanted, requirement, 0, request))
      if (lease !== undefined) return lease
    }
    if (this.#closed) throw new PoolClosedError()
    if (timeoutMs <= 0) throw this.#host.noNode(wanted)
    if (isRetry && !this.#host.mayServe(wanted, except, timeoutMs)) throw this.#host.noNode(wanted)
    const take = (waitedMs: number) => this.#take(wanted, requirement, waitedMs, request)
    // A request that may not use every node must not block requests behind it that may.
    const line = isRetry ? `${requirement}|${this.#retries++}` : requirement
    const waited = this.#line.wait(line, take, { timeoutMs, signal })
    // A slot may have been freed between the two.
    this.#line.serve()
    this.#host.slots.waitingChanged()
    const given = await waited.finally(() => this.#host.slots.waitingChanged())
    if (given === 'full') {
      throw new NoNodeError('too-many-waiting', `${this.#host.maxWaiting} callers wait already`)
    }
    if (given === undefined) throw this.#closed ? new PoolClosedError() : this.#host.noNode(wanted)
    return given
  }

  /** Called when a waiting request may be served now. */
  serve(): void {
    if (this.#line.length > 0) this.#line.serve()
  }

  close(): void {
    this.#closed = true
    this.#line.close()
  }

  /** Frees a slot that comes for a caller that has left. */
  #unlessAborted(
    signal: AbortSignal | undefined,
    pending: Promise<NodeLease | undefined>,
  ): Promise<NodeLease | undefined> {
    // As many microtasks as below, so that callers with a signal and those without queue in the order of their calls.
    if (signal === undefined) return pending.then((lease) => lease)
    return new Promise((resolve, reject) => {
      const stop = onAbort(signal, reject)
      pending
        .then((lease) => {
          if (signal.aborted) lease?.release({ ok: true, error: unused })
          else resolve(lease)
        }, reject)
        .finally(stop)
    })
  }

  async #take(
    wanted: NodeRequirements,
    requirement: string,
    waitedMs: number,
    { except, avoid }: AcquireRequest,
  ): Promise<NodeLease | undefined> {
    if (avoid !== undefined && avoid.size > 0) {
      const other = await this.#takeBut(
        new Set([...(except ?? nobody), ...avoid]),
        wanted,
        requirement,
        waitedMs,
      )
      if (other !== undefined) return other
    }
    return this.#takeBut(new Set(except), wanted, requirement, waitedMs)
  }

  async #takeBut(
    tried: Set<string>,
    wanted: NodeRequirements,
    requirement: string,
    waitedMs: number,
  ): Promise<NodeLease | undefined> {
    const { slots } = this.#host
    let candidates = this.#candidates(wanted, tried)
    // Counts of others may be old, so a new request asks anyway. A waiting one is served when a slot is freed.
    if (candidates.length === 0 && waitedMs === 0) {
      candidates = this.#candidates(wanted, tried, ({ node: { id, capacity }, inFlight }) =>
        slots.mayHaveRoom(id, capacity, inFlight),
      )
    }
    for (let [first] = candidates; first !== undefined; [first] = candidates) {
      // Counted at once, so that a choice made in the meantime sees it.
      const begun = this.#begin(first)
      const index = await slots.take({
        candidates: candidates.map(({ node: { id, capacity } }) => ({ node: id, capacity })),
        requirement,
        waitedMs,
      })
      const state = candidates[index]
      if (state === first) return this.#lease(begun, wanted)
      this.#forget(begun)
      if (state !== undefined) return this.#lease(this.#begin(state), wanted)
      for (const { node } of candidates) tried.add(node.id)
      candidates = this.#candidates(wanted, tried)
    }
    return undefined
  }

  #begin(state: NodeState): Begun {
    state.inFlight++
    const at = this.#host.clock.monotonic()
    return { state, at, phase: this.#host.began(state, at) }
  }

  /** The request was not sent, which is not the node's fault. */
  #forget({ state, at, phase }: Begun): void {
    this.#host.released(state)
    this.#host.ended(state, phase, { ok: true, error: unused }, at, 0)
  }

  /** Nodes to ask for a slot on, the best first. */
  #candidates(
    wanted: NodeRequirements,
    tried: Set<string>,
    hasRoom?: (state: NodeState) => boolean,
  ): readonly NodeState[] {
    const { balancer, clock, slots } = this.#host
    const now = clock.monotonic()
    const candidates: NodeState[] = []
    const except = tried.size === 0 ? undefined : tried
    const best = balancer.choose(wanted, now, except, hasRoom)
    if (best === undefined) return candidates
    candidates.push(best)
    const others = new Set(tried).add(best.node.id)
    while (slots.mayBeFull(best.node.id, best.node.capacity) && candidates.length < maxCandidates) {
      const next = balancer.choose(wanted, now, others, hasRoom)
      if (next === undefined) break
      others.add(next.node.id)
      candidates.push(next)
    }
    return candidates
  }

  #lease({ state, at, phase }: Begun, wanted: NodeRequirements): NodeLease {
    const { balancer, clock, slots } = this.#host
    state.requests++
    this.requests++
    this.#host.given(state)
    const onOver = balancer.given(state, wanted)
    let released = false
    return {
      node: state.node,
      release: (outcome = { ok: true }) => {
        if (released) return
        released = true
        slots.release(state.node.id)
        onOver?.()
        this.#host.released(state)
        const now = clock.monotonic()
        this.#host.ended(state, phase, outcome, now, now - at)
        this.serve()
      },
    }
  }
}
