import { type Connection, connect } from '@evenkeel/core'
import type { RateLimiter } from '@evenkeel/rate-limiter'
import { type RedisServer, startCluster, startRedis } from '@evenkeel/test-servers'
import { countCommands } from './command-count.js'
import { connectCalmly, ownLimiter } from './family.js'
import { leastBusyUs, roundsOf } from './server-usage.js'
import { askOf, lawOf, measuredLimit, measureTurns, type ServiceLaw } from './service-law.js'
import { type Setting, simulate } from './simulation/model.js'
import type { Effort, Section, Table } from './tables.js'

/** Loads beyond what this machine can do, simulated from measured costs; small loads check the simulation. */
export const beyond: Section = {
  name: 'simulation',
  async measure(effort) {
    const samples = await measureTurns(effort)
    const measured = await measureCheck(effort)
    // Other load changes within minutes, so the costs are measured before and after the runs that check them.
    const law = lawOf([...samples, ...(await measureTurns(effort))])
    return [costsTable(law), checkTable(law, measured), ...simulated(law, effort)]
  },
}

function costsTable({ server, process: own }: ServiceLaw): Table {
  return {
    id: 'service-law',
    columns: ['µs of the processor', 'a wake-up', 'a write on a connection', 'a command', 'a decision'],
    rows: [
      ['Redis', server.perWakeup, server.perWrite, server.perCommand, server.perDecision],
      ['the instance', own.perWakeup, own.perWrite, own.perCommand, own.perDecision],
    ],
  }
}

/** Between instances and Redis within a region, there and back. */
const roundTripMs = 0.5

function settingOf(
  law: ServiceLaw,
  given: Pick<Setting, 'instances' | 'primaries' | 'together' | 'load' | 'decisions'>,
): Setting {
  return { ...given, server: law.server, process: law.process, roundTripMs, seed: 1 }
}

interface Checked extends ClosedLoop {
  readonly costs: Awaited<ReturnType<typeof measureClosedLoop>>
}

/** Measures small loads: instances on this machine, in closed loops. */
async function measureCheck({ smoke }: Effort): Promise<readonly Checked[]> {
  const checked: Checked[] = []
  for (const primaries of [1, 3]) {
    for (const instances of smoke ? [1, 2] : [1, 2, 4, 8]) {
      for (const together of smoke ? [8] : [1, 8, 32]) {
        if (primaries === 3 && (together === 32 || instances === 2)) continue
        const loop = { primaries, instances, together, total: smoke ? 400 : 6_000, smoke }
        checked.push({ ...loop, costs: await measureClosedLoop(loop) })
      }
    }
  }
  return checked
}

/** About what a write and its answer take within one machine. */
const loopbackMs = 0.05

/** The same, simulated: all instances in one process, as they were measured. */
function checkTable(law: ServiceLaw, checked: readonly Checked[]): Table {
  const rows = checked.map(({ primaries, instances, together, total, costs }) => {
    const told = simulate({
      ...settingOf(law, { instances: 1, primaries, together, load: 'closed', decisions: total }),
      connections: instances,
      roundTripMs: loopbackMs,
    })
    return [
      primaries === 1 ? 'one server' : 'Cluster of three',
      ...[instances, together, costs.commands, told.commandsPerDecision],
      ...[costs.serverUs, told.serverUsPerDecision, deviation(told.serverUsPerDecision, costs.serverUs)],
      ...[costs.processUs, told.processUsPerDecision],
    ]
  })
  return {
    id: 'simulation-check',
    columns: [
      ...['Redis', 'instances', 'decisions in a turn', 'commands a decision', 'commands, simulated'],
      ...['µs of Redis a decision', 'µs of Redis, simulated', 'deviation'],
      ...['µs of the process a decision', 'µs of the process, simulated'],
    ],
    rows,
  }
}

function deviation(told: number, measured: number): string {
  const percent = Math.round((told / measured - 1) * 100)
  return `${percent > 0 ? '+' : ''}${percent} %`
}

interface ClosedLoop {
  readonly primaries: number
  readonly instances: number
  readonly together: number
  readonly total: number
  readonly smoke: boolean
}

