import { type Duration, durationMs, Emitter, type FailoverState, InvalidInputError } from '@evenkeel/core'
import { Chooser } from './balancing/balancer.js'
import { CandidateIndex, inService, matching } from './balancing/candidates.js'
import { nearestMiss } from './balancing/nearest-miss.js'
import { checkWanted, type Enrolled, type Wanted } from './balancing/requirements.js'
import { makeStrategy } from './balancing/strategies/index.js'
import { Dispatch, type NodeLease } from './dispatch/dispatcher.js'
import { type Acquire, RetryBudget, type RunOptions, runOnPool } from './dispatch/run.js'
import { type MirrorDamagedError, NoNodeError } from './errors.js'
import { type Assignment, ExperimentBook, type Experiments } from './experiments/experiments.js'
import { nothing } from './file/content.js'
import { Mirroring } from './file/sync.js'
import { Health } from './health/health.js'
import type { PreservationStatus } from './health/preservation.js'
import type { NodeHealth } from './health/status.js'
import { LeaseKeeper } from './lease-keeper.js'
import { Metrics } from './metrics.js'
import { checkNode, type DecoderNode, type NodeInput } from './nodes/node.js'
import { checkReport, type NodeReport } from './nodes/node-report.js'
import type { NodeState } from './nodes/node-state.js'
import { Members, type PoolChange } from './nodes/node-table.js'
import { type DecoderPoolOptions, type ResolvedOptions, resolveOptions } from './options.js'
import { maxNodes } from './registry/port.js'
import { Registry } from './registry/registry.js'
import { Slots } from './slots/slots.js'

export type PoolEvents = {
  change(change: PoolChange): void
  warning(error: MirrorDamagedError): void
}

export interface AcquireOptions extends Wanted, Enrolled {
  /** How long to wait for a free place. @default 0, not at all */
  readonly timeout?: Duration | undefined
  readonly signal?: AbortSignal | undefined
}

/** A place, and the part in an experiment that the request has. */
export interface AssignedLease extends NodeLease {
  readonly experiment?: (Assignment & { readonly diverted: boolean }) | undefined
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

export interface DecoderPool {
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
  pick(wanted?: Wanted): DecoderNode | undefined
  /** A place on the node for a request, counted against its capacity; waits first come, first served. @throws NoNodeError */
  acquire(options?: AcquireOptions): Promise<AssignedLease>
  /**
   * One request on the pool: chooses a node, calls it, hears how it went, and tries another one where that is
   * safe (or `idempotent`), within a budget of a fifth of all requests. Where the answer is a `Response` the node's
   * place is kept until its body has been read or cancelled. @throws NoNodeError, or what `call` throws
   */
  run<T>(call: (node: DecoderNode, signal: AbortSignal) => Promise<T>, options?: RunOptions): Promise<T>
  /** Which part of a language pair's requests goes to which nodes; shared by all coordinators. */
  readonly experiments: Experiments
  status(): PoolStatus
  on<K extends keyof PoolEvents>(event: K, listener: PoolEvents[K]): () => void
  /** Ends what the pool began; the connection stays open. */
  close(): Promise<void>
}

/**
 * A registry of inference nodes that coordinators share through Redis, and the choice of one. While Redis
 * is away every coordinator goes on with the pool as it knew it; what changes meanwhile is merged on return.
 * @example
 * const pool = await createDecoderPool({ redis, file: './decoder-pool.json' })
 * await pool.register({ endpoint: 'http://10.0.0.7:8000', capacity: 8 })
 * const lease = await pool.acquire({ timeout: '5s' })
 */
export async function createDecoderPool(options: DecoderPoolOptions = {}): Promise<DecoderPool> {
  return startPool(resolveOptions(options))
}

/** With what tests alone can say: the registry's time. */
export async function startPool(options: ResolvedOptions): Promise<DecoderPool> {
  const pool = new Pool(options)
  await pool.start()
  return pool
}

class Pool implements DecoderPool {
  readonly #options: ResolvedOptions
  readonly #registry: Registry
  readonly #mirror: Mirroring | undefined
  readonly #health: Health
  readonly #keeper: LeaseKeeper
  readonly #events = new Emitter<PoolEvents>()
  readonly #members = new Members()
  /** Ids that were registered here: this coordinator renews their leases. */
  readonly #own = new Set<string>()
  readonly #candidates: CandidateIndex
  readonly #chooser: Chooser
  readonly #slots: Slots
  readonly #dispatch: Dispatch
  readonly #budget = new RetryBudget()
  readonly #metrics: Metrics
  readonly experiments: ExperimentBook
  #closed = false

