import type { FailoverState } from '@evenkeel/core'
import { createSpans, durationMs, Emitter, type Spans, setImmediate, traceMethods } from '@evenkeel/core/kit'
import { createPoolFetch } from './adapters/pool-fetch.js'
import {
  type AcquireOptions,
  type AssignedLease,
  addressGuard,
  callSpans,
  type DecoderPool,
  type Drained,
  type DrainOptions,
  type NodeStatus,
  nodeAtEndpoint,
  type PoolEvents,
  type PoolFetchOptions,
  type PoolStats,
  type PoolStatus,
  type SharedPoolStats,
} from './api.js'
import { Balancer } from './balancing/balancer.js'
import { CandidateIndex } from './balancing/candidates.js'
import { NodeService } from './balancing/node-service.js'
import { checkRequirements, type ExperimentUnit, type NodeRequirements } from './balancing/requirements.js'
import { makeStrategy } from './balancing/strategies/index.js'
import { Dispatcher } from './dispatch/dispatcher.js'
import { unused } from './dispatch/outcome.js'
import { RetryBudget } from './dispatch/retry-budget.js'
import { type RunHost, type RunOptions, runOnPool } from './dispatch/run.js'
import { tracedRun } from './dispatch/traced-run.js'
import { type MirrorDamagedError, PoolClosedError } from './errors.js'
import { ExperimentBook } from './experiments/experiments.js'
import { nothing } from './file/content.js'
import { FileSync } from './file/sync.js'
import { Health } from './health/health.js'
import type { HealthState } from './health/status.js'
import { observePool } from './metrics.js'
import { AddressGuard } from './nodes/addresses.js'
import { checkStoredNode, type DecoderNode, type NodeInput } from './nodes/node.js'
import { checkReport, type NodeReport } from './nodes/node-report.js'
import type { NodeState } from './nodes/node-state.js'
import { NodeTable, type PoolChange } from './nodes/node-table.js'
import { type DecoderPoolOptions, type ResolvedOptions, resolveOptions } from './options.js'
import { OwnNodes } from './registry/own-nodes.js'
import { Registry } from './registry/registry.js'
import { Slots } from './slots/slots.js'

/**
 * Creates a pool: a registry of inference nodes that coordinators share through Redis, and the choice of a node for
 * each request. While Redis is away, each coordinator uses the pool as it knew it, and merges changes on return.
 * @example
 * const pool = await createDecoderPool({ redis, file: './decoder-pool.json' })
 * await pool.register({ endpoint: 'http://10.0.0.7:8000', capacity: 8 })
 * const lease = await pool.acquire({ timeout: '5s' })
 */
export async function createDecoderPool(options: DecoderPoolOptions = {}): Promise<DecoderPool> {
  return startPool(resolveOptions(options))
}

/** Also takes an option for tests: the registry's time. */
export async function startPool(options: ResolvedOptions): Promise<DecoderPool> {
  const pool = new Pool(options)
  await pool.start()
  return pool
}

/** Methods that ask Redis, or wait for a node; `run` has a more detailed span. */
const tracedMethods = {
  register: 'decoder_pool register',
  renew: 'decoder_pool renew',
  deregister: 'decoder_pool deregister',
  drain: 'decoder_pool drain',
  report: 'decoder_pool report',
  acquire: 'decoder_pool acquire',
} as const

class Pool implements DecoderPool {
  readonly #options: ResolvedOptions
  readonly #registry: Registry
  readonly #mirror: FileSync | undefined
  readonly #health: Health
  readonly #events = new Emitter<PoolEvents>()
  readonly #members = new NodeTable()
  readonly #own: OwnNodes
  readonly #service: NodeService
  readonly #candidates: CandidateIndex
  readonly #balancer: Balancer
  readonly #slots: Slots
  readonly #dispatch: Dispatcher
  readonly #budget = new RetryBudget()
  readonly #guard = new AddressGuard()
  readonly #runHost: RunHost
  readonly #spans: Spans | undefined
  readonly #stopMetrics: () => void
  readonly experiments: ExperimentBook
  #closed = false
  #closing: Promise<void> | undefined

