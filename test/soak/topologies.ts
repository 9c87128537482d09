import { setTimeout as pause } from 'node:timers/promises'
import {
  fillMemory,
  type RedisServer,
  startCluster,
  startProxy,
  startRedis,
  startSentinel,
} from '@evenkeel/test-servers'
import type { Random } from './random.js'

export const topologyNames = ['standalone', 'sentinel', 'cluster'] as const
export type TopologyName = (typeof topologyNames)[number]

/** What may happen to Redis; resolves when it is over. */
export interface RedisFault {
  readonly name: string
  /** Whether what Redis had acknowledged may be gone after it. */
  readonly losesData: boolean
  run(random: Random): Promise<void>
}

export interface Topology {
  /** By which gateways find it. */
  readonly env: Readonly<Record<string, string>>
  readonly faults: readonly RedisFault[]
  close(): Promise<void>
}

const args = { appendonly: 'yes', appendfsync: 'always', save: '' }

export function startTopology(name: TopologyName): Promise<Topology> {
  return { standalone, sentinel, cluster }[name]()
}

/** Of any server that is at hand when they come. */
function faultsOf(anyOf: (random: Random) => Promise<RedisServer>): RedisFault[] {
  return [
    {
      ...{ name: 'freeze', losesData: false },
      async run(random) {
        const server = await anyOf(random)
        server.freeze()
        await pause(random.between(300, 2_500))
        server.resume()
      },
    },
    {
      ...{ name: 'fill memory', losesData: false },
      async run(random) {
        const fault = await fillMemory(await anyOf(random))
        await pause(random.between(500, 2_000))
        await fault.undo()
      },
    },
    {
      ...{ name: 'SCRIPT FLUSH', losesData: false },
      run: async (random) => void (await (await anyOf(random)).command('SCRIPT', 'FLUSH')),
    },
    {
      ...{ name: 'CLIENT KILL', losesData: false },
      run: async (random) => void (await (await anyOf(random)).command('CLIENT', 'KILL', 'TYPE', 'normal')),
    },
    {
      ...{ name: 'FLUSHALL', losesData: true },
      run: async (random) => void (await (await anyOf(random)).command('FLUSHALL')),
    },
  ]
}

async function standalone(): Promise<Topology> {
  const server = await startRedis({ args })
  const proxy = await startProxy(server)
  const through = (name: string, begin: (random: Random) => void | Promise<void>): RedisFault => ({
    ...{ name, losesData: false },
    async run(random) {
      await begin(random)
      await pause(random.between(200, 2_000))
      await proxy.restore()
    },
  })
  return {
    env: { REDIS_URL: proxy.url },
    faults: [
      ...faultsOf(async () => server),
      {
        ...{ name: 'kill', losesData: false },
        async run(random) {
          await server.kill()
          await pause(random.between(200, 2_500))
          await server.restart()
        },
      },
      {
        ...{ name: 'read only', losesData: false },
        async run(random) {
          // A replica of nobody it can reach refuses writes with READONLY, as after a failover.
          await server.command('REPLICAOF', '127.0.0.1', '1')
          await pause(random.between(300, 2_000))
          await server.command('REPLICAOF', 'NO', 'ONE')
        },
      },
      through('cut', () => proxy.cut()),
      through('refuse', () => proxy.refuse()),
      through('delay', (random) => proxy.delay(random.between(20, 400))),
      through('black hole', () => proxy.blackHole()),
      through('drop replies', (random) => void proxy.dropReplies(1 + random.below(5)).done.catch(() => {})),
    ],
    async close() {
      await proxy.close()
      await server.close()
    },
  }
}

async function sentinel(): Promise<Topology> {
  const deployment = await startSentinel({ args })
  const addresses = deployment.sentinels.map(({ host, port }) => `${host}:${port}`).join(',')
  return {
    env: { REDIS_SENTINELS: addresses, REDIS_SENTINEL_MASTER: deployment.name },
    faults: [
      ...faultsOf(() => deployment.primary()),
      { name: 'failover', losesData: true, run: async () => void (await deployment.failover()) },
      {
        ...{ name: 'kill the primary', losesData: true },
        async run() {
          const killed = await deployment.killPrimary()
          await pause(3_000)
          await killed.restart()
          await pause(1_000)
        },
      },
    ],
    close: () => deployment.close(),
  }
}

async function cluster(): Promise<Topology> {
  const deployment = await startCluster({ args })
  const anyPrimary = (random: Random) => deployment.primaryOf(random.below(16_384))
  return {
    env: {
      REDIS_CLUSTER_MODE: 'true',
      REDIS_CLUSTER_NODES: deployment.rootNodes.map(({ host, port }) => `${host}:${port}`).join(','),
    },
    faults: [
      ...faultsOf(anyPrimary),
      {
        ...{ name: 'move a slot', losesData: false },
        async run(random) {
          const slot = random.below(16_384)
          const from = await deployment.primaryOf(slot)
          const others = await Promise.all([0, 8_000, 16_383].map((one) => deployment.primaryOf(one)))
          const to = others.find((one) => one !== from)
          if (to !== undefined) await deployment.moveSlot(slot, to)
        },
      },
      {
        ...{ name: 'failover', losesData: true },
        async run(random) {
          await deployment.failover(await anyPrimary(random))
          await deployment.waitUntilOk(30_000)
        },
      },
    ],
    close: () => deployment.close(),
  }
}
