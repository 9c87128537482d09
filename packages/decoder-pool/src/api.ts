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
  /** A request of this coordinator got a node. */
  given(request: GivenRequest): void
  /** The request ended: its answer was read or abandoned, or it failed. */
  ended(request: EndedRequest): void
}

export interface GivenRequest {
  readonly node: DecoderNode
}

export interface EndedRequest {
  readonly node: DecoderNode
  /** Whether the node did its work. A caller's bad request, or a caller that leaves, is not the node's fault. */
  readonly ok: boolean
  /** What went wrong; if `ok`, it was not the node's fault. */
  readonly error: unknown
  /** Milliseconds for which the request occupied the node. */
  readonly tookMs: number
}

export interface AcquireOptions extends NodeRequirements, ExperimentUnit {
  /** How long to wait for a free slot. @default 0, not at all */
  readonly timeout?: Duration | undefined
  readonly signal?: AbortSignal | undefined
}

/** A slot on a node, and the experiment that the request takes part in, if any. */
export interface AssignedLease extends NodeLease {
  readonly experiment?: (Assignment & { readonly diverted: boolean }) | undefined
}

export interface PoolFetchOptions {
  /**
   * What a request requires of a node: model, tags, session, prompt blocks, a time to wait. Either the same for all
   * requests, or a function of the request. @default anything, at once
   */
  readonly wanted?: RunOptions | ((request: PoolRequest) => RunOptions) | undefined
  /** Calls the chosen node. @default undici's `request`, through the dispatcher that the global `fetch` uses */
  readonly fetch?: ((url: string, init: RequestInit, node: DecoderNode) => Promise<Response>) | undefined
  /**
   * What happens if no node is available. `'answer'`: a response with 404 (no node matches) or 503 and Retry-After
   * (none has a free slot), with the reason in the format of OpenAI's API. `'throw'`: NoNodeError, which clients
   * report only as "Connection error".
   * @default 'answer'
   */
  readonly noNode?: 'answer' | 'throw' | undefined
}

export interface DrainOptions {
  /** How long to wait for the requests in flight. @default 0, not at all */
  readonly deadline?: Duration | undefined
  readonly signal?: AbortSignal | undefined
}

export interface Drained {
  /** Requests still in flight, as far as this coordinator knows; an outage hides those of other coordinators. */
  readonly left: number
}

export interface NodeStatus extends NodeHealth {
  readonly node: DecoderNode
  /** Requests of this coordinator in flight. */
  readonly inFlight: number
  /** Requests of all coordinators in flight, as last heard. */
  readonly inUse: number
  /** Requests that this coordinator has given the node. */
  readonly requests: number
}

export interface PoolStatus {
  readonly state: FailoverState
  readonly version: number
  /** Callers of this coordinator that wait for a slot. */
  readonly waiting: number
  /** Number of live coordinators, this one included; in an outage the last known number. */
  readonly coordinators: number
  /** Set while self-preservation is on: no node is removed only because it is silent. Says why, and which nodes. */
  readonly preservation: PreservationStatus | undefined
  readonly nodes: readonly NodeStatus[]
}

/** Counts of this coordinator. */
export interface PoolStats {
  /** Requests that got a node. */
  readonly requests: number
  /** Requests of this coordinator in flight. */
  readonly inFlight: number
  /** Callers that wait for a slot. */
  readonly waiting: number
  readonly nodes: number
  /** Nodes that get requests. */
  readonly serving: number
  /** Ejections of nodes because of the outcomes of their requests, by reason. */
  readonly ejections: Readonly<Record<string, number>>
}

/** Counts of all coordinators, as this one last heard. */
export interface SharedPoolStats {
  /** The registry's version. */
  readonly version: number
  readonly coordinators: number
  readonly nodes: number
  /** Sum of the nodes' capacities. */
  readonly capacity: number
  /** Requests of all coordinators in flight. */
  readonly inUse: number
}

