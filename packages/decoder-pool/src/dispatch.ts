import type { Clock } from '@evenkeel/core'
import type { Chooser } from './choosing/chooser.js'
import { type Wanted, wishOf } from './choosing/wanted.js'
import { NoNodeError } from './errors.js'
import type { Phase } from './health/ejector.js'
import type { DecoderNode } from './node.js'
import type { NodeState } from './node-state.js'
import { WaitingLine } from './waiting-line.js'

export interface Outcome {
  /** Whether the node did its work: its own faults count against it, a caller's bad request or abort does not. */
  readonly ok: boolean
  /** Milliseconds until its answer, or its first token; what `latency` chooses by. @default since `acquire` */
  readonly latencyMs?: number | undefined
  /** With `ok`, what went wrong was no fault of the node: its place is given back, and nothing else counts. */
  readonly error?: unknown
  /** The node refused for the moment (429, or 503 with Retry-After): it gets nothing new for so many milliseconds. */
  readonly retryAfterMs?: number | undefined
}

/** One request's place on a node. */
export interface NodeLease {
  readonly node: DecoderNode
  /** Gives the place back, and says how it went; once, further calls do nothing. */
  release(outcome: Outcome): void
}

export interface DispatchHost {
  readonly chooser: Chooser
  readonly clock: Clock
  readonly maxWaiting: number
  /** A request on a node has ended. */
  released(state: NodeState): void
  /** A request is given to the node. */
  began(state: NodeState, now: number): Phase
  /** How it went. */
  ended(state: NodeState, phase: Phase, outcome: Outcome, now: number, tookMs: number): void
  /** Why nobody could be given. */
  noNode(wanted: Wanted): NoNodeError
}

/** Gives requests to nodes, counts them, hears how they went, and lets the others wait in a line. */
export class Dispatch {
  readonly #host: DispatchHost
  readonly #line: WaitingLine<NodeLease>
  requests = 0
  #closed = false

  constructor(host: DispatchHost) {
    this.#host = host
    this.#line = new WaitingLine<NodeLease>(host.maxWaiting)
  }

  get waiting(): number {
    return this.#line.length
  }

  async acquire(
    wanted: Wanted,
    timeoutMs: number,
    signal: AbortSignal | undefined,
    except?: ReadonlySet<string>,
  ): Promise<NodeLease> {
    signal?.throwIfAborted()
    if (this.#closed) throw new NoNodeError('closed', 'The pool was closed')
    const wish = wishOf(wanted)
    // Those who wait come first; after this none of another wish could take what this caller can.
    if (this.#line.length > 0) this.#line.serve()
    const lease = this.#line.has(wish) ? undefined : this.#take(wanted, except)
    if (lease !== undefined) return lease
    if (timeoutMs <= 0) throw this.#host.noNode(wanted)
    const given = await this.#line.wait(wish, () => this.#take(wanted, except), { timeoutMs, signal })
    if (given === 'full') {
      throw new NoNodeError('too-many-waiting', `${this.#host.maxWaiting} callers wait already`)
    }
    if (given === undefined) {
      throw this.#closed ? new NoNodeError('closed', 'The pool was closed') : this.#host.noNode(wanted)
    }
    return given
  }

  /** Somebody who waits may be served now. */
  serve(): void {
    this.#line.serve()
  }

  close(): void {
    this.#closed = true
    this.#line.close()
  }

  /** Chooses and counts in one go, so that nobody else is given the same place. */
  #take(wanted: Wanted, except: ReadonlySet<string> | undefined): NodeLease | undefined {
    const { chooser, clock } = this.#host
    const givenAt = clock.monotonic()
    const state = chooser.choose(wanted, givenAt, except)
    if (state === undefined) return undefined
    state.inFlight++
    state.requests++
    this.requests++
    const onOver = chooser.given(state, wanted)
    const phase = this.#host.began(state, givenAt)
    let released = false
    return {
      node: state.node,
      release: (outcome) => {
        if (released) return
        released = true
        onOver?.()
        this.#host.released(state)
        const now = clock.monotonic()
        this.#host.ended(state, phase, outcome, now, now - givenAt)
        this.#line.serve()
      },
    }
  }
}
