import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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
import { type RedisClock, redisClock } from './redis-clock.js'

export const topologyNames = ['standalone', 'sentinel', 'cluster'] as const
export type TopologyName = (typeof topologyNames)[number]

/** A fault of Redis; `run` resolves when it is over. */
export interface RedisFault {
  readonly name: string
  /** Whether it may lose writes that Redis had acknowledged. */
  readonly losesData: boolean
  run(random: Random): Promise<void>
}

export interface Topology {
  /** Environment variables by which gateways find it. */
  readonly env: Readonly<Record<string, string>>
  readonly faults: readonly RedisFault[]
  close(): Promise<void>
}

const user = 'gateway'

/** What every server of a topology has: a disk that keeps all, a user whose password rotates, a clock that jumps. */
class Surroundings {
  readonly #folder = mkdtempSync(join(tmpdir(), 'evenkeel-soak-redis-'))
  readonly #passwordFile = join(this.#folder, 'password')
  readonly #clock: RedisClock | undefined = redisClock(this.#folder)
  #password = 'first'
  #rotations = 0

  constructor() {
    writeFileSync(this.#passwordFile, this.#password)
  }

  /** Options of the servers. */
  get options(): {
    readonly args: Readonly<Record<string, string>>
    readonly env: Readonly<Record<string, string>>
  } {
    return {
      args: {
        appendonly: 'yes',
        appendfsync: 'always',
        save: '',
        user: `${user} on >${this.#password} ~* &* +@all`,
      },
      env: this.#clock?.env ?? {},
    }
  }

  /** Environment of the gateways. */
  get env(): Readonly<Record<string, string>> {
    return { REDIS_USERNAME: user, REDIS_PASSWORD_FILE: this.#passwordFile }
  }

  /** Faults of all servers at once. `jumpLosesData`: after a jump, servers that watch each other may fail over. */
  faults(
    servers: () => readonly RedisServer[],
    { jumpLosesData }: { readonly jumpLosesData: boolean },
  ): RedisFault[] {
    const clock = this.#clock
    const rotation: RedisFault = {
      name: 'rotate the password',
      losesData: false,
      run: () => this.#rotate(servers()),
    }
    if (clock === undefined) return [rotation]
    return [
      rotation,
      {
        name: "Redis's clock jumps",
        losesData: jumpLosesData,
        async run(random) {
          clock.set(Math.round(random.between(-20, 20)))
          await pause(2_000)
        },
      },
    ]
  }

  /** Both passwords are valid for a moment; then each server drops the old one, and ends its connections. */
  async #rotate(servers: readonly RedisServer[]): Promise<void> {
    const old = this.#password
    this.#password = `rotation-${++this.#rotations}`
    for (const server of servers) await server.command('ACL', 'SETUSER', user, `>${this.#password}`)
    writeFileSync(this.#passwordFile, this.#password)
    for (const server of servers) {
      await server.command('ACL', 'SETUSER', user, `<${old}`)
      await server.command('CONFIG', 'REWRITE')
      await server.command('CLIENT', 'KILL', 'USER', user)
      await pause(100)
    }
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

export async function startTopology(name: TopologyName): Promise<Topology> {
  const surroundings = new Surroundings()
  try {
    const topology = await { standalone, sentinel, cluster }[name](surroundings)
    return {
      ...topology,
      async close() {
        await topology.close()
        surroundings.close()
      },
    }
  } catch (error) {
    surroundings.close()
    throw error
  }
}

/** Faults of one server, which is chosen when they happen. */
function faultsOf(anyOf: (random: Random) => Promise<RedisServer>): RedisFault[] {
  return [
    {
      name: 'freeze',
      losesData: false,
      async run(random) {
        const server = await anyOf(random)
        server.freeze()
        await pause(random.between(300, 2_500))
        server.resume()
      },
    },
    {
      name: 'fill memory',
      losesData: false,
      async run(random) {
        const fault = await fillMemory(await anyOf(random))
        await pause(random.between(500, 2_000))
        await fault.undo()
      },
    },
    {
      name: 'SCRIPT FLUSH',
      losesData: false,
      run: async (random) => void (await (await anyOf(random)).command('SCRIPT', 'FLUSH')),
    },
    {
      name: 'CLIENT KILL',
      losesData: false,
      run: async (random) => void (await (await anyOf(random)).command('CLIENT', 'KILL', 'TYPE', 'normal')),
    },
    {
      name: 'FLUSHALL',
      losesData: true,
      run: async (random) => void (await (await anyOf(random)).command('FLUSHALL')),
    },
  ]
}

async function standalone(surroundings: Surroundings): Promise<Topology> {
  const server = await startRedis(surroundings.options)
  const proxy = await startProxy(server)
  const through = (name: string, begin: (random: Random) => void | Promise<void>): RedisFault => ({
    name,
    losesData: false,
    async run(random) {
      await begin(random)
      await pause(random.between(200, 2_000))
      await proxy.restore()
    },
  })
  return {
    env: { ...surroundings.env, REDIS_URL: proxy.url },
    faults: [
      ...faultsOf(async () => server),
      ...surroundings.faults(() => [server], { jumpLosesData: false }),
      {
        name: 'kill',
        losesData: false,
        async run(random) {
          await server.kill()
          await pause(random.between(200, 2_500))
          await server.restart()
        },
      },
      {
        name: 'read only',
        losesData: false,
        async run(random) {
          // A replica whose primary is unreachable refuses writes with READONLY, as after a failover.
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

async function sentinel(surroundings: Surroundings): Promise<Topology> {
  const deployment = await startSentinel(surroundings.options)
  const addresses = deployment.sentinels.map(({ host, port }) => `${host}:${port}`).join(',')
  return {
    env: { ...surroundings.env, REDIS_SENTINELS: addresses, REDIS_SENTINEL_MASTER: deployment.name },
    faults: [
      ...faultsOf(() => deployment.primary()),
      ...surroundings.faults(() => deployment.nodes, { jumpLosesData: true }),
      { name: 'failover', losesData: true, run: async () => void (await deployment.failover()) },
      {
        name: 'kill the primary',
        losesData: true,
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

async function cluster(surroundings: Surroundings): Promise<Topology> {
  const deployment = await startCluster(surroundings.options)
  const anyPrimary = (random: Random) => deployment.primaryOf(random.below(16_384))
  return {
    env: {
      ...surroundings.env,
      REDIS_CLUSTER_MODE: 'true',
      REDIS_CLUSTER_NODES: deployment.rootNodes.map(({ host, port }) => `${host}:${port}`).join(','),
    },
    faults: [
      ...faultsOf(anyPrimary),
      ...surroundings.faults(() => deployment.nodes, { jumpLosesData: true }),
      {
        name: 'move a slot',
        losesData: false,
        async run(random) {
          const slot = random.below(16_384)
          const from = await deployment.primaryOf(slot)
          const others = await Promise.all([0, 8_000, 16_383].map((one) => deployment.primaryOf(one)))
          const to = others.find((one) => one !== from)
          if (to !== undefined) await deployment.moveSlot(slot, to)
        },
      },
      {
        name: 'failover',
        losesData: true,
        async run(random) {
          await deployment.failover(await anyPrimary(random))
          await deployment.waitUntilOk(30_000)
        },
      },
    ],
    close: () => deployment.close(),
  }
}
