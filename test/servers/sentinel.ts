import { type Flavour, type FlavourName, pickFlavour } from './flavours.js'
import type { Endpoint } from './proxy.js'
import { onlineReplicas } from './replication.js'
import { launch, type RedisServer } from './server.js'
import { configLines } from './standalone.js'
import { until } from './until.js'

export interface SentinelOptions {
  readonly flavour?: Flavour | FlavourName | undefined
  /** @default 1 */
  readonly replicas?: number | undefined
  /** @default 3 */
  readonly sentinels?: number | undefined
  /** Of the primary and its replicas; the sentinels ask for none. */
  readonly password?: string | undefined
  /** After how long a silent primary is down. With much less, a busy machine looks like a dead server. @default 1000 */
  readonly downAfterMs?: number | undefined
  /** @default 3000 */
  readonly failoverTimeoutMs?: number | undefined
  /** Configuration of the primary and its replicas. */
  readonly args?: Readonly<Record<string, string | readonly string[]>> | undefined
  /** Environment variables of the primary and its replicas. */
  readonly env?: Readonly<Record<string, string>> | undefined
}

/** A primary with its replicas, and the sentinels that watch them. */
export interface SentinelDeployment extends AsyncDisposable {
  readonly name: 'evenkeel'
  /** Where clients find the sentinels. */
  readonly sentinels: readonly Endpoint[]
  readonly sentinelServers: readonly RedisServer[]
  /** The primary and the replicas, in the order in which they were started. */
  readonly nodes: readonly RedisServer[]
  /** The primary that most sentinels name. */
  primary(): Promise<RedisServer>
  /** The other nodes, running or not. */
  replicas(): Promise<RedisServer[]>
  /** Makes the sentinels fail over; resolves with the new primary when all agree and the old one follows it. */
  failover(): Promise<RedisServer>
  /** Resolves with the primary when all running sentinels agree on it and all running nodes follow it. */
  settled(): Promise<RedisServer>
  /** SIGKILL for the primary, which it resolves with; the sentinels notice by themselves. */
  killPrimary(): Promise<RedisServer>
  close(): Promise<void>
}

const name = 'evenkeel'

export async function startSentinel(options: SentinelOptions = {}): Promise<SentinelDeployment> {
  const { replicas = 1, sentinels = 3 } = options
  const nodes: RedisServer[] = []
  const watchers: RedisServer[] = []
  try {
    const primary = await startNode(options)
    nodes.push(primary)
    await startAll(nodes, replicas, () => startNode(options, primary.port))
    const inSync = async () => (await onlineReplicas(primary)).length === replicas
    await until(inSync, 10_000, { what: 'the replicas are in sync' })
    await startAll(watchers, sentinels, () => startWatcher(options, primary.port, sentinels))
    const knowing = async () =>
      (await Promise.all(watchers.map((each) => knows(each, sentinels - 1, replicas)))).every(Boolean)
    await until(knowing, 15_000, { what: 'the sentinels know each other and the replicas' })
  } catch (error) {
    await closeAll([...watchers, ...nodes])
    throw error
  }
  return new Deployment(nodes, watchers)
}

function startNode(
  { flavour, password, env, args = {} }: SentinelOptions,
  primaryPort?: number,
): Promise<RedisServer> {
  const lines = ['repl-diskless-sync no', 'repl-ping-replica-period 1', ...configLines(args)]
  if (primaryPort !== undefined) lines.push(`replicaof 127.0.0.1 ${primaryPort}`)
  return launch({ flavour: pickFlavour(flavour), password, env, config: () => lines })
}

async function startWatcher(
  options: SentinelOptions,
  primaryPort: number,
  count: number,
): Promise<RedisServer> {
  const { flavour, password, downAfterMs = 1_000, failoverTimeoutMs = 3_000 } = options
  const quorum = Math.floor(count / 2) + 1
  const lines = [
    `sentinel monitor ${name} 127.0.0.1 ${primaryPort} ${quorum}`,
    `sentinel down-after-milliseconds ${name} ${downAfterMs}`,
    `sentinel failover-timeout ${name} ${failoverTimeoutMs}`,
    ...(password === undefined ? [] : [`sentinel auth-pass ${name} ${password}`]),
  ]
  const watcher = await launch({ flavour: pickFlavour(flavour), config: () => lines, sentinel: true })
  // By default sentinels publish every 2 s and look at replicas every 10 s, for which tests would have to wait. During
  // a failover INFO's period is one second, which bounds the others: a replica whose INFO is older than five pings is
  // not promoted, and one that the others do not know to be promoted within four publications is demoted again. With
  // `downAfterMs` under a second, sentinels ping only at that interval, so a slightly late pong would be a failure.
  const periods = { 'PUBLISH-PERIOD': 500, 'INFO-PERIOD': 500, 'ASK-PERIOD': 200, 'PING-PERIOD': 250 }
  await watcher.command('SENTINEL', 'DEBUG', ...Object.entries(periods).flat())
  return watcher
}

