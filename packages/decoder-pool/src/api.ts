import type { Duration, FailoverState } from '@evenkeel/core'
import type { PoolRequest } from './adapters/pool-request.js'
import type { ExperimentUnit, NodeRequirements } from './balancing/requirements.js'
import type { NodeLease } from './dispatch/dispatcher.js'
import type { RunOptions } from './dispatch/run.js'
import type { MirrorDamagedError } from './errors.js'
import type { Assignment, Experiments } from './experiments/experiments.js'
import type { PreservationStatus } from './health/preservation.js'
import type { NodeHealth } from './health/status.js'
import type { DecoderNode, NodeInput } from './nodes/node.js'
import type { NodeReport } from './nodes/node-report.js'
import type { PoolChange } from './nodes/node-table.js'

export type PoolEvents = {
  change(change: PoolChange): void
  warning(error: MirrorDamagedError): void
  /** A request of this coordinator was given a node. */
  given(request: GivenRequest): void
  /** It is over: its answer was read or left, or it failed. */
  ended(request: EndedRequest): void
}

export interface GivenRequest {
  readonly node: DecoderNode
}

export interface EndedRequest {
  readonly node: DecoderNode
  /** Whether the node did its work: a caller's own bad request, or one who leaves, is no fault of the node. */
  readonly ok: boolean
  /** What went wrong; with `ok`, what was no fault of the node. */
  readonly error: unknown
  /** Milliseconds that it had the node's place. */
  readonly tookMs: number
}

export interface AcquireOptions extends NodeRequirements, ExperimentUnit {
  /** How long to wait for a free place. @default 0, not at all */
  readonly timeout?: Duration | undefined
  readonly signal?: AbortSignal | undefined
}

/** A place, and the part in an experiment that the request has. */
export interface AssignedLease extends NodeLease {
  readonly experiment?: (Assignment & { readonly diverted: boolean }) | undefined
}

export interface PoolFetchOptions {
  /**
   * What a request wants of a node: model, tags, session, prompt blocks, a time to wait; for all requests, or worked
   * out for each. @default anything, at once
   */
  readonly wanted?: RunOptions | ((request: PoolRequest) => RunOptions) | undefined
  /** What calls the chosen node. @default undici's `request`, through the dispatcher that the global `fetch` uses */
  readonly fetch?: ((url: string, init: RequestInit, node: DecoderNode) => Promise<Response>) | undefined
  /**
   * Where no node can be given: `'answer'` with 404 (none matches) or 503 and Retry-After (none has a place), whose
   * body says why as OpenAI's API does, or `'throw'` the NoNodeError, of which clients only say "Connection error".
   * @default 'answer'
   */
  readonly noNode?: 'answer' | 'throw' | undefined
}

export interface DrainOptions {
  /** How long to wait for the requests under way. @default 0, not at all */
  readonly deadline?: Duration | undefined
  readonly signal?: AbortSignal | undefined
}

export interface Drained {
  /** Requests that are still under way, as far as this coordinator has heard; an outage hides the others'. */
  readonly left: number
}

export interface NodeStatus extends NodeHealth {
  readonly node: DecoderNode
  /** Requests of this coordinator under way. */
  readonly inFlight: number
  /** Requests of all coordinators under way, as this one last heard. */
  readonly inUse: number
  /** Requests that this coordinator gave it. */
  readonly requests: number
}

export interface PoolStatus {
  readonly state: FailoverState
  readonly version: number
  /** Callers of this coordinator that wait for a place. */
  readonly waiting: number
  /** Those that live, this one included; in an outage as they were. */
  readonly coordinators: number
  /** While it is on, no node is removed for its silence alone; why, and about whom nothing is decided. */
  readonly preservation: PreservationStatus | undefined
  readonly nodes: readonly NodeStatus[]
}

/** What this coordinator did and sees. */
export interface PoolStats {
  /** Requests that were given a node. */
  readonly requests: number
  /** Requests of this coordinator under way. */
  readonly inFlight: number
  /** Callers that wait for a place. */
  readonly waiting: number
  readonly nodes: number
  /** Nodes that get requests. */
  readonly serving: number
  /** Times that nodes were taken out for what their requests came to, by reason. */
  readonly ejections: Readonly<Record<string, number>>
}