export interface DecoderPool extends AsyncDisposable {
  /**
   * Registers or changes a node, and renews its lease until the node is removed or this pool is closed. The same
   * endpoint is the same node. Two round trips. @throws InvalidInputError
   */
  register(node: NodeInput): Promise<DecoderNode>
  /** Renews once the lease of a node that another process registered; `false` if there is none. One round trip. */
  renew(id: string): Promise<boolean>
  /** Removes a node, and remembers the removal. Returns whether there was one. Two round trips. */
  deregister(id: string): Promise<boolean>
  /**
   * Stops giving a node new requests, in all coordinators; requests in flight go on. It stays so until the node is
   * registered with `draining: false`. With a deadline, resolves when all coordinators' requests have ended, or the
   * time is up. `undefined` if there is no such node. Two round trips; waiting takes no further ones.
   */
  drain(id: string, options?: DrainOptions): Promise<Drained | undefined>
  /**
   * Reports a node's own state: its load is used in this coordinator's choices and fades within seconds; its adapters
   * and whether it drains are shared with all coordinators. `false` if there is no such node. No round trip if only
   * load is reported. @throws InvalidInputError
   */
  report(id: string, report: NodeReport): Promise<boolean>
  /** Returns a node with a free slot from the local view, without counting it. Synchronous, no round trip. */
  pick(wanted?: NodeRequirements): DecoderNode | undefined
  /** Takes a slot on a node, counted against its capacity; waiting callers are served in order. @throws NoNodeError */
  acquire(options?: AcquireOptions): Promise<AssignedLease>
  /**
   * Runs one request: chooses a node, calls it, records the outcome, and retries on another node if that is safe (or
   * `idempotent`), with a budget of a fifth of all requests. If the answer is a `Response`, the slot is kept until its
   * body has been read or cancelled. @throws NoNodeError, or what `call` throws
   */
  run<T>(call: (node: DecoderNode, signal: AbortSignal) => Promise<T>, options?: RunOptions): Promise<T>
  /**
   * Returns a `fetch` for SDKs. A request keeps its path and goes to a node that the pool chooses, whatever the URL's
   * host; it counts against the node's capacity until its answer has been read, and is retried on another node if that
   * is safe. Redirects are followed on the node itself; a redirect to elsewhere is returned as it is.
   * @throws what `fetch` throws, PoolClosedError, and with `noNode: 'throw'` NoNodeError
   * @example
   * const openai = new OpenAI({ baseURL: 'http://pool/v1', apiKey, fetch: pool.fetch() })
   */
  fetch(options?: PoolFetchOptions): typeof globalThis.fetch
  /** Experiments: which part of a language pair's requests goes to which nodes; shared by all coordinators. */
  readonly experiments: Experiments
  status(): PoolStatus
  /** Where the registry is read from: Redis or, while it is away, this process. */
  readonly state: FailoverState
  /** Counts of this coordinator. No round trip. */
  stats(): PoolStats
  /** Counts of all coordinators, as this one last heard. No round trip. */
  sharedStats(): SharedPoolStats
  /** The status of one node; `undefined` if there is none. No round trip. */
  inspect(id: string): NodeStatus | undefined
  on<K extends keyof PoolEvents>(event: K, listener: PoolEvents[K]): () => void
  /** Rejects waiting callers with CLOSED and ends background work; the connection stays open. May be called again. */
  close(): Promise<void>
}

/** Key of the pool's check of node addresses; the same in all copies of the package. */
export const addressGuard: unique symbol = Symbol.for('evenkeel.decoder-pool.address-guard') as never
/** For adapters: the spans that the pool was asked for. */
export const callSpans: unique symbol = Symbol.for('evenkeel.decoder-pool.spans') as never
/** For adapters: finds the node of an endpoint without a search of all nodes. */
export const nodeAtEndpoint: unique symbol = Symbol.for('evenkeel.decoder-pool.node-at') as never