async function startAll(
  into: RedisServer[],
  count: number,
  start: () => Promise<RedisServer>,
): Promise<void> {
  const results = await Promise.allSettled(Array.from({ length: count }, start))
  for (const result of results) if (result.status === 'fulfilled') into.push(result.value)
  for (const result of results) if (result.status === 'rejected') throw result.reason
}

async function knows(watcher: RedisServer, others: number, replicas: number): Promise<boolean> {
  const state = fields(await watcher.command('SENTINEL', 'MASTER', name))
  if (state.get('flags') !== 'master') return false
  if (Number(state.get('num-other-sentinels')) !== others || Number(state.get('num-slaves')) !== replicas)
    return false
  return (await replicasInSync(watcher)).length === replicas
}

/** The ports of the replicas that are in sync as far as this sentinel has heard. */
async function replicasInSync(watcher: RedisServer): Promise<number[]> {
  const list = await watcher.command('SENTINEL', 'REPLICAS', name)
  const replicas = Array.isArray(list) ? list.map(fields) : []
  const inSync = replicas.filter(
    (each) => each.get('role-reported') === 'slave' && each.get('master-link-status') === 'ok',
  )
  return inSync.map((each) => Number(each.get('port')))
}

function fields(reply: unknown): Map<string, string> {
  const found = new Map<string, string>()
  if (Array.isArray(reply)) {
    for (let i = 0; i + 1 < reply.length; i += 2) found.set(String(reply[i]), String(reply[i + 1]))
  }
  return found
}

async function closeAll(servers: readonly RedisServer[]): Promise<void> {
  await Promise.all(servers.map((server) => server.close()))
}

class Deployment implements SentinelDeployment {
  readonly name = name
  readonly sentinels: readonly Endpoint[]

  constructor(
    readonly nodes: readonly RedisServer[],
    readonly sentinelServers: readonly RedisServer[],
  ) {
    this.sentinels = sentinelServers.map(({ host, port }) => ({ host, port }))
  }

  async primary(): Promise<RedisServer> {
    const ports = await this.#votes()
    const votes = (node: RedisServer) => ports.filter((port) => port === node.port).length
    const [first] = [...this.nodes].sort((a, b) => votes(b) - votes(a))
    if (!first || votes(first) === 0) throw new Error('no sentinel answers')
    return first
  }

  async replicas(): Promise<RedisServer[]> {
    const primary = await this.primary()
    return this.nodes.filter((node) => node !== primary)
  }

  async failover(): Promise<RedisServer> {
    const old = await this.primary()
    const [sentinel] = this.#answering()
    if (!sentinel) throw new Error('no sentinel runs')
    const settled = async () => {
      const state = fields(await sentinel.command('SENTINEL', 'MASTER', name))
      if (state.get('port') === String(old.port)) {
        // A failover is refused soon after another one, and may be given up silently: then it is requested again.
        const started = state.get('flags')?.includes('failover_in_progress')
        if (!started) await sentinel.command('SENTINEL', 'FAILOVER', name)
        return undefined
      }
      const primary = await this.primary()
      return (await this.#isSettled(primary)) ? primary : undefined
    }
    return until(settled, 20_000, { what: 'the sentinels agree on a new primary, and all nodes follow it' })
  }

  async settled(): Promise<RedisServer> {
    const settled = async () => {
      const primary = await this.primary()
      return (await this.#isSettled(primary)) ? primary : undefined
    }
    return until(settled, 30_000, { what: 'the sentinels agree on a primary, and all nodes follow it' })
  }

  async killPrimary(): Promise<RedisServer> {
    const primary = await this.primary()
    await primary.kill()
    return primary
  }

  close(): Promise<void> {
    return closeAll([...this.sentinelServers, ...this.nodes])
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #answering(): RedisServer[] {
    return this.sentinelServers.filter(({ running, frozen }) => running && !frozen)
  }

  /** The primary's port, as each answering sentinel sees it. */
  #votes(): Promise<number[]> {
    const ask = async (sentinel: RedisServer) => {
      const address = await sentinel.command('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name)
      return Array.isArray(address) ? Number(address[1]) : 0
    }
    return Promise.all(this.#answering().map(ask))
  }

  /** Whether all sentinels and nodes that answer take `primary` for the primary. */
  async #isSettled(primary: RedisServer): Promise<boolean> {
    if ((await this.#votes()).some((port) => port !== primary.port)) return false
    if ((await primary.info('role')) !== 'master') return false
    const others = this.nodes.filter((node) => node !== primary && node.running && !node.frozen)
    const online = await onlineReplicas(primary)
    if (!others.every(({ port }) => online.includes(port))) return false
    const views = this.#answering().map((sentinel) => replicasInSync(sentinel))
    return (await Promise.all(views)).every((ports) => others.every(({ port }) => ports.includes(port)))
  }
}