/** What all coordinators have, as this one last heard. */
export interface SharedPoolStats {
  /** The registry's version. */
  readonly version: number
  readonly coordinators: number
  readonly nodes: number
  /** Requests that all nodes serve at once. */
  readonly capacity: number
  /** Requests of all coordinators under way. */
  readonly inUse: number
}

export interface DecoderPool extends AsyncDisposable {
  /**
   * Registers or changes a node, and renews its lease from then on, until it is removed or this pool closed.
   * The same endpoint twice is one node. Two round trips. @throws InvalidInputError
   */
  register(node: NodeInput): Promise<DecoderNode>
  /** Renews a node's lease once, for a node that another process registered; `false` where there is none. One round trip. */
  renew(id: string): Promise<boolean>
  /** Removes a node; the removal is remembered. */
  deregister(id: string): Promise<boolean>
  /**
   * Takes a node out for new requests of all coordinators, and leaves it those it has, until it is registered with
   * `draining: false`. With a deadline it resolves when those of all coordinators have ended, or the time is up.
   * Nothing where there is no such node. One round trip, and then what is told anyway.
   */
  drain(id: string, options?: DrainOptions): Promise<Drained | undefined>
  /**
   * What a node says of itself: its load counts in this coordinator's choices and fades within seconds, its
   * adapters and whether it drains are told to all. `false` where there is no such node. No round trip for
   * load alone. @throws InvalidInputError
   */
  report(id: string, report: NodeReport): Promise<boolean>
  /** A node with a free place, from the local view: synchronous, no round trip. Nothing is counted. */
  pick(wanted?: NodeRequirements): DecoderNode | undefined
  /** A place on the node for a request, counted against its capacity; waits first come, first served. @throws NoNodeError */
  acquire(options?: AcquireOptions): Promise<AssignedLease>
  /**
   * One request on the pool: chooses a node, calls it, records how it went, and tries another one where that is
   * safe (or `idempotent`), within a budget of a fifth of all requests. Where the answer is a `Response` the node's
   * place is kept until its body has been read or cancelled. @throws NoNodeError, or what `call` throws
   */
  run<T>(call: (node: DecoderNode, signal: AbortSignal) => Promise<T>, options?: RunOptions): Promise<T>
  /**
   * A `fetch` whose host is the pool: a request keeps its path and goes to a node of the pool's choice, counts
   * against that node's capacity until its answer has been read, and is tried elsewhere where that is safe. For SDKs
   * that take a `fetch`. The host of the URL means nothing. Redirects are followed on the node itself; what leads
   * elsewhere is given as it is. @throws what `fetch` throws, PoolClosedError, and where asked for NoNodeError
   * @example
   * const openai = new OpenAI({ baseURL: 'http://pool/v1', apiKey, fetch: pool.fetch() })
   */
  fetch(options?: PoolFetchOptions): typeof globalThis.fetch
  /** Which part of a language pair's requests goes to which nodes; shared by all coordinators. */
  readonly experiments: Experiments
  status(): PoolStatus
  /** Who answers for the registry: Redis, or this process while it is away. */
  readonly state: FailoverState
  /** Counts of this coordinator. No round trip. */
  stats(): PoolStats
  /** Counts of all coordinators, as this one last heard. No round trip. */
  sharedStats(): SharedPoolStats
  /** One node as `status()` has it; nothing where there is none. */
  inspect(id: string): NodeStatus | undefined
  on<K extends keyof PoolEvents>(event: K, listener: PoolEvents[K]): () => void
  /** Ends what the pool began, callers who wait with CLOSED first; the connection stays open. May be called again. */
  close(): Promise<void>
}

/** Under which a pool has what looks at addresses when nodes are called; the same in all copies of the package. */
export const addressGuard: unique symbol = Symbol.for('evenkeel.decoder-pool.address-guard') as never
/** For adapters: the spans that the pool was asked for. */
export const callSpans: unique symbol = Symbol.for('evenkeel.decoder-pool.spans') as never
/** For adapters: the node at an endpoint, without a look at all the others. */
export const nodeAtEndpoint: unique symbol = Symbol.for('evenkeel.decoder-pool.node-at') as never
