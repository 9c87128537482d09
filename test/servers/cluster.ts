import { setTimeout as pause } from 'node:timers/promises'
import { type NodeView, owns, viewOf } from './cluster-view.js'
import { type Flavour, type FlavourName, pickFlavour } from './flavours.js'
import type { Endpoint } from './proxy.js'
import { onlineReplicas } from './replication.js'
import type { Argument } from './resp.js'
import { launch, type RedisServer } from './server.js'
import { slotOf } from './slots.js'
import { configLines } from './standalone.js'
import { until } from './until.js'

export interface ClusterOptions {
  readonly flavour?: Flavour | FlavourName | undefined
  /** @default 3 */
  readonly primaries?: number | undefined
  /** @default 1 */
  readonly replicasPerPrimary?: number | undefined
  /** After how long a silent node is failing. @default 1000 */
  readonly nodeTimeoutMs?: number | undefined
  readonly password?: string | undefined
  /** Configuration of every node. */
  readonly args?: Readonly<Record<string, string | readonly string[]>> | undefined
  /** Environment variables of every node's process. */
  readonly env?: Readonly<Record<string, string>> | undefined
}

/** A slot between two nodes: the old one answers ASK for moved keys, and TRYAGAIN for a command with keys of both. */
export interface SlotMove {
  readonly from: RedisServer
  readonly to: RedisServer
  /** The keys that have moved: half of the slot's, rounded up. */
  readonly moved: readonly string[]
  /** Moves the rest, and gives the slot to its new node. */
  finish(): Promise<void>
}

export interface RedisCluster extends AsyncDisposable {
  /** The initial primaries, then their replicas. */
  readonly nodes: readonly RedisServer[]
  /** Where clients find the cluster. */
  readonly rootNodes: readonly Endpoint[]
  /** The running primary that owns the key's slot. */
  nodeFor(key: string): Promise<RedisServer>
  primaryOf(slot: number): Promise<RedisServer>
  /** The replicas of a primary, running or not, as it sees them. */
  replicasOf(primary: RedisServer): Promise<RedisServer[]>
  /** Moves a slot with its keys; resolves when every node knows. */
  moveSlot(slot: number, to: RedisServer): Promise<void>
  /** Moves half of the slot's keys, and leaves it between the two nodes. */
  beginMove(slot: number, to: RedisServer): Promise<SlotMove>
  /** Promotes this replica, or one of this primary, 4 s after the last. Resolves to it when every node knows. */
  failover(node: RedisServer): Promise<RedisServer>
  /** SIGKILL for the key's primary, which it resolves with; its replica takes over by itself. */
  killPrimaryOf(key: string): Promise<RedisServer>
  /** Resolves when all running nodes agree that every slot has a running primary, with its replicas in sync. */
  waitUntilOk(timeoutMs?: number): Promise<void>
  close(): Promise<void>
}

const slotCount = 16_384

export async function startCluster(options: ClusterOptions = {}): Promise<RedisCluster> {
  const { primaries = 3, replicasPerPrimary = 1, password, nodeTimeoutMs = 1_000 } = options
  const count = primaries * (1 + replicasPerPrimary)
  const started = await Promise.allSettled(Array.from({ length: count }, () => startNode(options)))
  const nodes = started.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const cluster = new Cluster(nodes, password, nodeTimeoutMs)
  try {
    for (const result of started) if (result.status === 'rejected') throw result.reason
    await cluster.form(primaries)
    return cluster
  } catch (error) {
    await cluster.close()
    throw error
  }
}

function startNode({
  flavour,
  nodeTimeoutMs = 1_000,
  password,
  env,
  args = {},
}: ClusterOptions): Promise<RedisServer> {
  const lines = [
    'cluster-enabled yes',
    'cluster-config-file nodes.conf',
    `cluster-node-timeout ${nodeTimeoutMs}`,
    'cluster-announce-ip 127.0.0.1',
    // A replica stays with its primary, and takes over however long it has been without it.
    'cluster-allow-replica-migration no',
    'cluster-replica-validity-factor 0',
    'repl-diskless-sync no',
    'repl-ping-replica-period 1',
    ...configLines(args),
  ]
  return launch({ flavour: pickFlavour(flavour), password, env, config: () => lines })
}

class Cluster implements RedisCluster {
  readonly rootNodes: readonly Endpoint[]
  #electedAt = Number.NEGATIVE_INFINITY