  constructor(options: ResolvedOptions) {
    const { file, name, random } = options
    this.#options = options
    this.#registry = new Registry(options, () => this.#follow())
    this.#health = new Health(options, {
      members: this.#members,
      isAuthoritative: () => this.#registry.isAuthoritative,
      serviceChanged: () => this.#candidates.invalidate(),
      serve: () => this.#dispatch.serve(),
      adaptersChanged: (id, adapters) => this.report(id, { adapters }),
      remove: (id) => this.#registry.remove(id),
      guard: this.#guard,
    })
    this.#own = new OwnNodes(options, {
      registry: this.#registry,
      members: this.#members,
      answers: (state) => this.#health.answers(state),
    })
    this.#service = new NodeService(this.#members, options.clock, (state) => this.#hasRoom(state))
    this.#candidates = new CandidateIndex(
      () => this.#members.list,
      options.region,
      (state, now) => this.#health.trialDue(state, now),
    )
    this.#balancer = new Balancer(
      this.#candidates,
      makeStrategy[options.strategy](),
      options.adapterMargin,
      random,
      (state) => this.#hasRoom(state),
    )
    this.#slots = new Slots(options, {
      freed: () => this.#dispatch.serve(),
      told: (id, total) => this.#members.get(id)?.reported(options.clock.monotonic(), total),
      waiting: () => this.#dispatch.waitingRequirements(),
    })
    this.#dispatch = new Dispatcher({
      balancer: this.#balancer,
      slots: this.#slots,
      clock: options.clock,
      maxWaiting: options.maxWaiting,
      released: (state) => this.#members.released(state),
      began: (state, now) => this.#health.began(state, now),
      given: ({ node }) => this.#events.emit('given', { node }),
      ended: (state, phase, outcome, now, tookMs) => {
        this.#health.ended(state, phase, outcome, now, tookMs)
        const { ok, error } = outcome
        if (error !== unused) this.#events.emit('ended', { node: state.node, ok, error, tookMs })
      },
      noNode: (wanted) => this.#service.noNode(wanted),
      mayServe: (wanted, except, withinMs) => this.#service.mayServe(wanted, except, withinMs),
    })
    this.#runHost = {
      acquire: (wanted, request) => this.#dispatch.acquire(wanted, request),
      budget: this.#budget,
      clock: options.clock,
      typicalMs: () => this.#health.typicalMs(),
      checkAddress: ({ endpoint }) => this.#guard.check(endpoint, false),
      contradicted: (id) => this.#health.contradicted(id, options.clock.monotonic()),
    }
    this.experiments = new ExperimentBook({ ...options, clock: this.#registry.clock }, () => this.#save())
    this.#mirror =
      file === undefined
        ? undefined
        : new FileSync(file, name, {
            registry: this.#registry,
            experiments: this.experiments,
            register: async (node) => {
              this.#refuseIfClosed()
              return this.#own.register(node, true)
            },
            warn: (error) => this.#warn(error),
          })
    const { telemetry } = options
    this.#spans = createSpans('@evenkeel/decoder-pool', telemetry)
    traceMethods(this.#spans, this as DecoderPool, tracedMethods, { 'evenkeel.decoder_pool.name': name })
    this.#stopMetrics = observePool(name, telemetry, {
      status: () => this.status(),
      exposures: () => this.experiments.exposures(),
      ejections: () => this.#health.ejections,
      requests: () => this.#dispatch.requests,
    })
  }

  async start(): Promise<void> {
    const { content = nothing, damage } = (await this.#mirror?.load()) ?? {}
    await this.#registry.start(content)
    await this.experiments.start(content.experiments)
    this.#mirror?.watch(this.#options.pollIntervalMs)
    this.#own.start()
    await this.#slots.start()
    await this.#health.start()
    // The caller that created the pool can listen only after this.
    if (damage !== undefined) setImmediate(() => this.#warn(damage))
  }

  async register(input: NodeInput): Promise<DecoderNode> {
    this.#refuseIfClosed()
    return this.#own.register(input, false)
  }

  #refuseIfClosed(): void {
    if (this.#closed) throw new PoolClosedError()
  }

  async renew(id: string): Promise<boolean> {
    this.#refuseIfClosed()
    return (await this.#registry.renew([id])).length === 0
  }

  async deregister(id: string): Promise<boolean> {
    this.#refuseIfClosed()
    return this.#registry.remove(id)
  }

  async drain(id: string, { deadline = 0, signal }: DrainOptions = {}): Promise<Drained | undefined> {
    this.#refuseIfClosed()
    const deadlineMs = durationMs('deadline', deadline)
    signal?.throwIfAborted()
    if (!(await this.#registry.change(id, (node) => ({ ...node, draining: true })))) return undefined
    await this.#slots.whenIdle(id, deadlineMs, signal)
    return { left: this.#slots.totalOn(id) }
  }

  async report(id: string, report: NodeReport): Promise<boolean> {
    this.#refuseIfClosed()
    checkReport(report)
    const state = this.#members.get(id)
    if (state === undefined) return false
    const { running, waiting, adapters, draining } = report
    if (running !== undefined) state.reported(this.#options.clock.monotonic(), running + (waiting ?? 0))
    if (adapters === undefined && draining === undefined) return true
    return this.#registry.change(id, (node) =>
      checkStoredNode({ ...node, adapters: adapters ?? node.adapters, draining: draining ?? node.draining }),
    )
  }

  pick(wanted: NodeRequirements = {}): DecoderNode | undefined {
    return this.#balancer.choose(wanted, this.#options.clock.monotonic())?.node
  }

  async acquire(options: AcquireOptions = {}): Promise<AssignedLease> {
    checkRequirements(options)
    const timeoutMs = durationMs('timeout', options.timeout ?? 0)
    const { wanted, part, served } = this.#enrol(options)
    const lease = await this.#dispatch.acquire(wanted, { timeoutMs, signal: options.signal })
    served()
    return part === undefined ? lease : { ...lease, experiment: part }
  }

  async run<T>(
    call: (node: DecoderNode, signal: AbortSignal) => Promise<T>,
    options: RunOptions = {},
  ): Promise<T> {
    checkRequirements(options)
    const { wanted, served } = this.#enrol(options)
    const run = { ...options, ...wanted }
    const value =
      this.#spans === undefined
        ? await runOnPool(this.#runHost, call, run)
        : await tracedRun(this.#spans, this.#options.name, call, (traced) =>
            runOnPool(this.#runHost, traced, run),
          )
    served()
    return value
  }

  fetch(options: PoolFetchOptions = {}): typeof globalThis.fetch {
    return createPoolFetch({ ...options, pool: this })
  }

  /** For adapters: where calls of nodes are traced. */
  get [callSpans](): Spans | undefined {
    return this.#spans
  }

  /** For adapters: checks an endpoint's address again when it is called. */
  get [addressGuard](): AddressGuard {
    return this.#guard
  }

  [nodeAtEndpoint](endpoint: string): DecoderNode | undefined {
    return this.#registry.nodeAt(endpoint)
  }

  status(): PoolStatus {
    return {
      state: this.#registry.state,
      version: this.#members.version,
      waiting: this.#dispatch.waiting,
      coordinators: this.#slots.live().length,
      preservation: this.#health.preservation(),
      nodes: this.#members.list.map((state) => this.#statusOf(state)),
    }
  }

  get state(): FailoverState {
    return this.#registry.state
  }

  stats(): PoolStats {
    const count = (states: readonly HealthState[]) =>
      this.#members.list.filter((state) => states.includes(this.#health.statusOf(state).state)).length
    return {
      requests: this.#dispatch.requests,
      inFlight: this.#members.list.reduce((sum, { inFlight }) => sum + inFlight, 0),
      waiting: this.#dispatch.waiting,
      nodes: this.#members.list.length,
      serving: count(['serving', 'suspect', 'warming']),
      ejections: { ...this.#health.ejections },
    }
  }

  sharedStats(): SharedPoolStats {
    const { list, version } = this.#members
    return {
      version,
      coordinators: this.#slots.live().length,
      nodes: list.length,
      capacity: list.reduce((sum, { node }) => sum + node.capacity, 0),
      inUse: list.reduce((sum, { node }) => sum + this.#slots.totalOn(node.id), 0),
    }
  }

  inspect(id: string): NodeStatus | undefined {
    const state = this.#members.get(id)
    return state && this.#statusOf(state)
  }

  #statusOf(state: NodeState): NodeStatus {
    return {
      node: state.node,
      ...this.#health.statusOf(state),
      inFlight: state.inFlight,
      inUse: this.#slots.totalOn(state.node.id),
      requests: state.requests,
    }
  }

  on<K extends keyof PoolEvents>(event: K, listener: PoolEvents[K]): () => void {
    return this.#events.on(event, listener)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(): Promise<void> {
    this.#closed = true
    // Waiting callers are rejected before anything that takes time.
    this.#dispatch.close()
    this.#own.close()
    await this.#health.close()
    await this.#slots.close()
    this.#stopMetrics()
    await this.#registry.close()
    await this.experiments.close()
    await this.#mirror?.close()
    this.#events.clear()
  }

  /** The requirements of a request, with the tags of the experiment that it takes part in. */
  #enrol<T extends NodeRequirements & ExperimentUnit>(options: T) {
    const { languagePair, unit } = options
    const assigned =
      languagePair === undefined || unit === undefined
        ? undefined
        : this.experiments.assign(languagePair, unit)
    if (assigned === undefined || unit === undefined) {
      return { wanted: options, part: undefined, served: () => {} }
    }
    const inArm = { ...options, tags: [...(options.tags ?? []), ...assigned.tags] }
    // If no node of the arm is in service, other nodes serve its units.
    const diverted = !this.#service.isServed(inArm)
    return {
      wanted: diverted ? options : inArm,
      part: { ...assigned, diverted },
      served: () => this.experiments.exposed(assigned, unit, diverted),
    }
  }

  #hasRoom({ id, capacity, inFlight }: NodeState): boolean {
    return this.#slots.hasRoom(id, capacity, inFlight)
  }

  #follow(): void {
    // A read may have been in flight when the pool was closed.
    if (this.#closed) return
    const news = this.#registry.news()
    const change = this.#members.follow(news, this.#options.clock.monotonic())
    this.#health.observed({
      ...this.#registry.takeSight(),
      isAuthoritative: this.#registry.isAuthoritative,
      nodes: this.#members.size,
      expired: news.expired,
    })
    if (change === undefined) return
    this.#own.forget(change.removed)
    this.#candidates.invalidate()
    this.#warmNewcomers(change)
    this.#events.emit('change', change)
    this.#dispatch.serve()
    this.#save()
  }

  #save(): void {
    void this.#mirror?.save()
  }

  /** A node that joins a serving pool begins slowly. If most nodes are new, there are no others to take the load. */
  #warmNewcomers({ added }: PoolChange): void {
    const { clock, slowStartMs } = this.#options
    const now = clock.monotonic()
    if (this.#members.settled(now, slowStartMs) * 2 < this.#members.size) return
    for (const id of added) this.#members.get(id)?.warmsUp(now, this.#options)
  }

  #warn(error: MirrorDamagedError): void {
    if (this.#events.has('warning')) this.#events.emit('warning', error)
    else process.emitWarning(error)
  }
}
