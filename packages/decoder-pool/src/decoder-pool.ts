import { Emitter, type FailoverState } from '@evenkeel/core'
import { inService, leastLoadedOfTwo, matching, preferred, type Wanted } from './choose.js'
import { MirrorDamagedError, NoNodeError } from './errors.js'
import { FileMirror } from './file-mirror.js'
import { checkNode, type DecoderNode, type NodeInput } from './node.js'
import { NodeState } from './node-state.js'
import { type DecoderPoolOptions, type ResolvedOptions, resolveOptions } from './options.js'
import { Prober } from './prober.js'
import { Registry } from './registry.js'
import type { Snapshot } from './store.js'
import { WaitingLine } from './waiting-line.js'

export interface PoolChange {
  readonly added: readonly string[]
  readonly removed: readonly string[]
  readonly updated: readonly string[]
  /** The registry's version. */
  readonly version: number
}

export type PoolEvents = {
  change(change: PoolChange): void
  warning(error: MirrorDamagedError): void
}

export interface Outcome {
  readonly ok: boolean
  readonly latencyMs?: number | undefined
  readonly error?: unknown
}

/** One request's place on a node. */
export interface NodeLease {
  readonly node: DecoderNode
  /** Gives the place back, and says how it went; once, further calls do nothing. */
  release(outcome: Outcome): void
}

export interface AcquireOptions extends Wanted {
  /** How long to wait for a free place. @default 0, not at all */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

export interface NodeStatus {
  readonly node: DecoderNode
  readonly healthy: boolean
  readonly ejected: boolean
  /** Its lease has ended: only probes speak for it. */
  readonly suspect: boolean
  /** Requests of this coordinator under way. */
  readonly inFlight: number
  /** Requests that this coordinator gave it. */
  readonly requests: number
}

export interface PoolStatus {
  readonly state: FailoverState
  readonly version: number
  readonly waiting: number
  readonly nodes: readonly NodeStatus[]
}

export interface DecoderPool {
  /** Registers or changes a node, and renews its lease. The same endpoint twice is one node. One round trip, and one to look. */
  register(node: NodeInput): Promise<DecoderNode>
  /** Renews a node's lease; `false` where it is not registered. One round trip. */
  renew(id: string): Promise<boolean>
  /** Removes a node; the removal is remembered. */
  deregister(id: string): Promise<boolean>
  /** Takes a node out for new requests, and leaves it those it has. */
  drain(id: string): Promise<boolean>
  /** A node with a free place, from the local view: synchronous, no round trip. Nothing is counted. */
  pick(wanted?: Wanted): DecoderNode | undefined
  /** A place on the node for a request, counted against its capacity; waits first come, first served. @throws NoNodeError */
  acquire(options?: AcquireOptions): Promise<NodeLease>
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
 * const lease = await pool.acquire({ timeoutMs: 5_000 })
 */
export async function createDecoderPool(options: DecoderPoolOptions = {}): Promise<DecoderPool> {
  const pool = new Pool(resolveOptions(options))
  await pool.start()
  return pool
}

class Pool implements DecoderPool {
  readonly #options: ResolvedOptions
  readonly #registry: Registry
  readonly #mirror: FileMirror | undefined
  readonly #prober: Prober | undefined
  readonly #events = new Emitter<PoolEvents>()
  readonly #states = new Map<string, NodeState>()
  readonly #line: WaitingLine<NodeLease>
  #list: readonly NodeState[] = []
  #snapshot: Snapshot | undefined
  #damage: MirrorDamagedError | undefined

  constructor(options: ResolvedOptions) {
    const { file, name, probe, random } = options
    this.#options = options
    this.#mirror = file === undefined ? undefined : new FileMirror(file, name)
    this.#registry = new Registry(options, (snapshot) => this.#follow(snapshot))
    this.#line = new WaitingLine<NodeLease>(options.maxWaiting)
    this.#prober =
      probe &&
      new Prober(
        probe,
        () => this.#list.map(({ node }) => node),
        (id, ok) => this.#probed(id, ok),
        random,
      )
  }

  async start(): Promise<void> {
    await this.#registry.start(async () => {
      const loaded = await this.#mirror?.load()
      this.#damage = loaded?.damage
      return loaded?.nodes ?? []
    })
    this.#prober?.start()
    const damage = this.#damage
    // Whoever created the pool can listen only after this.
    if (damage !== undefined) setImmediate(() => this.#warn(damage))
  }

  async register(input: NodeInput): Promise<DecoderNode> {
    const node = checkNode(input)
    const { id } = await this.#registry.put(node)
    return this.#states.get(id)?.node ?? { ...node, id }
  }

  renew(id: string): Promise<boolean> {
    return this.#registry.renew(id)
  }

  deregister(id: string): Promise<boolean> {
    return this.#registry.remove(id)
  }

  async drain(id: string): Promise<boolean> {
    const state = this.#states.get(id)
    if (state === undefined) return false
    await this.#registry.put({ ...state.node, draining: true })
    return true
  }

  pick(wanted: Wanted = {}): DecoderNode | undefined {
    return this.#choose(wanted)?.node
  }