async function measureClosedLoop({ primaries, instances, together, total, smoke }: ClosedLoop) {
  await using redis = await startTopology(primaries)
  const limiters: RateLimiter<'r'>[] = []
  for (let index = 0; index < instances; index++)
    limiters.push(ownLimiter(await redis.connect(), 'check', measuredLimit, { stats: false }))
  const turns = Math.max(5, Math.round(total / (instances * together)))
  const run = () =>
    Promise.all(
      limiters.map(async (limiter, index) => {
        for (let turn = 0; turn < turns; turn++)
          await Promise.all(askOf(limiter, index * 97 + turn * together, together))
      }),
    )
  await run()
  const done = turns * instances * together
  const commands = await scriptsRun(redis.servers, run)
  const serverUs = await leastBusyUs(redis.servers, { count: done, smoke }, run)
  let processUs = Number.POSITIVE_INFINITY
  for (let round = 0; round < roundsOf({ smoke }); round++) {
    const before = process.cpuUsage()
    await run()
    const { user, system } = process.cpuUsage(before)
    processUs = Math.min(processUs, (user + system) / done)
  }
  await Promise.all(limiters.map((limiter) => limiter.close()))
  return { commands: commands / done, serverUs, processUs }
}

/** Calls of scripts on all servers, including a few heartbeats a second. */
async function scriptsRun(servers: readonly RedisServer[], work: () => Promise<unknown>): Promise<number> {
  let total = 0
  const watched = servers.reduce<() => Promise<unknown>>(
    (inner, server) => async () => {
      const { byName } = await countCommands(server, inner)
      total += byName.get('EVALSHA') ?? 0
    },
    work,
  )
  await watched()
  return total
}

async function startTopology(primaries: number) {
  const connections: Connection[] = []
  const keep = (redis: Connection) => {
    connections.push(redis)
    return redis
  }
  const close = () => Promise.all(connections.map((redis) => redis.close()))
  if (primaries === 1) {
    const server = await startRedis()
    return {
      servers: [server],
      connect: async () => keep(await connectCalmly(server.url)),
      [Symbol.asyncDispose]: async () => {
        await close()
        await server.close()
      },
    }
  }
  const cluster = await startCluster({ primaries, replicasPerPrimary: 0 })
  const nodes = cluster.rootNodes.map(({ host, port }) => ({ host, port }))
  return {
    servers: cluster.nodes,
    connect: async () =>
      keep(
        await connect({ cluster: { nodes }, commandTimeout: '30s', connectionTimeout: '2m', required: true }),
      ),
    [Symbol.asyncDispose]: async () => {
      await close()
      await cluster.close()
    },
  }
}

/** Decisions a second of each instance. */
const rate = 500
const topologies = [1, 3, 10, 30] as const

function simulated(law: ServiceLaw, { smoke }: Effort): readonly Table[] {
  const outcomeOf = (instances: number, primaries: number, together: number, load: number | 'closed') => {
    // Each instance has several turns.
    const decisions = Math.max(smoke ? 2_000 : 60_000, instances * together * 4)
    return simulate(settingOf(law, { instances, primaries, together, load, decisions }))
  }
  const growth: (string | number)[][] = []
  for (const instances of smoke ? [1, 10] : [1, 3, 10, 30, 100, 300, 1_000]) {
    const cells = topologies.flatMap((primaries) => {
      const { decisionsPerSecond, p99Ms } = outcomeOf(instances, primaries, 1, rate)
      // If Redis is full, the queue grows for as long as the load lasts, so the p99 means nothing.
      const isFull = decisionsPerSecond < instances * rate * 0.95
      return [Math.round(decisionsPerSecond), isFull ? Number.NaN : p99Ms]
    })
    growth.push([instances, instances * rate, ...cells])
  }
  const batches: number[][] = []
  for (const together of [1, 8, 32, 128]) {
    const most = topologies.map((primaries) => {
      // Enough instances to fill any number of primaries.
      const { decisionsPerSecond } = outcomeOf(smoke ? 50 : 1_000, primaries, together, 'closed')
      return Math.round(decisionsPerSecond)
    })
    batches.push([together, ...most])
  }
  return [
    {
      id: 'simulation-instances',
      columns: [
        ...['instances', 'asked a second'],
        ...topologies.flatMap((count) => [`${nameOf(count)}: decided a second`, `${nameOf(count)}: p99, ms`]),
      ],
      rows: growth,
    },
    {
      id: 'simulation-batches',
      columns: ['decisions in a turn', ...topologies.map((count) => `${nameOf(count)}: at most, a second`)],
      rows: batches,
    },
  ]
}

function nameOf(primaries: number): string {
  return primaries === 1 ? 'one server' : `${primaries} primaries`
}