  constructor(
    readonly nodes: readonly RedisServer[],
    private readonly password: string | undefined,
    private readonly nodeTimeoutMs: number,
  ) {
    this.rootNodes = nodes.map(({ host, port }) => ({ host, port }))
  }

  /** Makes single servers a cluster. */
  async form(primaries: number): Promise<void> {
    const owners = this.nodes.slice(0, primaries)
    for (const [i, node] of this.nodes.entries()) await node.command('CLUSTER', 'SET-CONFIG-EPOCH', i + 1)
    for (const [i, owner] of owners.entries()) {
      const first = Math.floor((i * slotCount) / primaries)
      const last = Math.floor(((i + 1) * slotCount) / primaries) - 1
      await owner.command('CLUSTER', 'ADDSLOTSRANGE', first, last)
    }
    // Each pair is introduced: gossip alone would take seconds.
    for (const [i, node] of this.nodes.entries()) {
      for (const { host, port } of this.nodes.slice(0, i)) await node.command('CLUSTER', 'MEET', host, port)
    }
    for (const [i, replica] of this.nodes.slice(primaries).entries()) {
      const owner = owners[i % primaries]
      if (!owner) continue
      const id = String(await owner.command('CLUSTER', 'MYID'))
      // An error until the two have met.
      await until(() => replica.command('CLUSTER', 'REPLICATE', id), 10_000)
    }
    await this.waitUntilOk()
  }

  nodeFor(key: string): Promise<RedisServer> {
    return this.primaryOf(slotOf(key))
  }