  async acquire(options: AcquireOptions = {}): Promise<NodeLease> {
    const { timeoutMs = 0, signal } = options
    const lease = this.#line.isEmpty ? this.#take(options) : undefined
    if (lease !== undefined) return lease
    if (timeoutMs <= 0) throw this.#noNode(options)
    const given = await this.#line.wait(() => this.#take(options), { timeoutMs, signal })
    if (given === 'full')
      throw new NoNodeError('too-many-waiting', `${this.#options.maxWaiting} callers wait already`)
    if (given === undefined) throw this.#noNode(options)
    return given
  }

  status(): PoolStatus {
    const now = this.#options.clock.monotonic()
    return {
      state: this.#registry.state,
      version: this.#snapshot?.version ?? 0,
      waiting: this.#line.length,
      nodes: this.#list.map((state) => ({
        node: state.node,
        healthy: state.healthy,
        ejected: state.isEjected(now),
        suspect: this.#snapshot?.expired.has(state.node.id) ?? false,
        inFlight: state.inFlight,
        requests: state.requests,
      })),
    }
  }

  on<K extends keyof PoolEvents>(event: K, listener: PoolEvents[K]): () => void {
    return this.#events.on(event, listener)
  }

  async close(): Promise<void> {
    this.#prober?.close()
    this.#line.close()
    await this.#registry.close()
    // An empty pool is only ever written because its last node was removed.
    if (this.#list.length > 0) await this.#mirror?.write(this.#nodes()).catch(() => {})
    this.#events.clear()
  }

  #choose(wanted: Wanted): NodeState | undefined {
    const { clock, random, region } = this.#options
    const usable = inService(matching(this.#list, wanted), clock.monotonic())
    return leastLoadedOfTwo(preferred(usable, { ...wanted, region: wanted.region ?? region }), random)
  }

  /** Chooses and counts in one go, so that nobody else is given the same place. */
  #take(wanted: Wanted): NodeLease | undefined {
    const state = this.#choose(wanted)
    return state && this.#lease(state)
  }

  #lease(state: NodeState): NodeLease {
    state.inFlight++
    state.requests++
    let released = false
    return {
      node: state.node,
      release: ({ ok }) => {
        if (released) return
        released = true
        state.inFlight--
        const now = this.#options.clock.monotonic()
        if (ok) state.succeeded()
        else state.failed(now, this.#thresholds())
        this.#line.serve()
      },
    }
  }

  #noNode(wanted: Wanted): NoNodeError {
    const matches = matching(this.#list, wanted)
    if (matches.length === 0)
      return new NoNodeError('no-match', `None of ${this.#list.length} nodes fits the request`)
    const serving = inService(matches, this.#options.clock.monotonic())
    const full = serving.filter((state) => state.inFlight >= state.node.capacity).length
    return new NoNodeError('no-capacity', `${full} of ${matches.length} nodes that fit are at their capacity`)
  }

  #probed(id: string, ok: boolean): void {
    const state = this.#states.get(id)
    if (state === undefined) return
    state.probed(ok, this.#options.clock.monotonic(), this.#thresholds())
    const expiredMs = this.#snapshot?.expired.get(id)
    // A node that answers lives, whoever should have renewed its lease.
    if (ok) void this.#registry.renew(id).catch(() => {})
    // Only Redis's word counts for a removal, and only when no probe speaks for the node.
    else if (
      expiredMs !== undefined &&
      expiredMs > this.#options.removeAfterMs &&
      !state.healthy &&
      this.#registry.state === 'primary'
    ) {
      void this.#registry.remove(id).catch(() => {})
    }
    if (ok) this.#line.serve()
  }

  #follow(snapshot: Snapshot): void {
    const change = this.#apply(snapshot)
    this.#snapshot = snapshot
    const changes = change.added.length + change.removed.length + change.updated.length
    if (changes === 0) return
    this.#list = [...this.#states.values()]
    this.#events.emit('change', change)
    this.#line.serve()
    this.#mirror?.write(this.#nodes()).catch((error: unknown) => {
      this.#warn(
        new MirrorDamagedError(this.#options.file ?? '', `could not be written: ${error}`, { cause: error }),
      )
    })
  }

  #apply({ registrations, version }: Snapshot): PoolChange {
    const added: string[] = []
    const updated: string[] = []
    const gone = new Set(this.#states.keys())
    for (const { node } of registrations) {
      gone.delete(node.id)
      const state = this.#states.get(node.id)
      if (state === undefined) {
        this.#states.set(node.id, new NodeState(node))
        added.push(node.id)
      } else if (JSON.stringify(state.node) !== JSON.stringify(node)) {
        state.node = node
        updated.push(node.id)
      }
    }
    for (const id of gone) this.#states.delete(id)
    return { added, updated, removed: [...gone], version }
  }

  #nodes(): readonly DecoderNode[] {
    return [...this.#states.values()]
      .map(({ node }) => node)
      .sort((one, other) => (one.id < other.id ? -1 : 1))
  }

  #thresholds() {
    const { probe, ejectAfter } = this.#options
    return { unhealthyAfter: probe?.unhealthyAfter ?? 2, healthyAfter: probe?.healthyAfter ?? 1, ejectAfter }
  }

  #warn(error: MirrorDamagedError): void {
    if (this.#events.has('warning')) this.#events.emit('warning', error)
    else process.emitWarning(error)
  }
}