  constructor(options: ResolvedOptions) {
    const { file, leaseMs, name, random } = options
    this.#options = options
    this.#registry = new Registry(options, () => this.#follow())
    this.#health = new Health(options, {
      members: this.#members,
      isAuthoritative: () => this.#registry.isAuthoritative,
      serviceChanged: () => this.#candidates.invalidate(),
      serve: () => this.#dispatch.serve(),
      adaptersChanged: (id, adapters) => this.report(id, { adapters }),
      remove: (id) => this.#registry.remove(id),
    })
    this.#candidates = new CandidateIndex(
      () => this.#members.list,
      options.region,
      (state, now) => this.#health.trialDue(state, now),
    )
    this.#chooser = new Chooser(
      this.#candidates,
      makeStrategy[options.strategy](),
      options.adapterMargin,
      random,
      (state) => this.#hasRoom(state),
    )
    this.#slots = new Slots(options, {
      freed: () => this.#dispatch.serve(),
      told: (id, total) => this.#members.get(id)?.reported(options.clock.monotonic(), total),
      waiting: () => this.#dispatch.waitingWishes(),
    })
    this.#dispatch = new Dispatch({
      chooser: this.#chooser,
      slots: this.#slots,
      clock: options.clock,
      maxWaiting: options.maxWaiting,
      released: (state) => this.#members.released(state),
      began: (state, now) => this.#health.began(state, now),
      ended: (...args) => this.#health.ended(...args),
      noNode: (wanted) => this.#noNode(wanted),
    })
    this.experiments = new ExperimentBook({ ...options, clock: this.#registry.clock }, () => this.#save())
    this.#mirror =
      file === undefined
        ? undefined
        : new Mirroring(file, name, {
            registry: this.#registry,
            experiments: this.experiments,
            register: (node) => this.register(node),
            warn: (error) => this.#warn(error),
          })
    this.#metrics = new Metrics(name, options.telemetry, {
      status: () => this.status(),
      exposures: () => this.experiments.exposures(),
      ejections: () => this.#health.ejections,
      requests: () => this.#dispatch.requests,
    })
    this.#keeper = new LeaseKeeper(
      leaseMs,
      () => this.#toRenew(),
      (ids) => this.#registry.renew(ids),
      random,
    )
  }

  async start(): Promise<void> {
    const { content = nothing, damage } = (await this.#mirror?.load()) ?? {}
    await this.#registry.start(content)
    await this.experiments.start(content.experiments)
    this.#mirror?.watch(this.#options.pollIntervalMs)
    this.#keeper.start()
    await this.#slots.start()
    await this.#health.start()
    // Whoever created the pool can listen only after this.
    if (damage !== undefined) setImmediate(() => this.#warn(damage))
  }

  async register(input: NodeInput): Promise<DecoderNode> {
    const checked = checkNode(input)
    // A node that registers itself again, as they do, must not undo that somebody drains it.
    const isSaid = input.draining !== undefined && input.draining !== null
    const known = this.#members.get(checked.id)?.node
    const node = {
      ...checked,
      draining: isSaid ? checked.draining : (known?.draining ?? false),
      // Nor that probes have learnt what it has loaded.
      adapters: (input.adapters ?? undefined) === undefined ? (known?.adapters ?? []) : checked.adapters,
    }
    const { id, outcome } = await this.#registry.put(node)
    if (outcome === 'full') throw new InvalidInputError('node', `at most ${maxNodes} nodes in a pool`, id)
    this.#own.add(id)
    return this.#members.get(id)?.node ?? { ...node, id }
  }

  async renew(id: string): Promise<boolean> {
    return (await this.#registry.renew([id])).length === 0
  }

  deregister(id: string): Promise<boolean> {
    return this.#registry.remove(id)
  }

  async drain(id: string, { deadline = 0, signal }: DrainOptions = {}): Promise<Drained | undefined> {
    const deadlineMs = durationMs('deadline', deadline)
    signal?.throwIfAborted()
    if (!(await this.#registry.change(id, (node) => ({ ...node, draining: true })))) return undefined
    await this.#slots.whenIdle(id, deadlineMs, signal)
    return { left: this.#slots.totalOn(id) }
  }

  async report(id: string, report: NodeReport): Promise<boolean> {
    checkReport(report)
    const state = this.#members.get(id)
    if (state === undefined) return false
    const { running, waiting, adapters, draining } = report
    if (running !== undefined) state.reported(this.#options.clock.monotonic(), running + (waiting ?? 0))
    if (adapters === undefined && draining === undefined) return true
    return this.#registry.change(id, (node) =>
      checkNode({ ...node, adapters: adapters ?? node.adapters, draining: draining ?? node.draining }),
    )
  }

  pick(wanted: Wanted = {}): DecoderNode | undefined {
    return this.#chooser.choose(wanted, this.#options.clock.monotonic())?.node
  }

  async acquire(options: AcquireOptions = {}): Promise<AssignedLease> {
    checkWanted(options)
    const timeoutMs = durationMs('timeout', options.timeout ?? 0)
    const { wanted, part, served } = this.#enrol(options)
    const lease = await this.#dispatch.acquire(wanted, timeoutMs, options.signal)
    served()
    return part === undefined ? lease : { ...lease, experiment: part }
  }

  async run<T>(
    call: (node: DecoderNode, signal: AbortSignal) => Promise<T>,
    options: RunOptions = {},
  ): Promise<T> {
    checkWanted(options)
    const { wanted, served } = this.#enrol(options)
    const host = {
      acquire: (...args: Parameters<Acquire>) => this.#dispatch.acquire(...args),
      budget: this.#budget,
      clock: this.#options.clock,
    }
    const value = await runOnPool(host, call, { ...options, ...wanted })
    served()
    return value
  }

  status(): PoolStatus {
    return {
      state: this.#registry.state,
      version: this.#members.version,
      waiting: this.#dispatch.waiting,
      coordinators: this.#slots.live().length,
      preservation: this.#health.preservation(),
      nodes: this.#members.list.map((state) => ({
        node: state.node,
        ...this.#health.statusOf(state),
        inFlight: state.inFlight,
        inUse: this.#slots.totalOn(state.node.id),
        requests: state.requests,
      })),
    }
  }

  on<K extends keyof PoolEvents>(event: K, listener: PoolEvents[K]): () => void {
    return this.#events.on(event, listener)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#keeper.close()
    await this.#health.close()
    this.#dispatch.close()
    await this.#slots.close()
    this.#metrics.close()
    await this.#registry.close()
    await this.experiments.close()
    await this.#mirror?.close()
    this.#events.clear()
  }

  /** What a request wants once the experiment that it has a part in has had its say. */
  #enrol<T extends Wanted & Enrolled>(options: T) {
    const { languagePair, unit } = options
    const assigned =
      languagePair === undefined || unit === undefined
        ? undefined
        : this.experiments.assign(languagePair, unit)
    if (assigned === undefined || unit === undefined) {
      return { wanted: options, part: undefined, served: () => {} }
    }
    const inArm = { ...options, tags: [...(options.tags ?? []), ...assigned.tags] }
    // An arm without a node in service must not cost its units their answers.
    const diverted = !this.#isServed(inArm)
    return {
      wanted: diverted ? options : inArm,
      part: { ...assigned, diverted },
      served: () => this.experiments.exposed(assigned, unit, diverted),
    }
  }

  /** Whether a node for it is in service, free or not. */
  #isServed(wanted: Wanted): boolean {
    const fitting = matching(this.#members.list, wanted)
    const now = this.#options.clock.monotonic()
    return fitting.some((state) => state.isServing(now))
  }

  #noNode(wanted: Wanted): NoNodeError {
    if (this.#closed) return new NoNodeError('closed', 'The pool was closed')
    const { list } = this.#members
    const matches = matching(list, wanted)
    if (matches.length === 0) return new NoNodeError('no-match', nearestMiss(list, wanted))
    const serving = inService(matches, this.#options.clock.monotonic()).usable
    const full = serving.filter((state) => !this.#hasRoom(state)).length
    return new NoNodeError('no-capacity', `${full} of ${matches.length} nodes that fit are at their capacity`)
  }

  /** Its own nodes, unless probes say that they are gone; and suspects of others that answer, whoever should renew them. */
  #toRenew(): readonly string[] {
    return this.#members.list
      .filter((state) => {
        const { id } = state.node
        const isSuspect = this.#members.expiredForMs(id) !== undefined
        return this.#own.has(id) ? state.healthy : isSuspect && this.#health.answers(state)
      })
      .map(({ node }) => node.id)
  }

  #hasRoom({ node: { id, capacity }, inFlight }: NodeState): boolean {
    return this.#slots.hasRoom(id, capacity, inFlight)
  }

  #follow(): void {
    // A read that was under way when the pool was closed.
    if (this.#closed) return
    const known = this.#registry.known()
    const change = this.#members.follow(known, this.#options.clock.monotonic())
    this.#health.observed({
      ...this.#registry.takeSight(),
      isAuthoritative: this.#registry.isAuthoritative,
      nodes: this.#members.list.length,
      expired: known.expired,
    })
    if (change === undefined) return
    for (const id of change.removed) this.#own.delete(id)
    this.#candidates.invalidate()
    this.#warmNewcomers(change)
    this.#events.emit('change', change)
    this.#dispatch.serve()
    this.#save()
  }

  #save(): void {
    void this.#mirror?.save()
  }

  /** Whoever joins a pool that serves begins slowly; where most of it is new, there is nobody to spare them. */
  #warmNewcomers({ added }: PoolChange): void {
    const { clock, slowStartMs } = this.#options
    const now = clock.monotonic()
    const settled = this.#members.list.filter(({ joinedAt }) => now - joinedAt >= slowStartMs).length
    if (settled * 2 < this.#members.list.length) return
    for (const id of added) this.#members.get(id)?.warmsUp(now, this.#options)
  }

  #warn(error: MirrorDamagedError): void {
    if (this.#events.has('warning')) this.#events.emit('warning', error)
    else process.emitWarning(error)
  }
}