  async primaryOf(slot: number): Promise<RedisServer> {
    // Each node is asked about itself only; a primary that does not know that it was replaced has an older epoch.
    const selves = (await this.#selves()).filter(({ self }) => owns(self, slot))
    const [owner] = selves.sort((a, b) => b.self.epoch - a.self.epoch)
    if (!owner) throw new Error(`slot ${slot} has no running primary`)
    return owner.node
  }

  async replicasOf(primary: RedisServer): Promise<RedisServer[]> {
    const view = await viewOf(primary)
    const id = view.find(({ isSelf }) => isSelf)?.id
    const ports = view.filter(({ primaryId }) => primaryId === id).map(({ port }) => port)
    return this.nodes.filter(({ port }) => ports.includes(port))
  }

  async moveSlot(slot: number, to: RedisServer): Promise<void> {
    const move = await this.beginMove(slot, to)
    await move.finish()
  }

  async beginMove(slot: number, to: RedisServer): Promise<SlotMove> {
    const from = await this.primaryOf(slot)
    if (from === to) throw new Error(`slot ${slot} is already at port ${to.port}`)
    const [fromId, toId] = [await this.#idOf(from), await this.#idOf(to)]
    await to.command('CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId)
    await from.command('CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId)
    const keys = await this.#keysOf(slot, from, slotCount * 64)
    const half = keys.slice(0, Math.ceil(keys.length / 2))
    await this.#migrate(half, from, to)
    const finish = async () => {
      for (;;) {
        const rest = await this.#keysOf(slot, from, 1_000)
        if (rest.length === 0) break
        await this.#migrate(rest, from, to)
      }
      // The new owner first, or the slot would have no owner for a moment.
      const primaries = (await this.#selves()).filter(({ self }) => self.isPrimary).map(({ node }) => node)
      const others = primaries.filter((node) => node !== from && node !== to)
      for (const node of [to, from, ...others]) await node.command('CLUSTER', 'SETSLOT', slot, 'NODE', toId)
      const known = async () =>
        (await this.#views()).every((view) => view.some((each) => each.id === toId && owns(each, slot)))
      await until(known, 10_000, { what: `every node knows that slot ${slot} moved` })
    }
    return { from, to, moved: half.map(String), finish }
  }

  async failover(node: RedisServer): Promise<RedisServer> {
    const replica = await this.#replicaFor(node)
    await this.#forgetElections()
    const isPrimary = async () => (await replica.info('role')) === 'master'
    const takeOver = async () => {
      // In agreement with the primary if it runs. The agreement can fail silently, so it is tried again.
      await replica
        .command('CLUSTER', 'FAILOVER')
        .catch(() => replica.command('CLUSTER', 'FAILOVER', 'TAKEOVER'))
      return until(isPrimary, 2_000)
    }
    await until(takeOver, 10_000, { what: `the replica at port ${replica.port} is primary` })
    this.#electedAt = performance.now()
    await this.waitUntilOk()
    return replica
  }

  async killPrimaryOf(key: string): Promise<RedisServer> {
    const primary = await this.nodeFor(key)
    await primary.kill()
    return primary
  }

  async waitUntilOk(timeoutMs = 20_000): Promise<void> {
    await until(() => this.#isOk(), timeoutMs, { what: 'the cluster is ok', everyMs: 25 })
  }

  async close(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.close()))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #answering(): RedisServer[] {
    return this.nodes.filter(({ running, frozen }) => running && !frozen)
  }

  #views(): Promise<NodeView[][]> {
    return Promise.all(this.#answering().map(viewOf))
  }

  /** What each answering node says of itself. */
  async #selves(): Promise<{ node: RedisServer; self: NodeView }[]> {
    const ask = async (node: RedisServer) => {
      const self = (await viewOf(node)).find(({ isSelf }) => isSelf)
      return self ? [{ node, self }] : []
    }
    return (await Promise.all(this.#answering().map(ask))).flat()
  }

  async #isOk(): Promise<boolean> {
    const nodes = this.#answering()
    const running = new Set(nodes.map(({ port }) => port))
    const views = await this.#views()
    // Roles count too: nodes that take a replica for a primary do not let it take over when its primary is killed.
    const layouts = views.map((view) => layout(view, running))
    if (layouts.some((each) => each === undefined || each !== layouts[0])) return false
    if (views.some((view) => view.length !== this.nodes.length)) return false
    const ready = async (node: RedisServer) => {
      const state = String(await node.command('CLUSTER', 'INFO'))
      if (!state.includes('cluster_state:ok')) return false
      if ((await node.info('role')) !== 'master') return true
      const online = await onlineReplicas(node)
      return (await this.replicasOf(node)).every(({ port }) => !running.has(port) || online.includes(port))
    }
    return (await Promise.all(nodes.map(ready))).every(Boolean)
  }

  async #replicaFor(node: RedisServer): Promise<RedisServer> {
    const answers = node.running && !node.frozen
    if (answers && (await node.info('role')) !== 'master') return node
    const observer = answers ? node : this.#answering()[0]
    const view = observer ? await viewOf(observer) : []
    const id = view.find(({ port }) => port === node.port)?.id
    const ports = view
      .filter(({ primaryId, isFailing }) => primaryId === id && !isFailing)
      .map(({ port }) => port)
    const replica = this.#answering().find(({ port }) => ports.includes(port))
    if (!replica) throw new Error(`the node at port ${node.port} has no running replica`)
    return replica
  }

  /**
   * A node that is demoted soon after it was elected still counts those votes (Redis 7.0): when its primary dies
   * it "wins" at once with the old epoch, which nobody accepts. The votes are void after two election timeouts.
   */
  async #forgetElections(): Promise<void> {
    const validMs = 4 * Math.max(this.nodeTimeoutMs, 1_000)
    await pause(Math.max(0, this.#electedAt + validMs - performance.now()))
  }

  async #idOf(node: RedisServer): Promise<string> {
    return String(await node.command('CLUSTER', 'MYID'))
  }

  async #keysOf(slot: number, node: RedisServer, limit: number): Promise<Buffer[]> {
    const keys = await node.commandForBuffers('CLUSTER', 'GETKEYSINSLOT', slot, limit)
    return Array.isArray(keys) ? keys.filter((key) => Buffer.isBuffer(key)) : []
  }

  async #migrate(keys: readonly Buffer[], from: RedisServer, to: RedisServer): Promise<void> {
    if (keys.length === 0) return
    const login: Argument[] = this.password === undefined ? [] : ['AUTH', this.password]
    await from.command('MIGRATE', to.host, to.port, '', 0, 5_000, ...login, 'KEYS', ...keys)
  }
}

/** Roles and slots of the running nodes, as text to compare; undefined unless their primaries have every slot. */
function layout(view: readonly NodeView[], running: ReadonlySet<number>): string | undefined {
  const nodes = view.filter(({ port }) => running.has(port))
  const ranges = nodes.filter(({ isPrimary }) => isPrimary).flatMap(({ slots }) => slots)
  const covered = ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0)
  if (covered !== slotCount || nodes.some(({ isFailing }) => isFailing)) return undefined
  return nodes
    .map(({ id, primaryId, slots }) => `${id} ${primaryId ?? 'primary'} ${slots.join(' ')}`)
    .sort()
    .join('\n')
}
