import { setTimeout as pause } from 'node:timers/promises'
import { type Connection, connect } from '@evenkeel/core'
import { createRateLimiter, type Limit, type RateLimiter } from '@evenkeel/rate-limiter'
import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import { countCommands } from './command-count.js'
import { leastUs, roundsOf, sumOf, usageOf } from './server-usage.js'
import type { Effort, Table } from './tables.js'

/** One of several instances that share something in Redis. Each has its own connection, and stands for a process. */
export interface Member {
  close(): Promise<void>
}

export interface FamilyPlan<M extends Member> {
  /** What the tables are named after: `limiter`. */
  readonly id: string
  readonly sizes: readonly number[]
  /** Makes a member, and uses it once, so that its background work has begun. */
  make(redis: Connection, index: number): Promise<M>
  /** Operations that a busy member repeats, by name. */
  readonly operations: Readonly<Record<string, (member: M, index: number) => Promise<unknown>>>
}

interface Idle {
  readonly commands: number
  readonly published: number
  readonly delivered: number
  readonly bytes: number
  readonly cpuUs: number
  readonly connections: number
}

/** Heartbeats are frequent at first; by then they have reached their normal interval. */
const settleMs = 6_000
/** Contains several beats of each heartbeat. */
const windowMs = 12_000
/** Operations of all members together. */
const operations = 2_000

/** The commands, bytes and messages of an idle family, and of each operation of a busy one. */
export async function familyTables<M extends Member>(
  plan: FamilyPlan<M>,
  { smoke }: Effort,
): Promise<readonly Table[]> {
  const idleRows: number[][] = []
  const busyRows: (string | number)[][] = []
  for (const size of plan.sizes) {
    await using server = await startRedis()
    const empty = await usageOf([server], () => pause(smoke ? 100 : 3_000))
    const emptyUs = (sumOf(empty).cpuUs / (smoke ? 100 : 3_000)) * 1_000
    const family = await start(server, size, plan)
    if (!smoke) console.error(`${plan.id}: ${size} instances`)
    await pause(smoke ? 100 : settleMs)
    const idle = await idleCosts(server, smoke ? 300 : windowMs)
    idleRows.push([
      size,
      idle.commands,
      idle.commands / size,
      idle.bytes,
      idle.published,
      idle.delivered,
      idle.connections,
      Math.max(0, idle.cpuUs - emptyUs) / 1_000,
    ])
    for (const [name, operation] of Object.entries(plan.operations)) {
      const costs = await busyCosts(server, family.members, operation, smoke ? 40 : operations)
      busyRows.push([name, size, costs.commands, costs.published, costs.delivered, costs.bytes, costs.cpuUs])
    }
    await family.close()
  }
  return [
    {
      id: `${plan.id}-idle`,
      columns: [
        ...[
          'instances',
          'commands a second',
          'of each instance',
          'bytes a second',
          'messages published a second',
        ],
        ...['messages delivered a second', 'connections', 'ms of the processor a second'],
      ],
      rows: idleRows,
    },
    {
      id: `${plan.id}-busy`,
      columns: [
        'operation',
        'instances',
        'commands',
        'messages published',
        'messages delivered',
        'bytes',
        'µs of the processor',
      ],
      rows: busyRows.sort(([one], [other]) => String(one).localeCompare(String(other))),
    },
  ]
}

async function start<M extends Member>(server: RedisServer, size: number, plan: FamilyPlan<M>) {
  const connections: Connection[] = []
  const members: M[] = []
  for (let index = 0; index < size; index++) {
    const redis = await connectCalmly(server.url)
    connections.push(redis)
    members.push(await plan.make(redis, index))
  }
  return {
    members,
    async close() {
      await Promise.all(members.map((member) => member.close()))
      await Promise.all(connections.map((redis) => redis.close()))
    },
  }
}

/** Connects with long timeouts: on a busy machine a deadline of half a second would cause outages while measuring. */
export function connectCalmly(url: string): Promise<Connection> {
  return connect({ url, commandTimeout: '30s', connectionTimeout: '2m', required: true })
}

async function idleCosts(server: RedisServer, ms: number): Promise<Idle> {
  const perSecond = (value: number) => (value * 1_000) / ms
  const { total, published, delivered } = await countCommands(server, () => pause(ms))
  const { cpuUs, bytesIn, bytesOut } = sumOf(await usageOf([server], () => pause(ms)))
  return {
    commands: perSecond(total),
    published: perSecond([...published.values()].reduce((sum, count) => sum + count, 0)),
    delivered: perSecond(delivered),
    bytes: perSecond(bytesIn + bytesOut - (await bytesOfReading(server))),
    cpuUs: perSecond(cpuUs),
    // One is the measurement's own.
    connections: Number(await server.info('connected_clients')) - 1,
  }
}

/** The bytes that reading the figures adds to them. */
async function bytesOfReading(server: RedisServer): Promise<number> {
  const { bytesIn, bytesOut } = sumOf(await usageOf([server], async () => {}))
  return bytesIn + bytesOut
}

async function busyCosts<M>(
  server: RedisServer,
  members: readonly M[],
  operation: (member: M, index: number) => Promise<unknown>,
  total: number,
) {
  const each = Math.max(total < operations ? 2 : 25, Math.round(total / members.length))
  let next = 0
  const work = () =>
    Promise.all(
      members.map(async (member) => {
        for (let count = 0; count < each; count++) await operation(member, next++)
      }),
    )
  await work()
  const done = each * members.length
  const count = await countCommands(server, work)
  const usage = sumOf(await usageOf([server], work))
  return {
    commands: count.total / done,
    published: [...count.published.values()].reduce((sum, one) => sum + one, 0) / done,
    delivered: count.delivered / done,
    bytes: (usage.bytesIn + usage.bytesOut - (await bytesOfReading(server))) / done,
    cpuUs: Math.min(
      usage.cpuUs / done,
      await leastUs([server], { count: done, rounds: roundsOf({ smoke: total < operations }) - 1 }, work),
    ),
  }
}

const processes = Symbol.for('evenkeel.rate-limiter.processes')

/**
 * All limiters of one name in a process are one instance. Here each stands for a process, so the global that makes them
 * one is deleted before each is created.
 */
export function ownLimiter(
  redis: Connection,
  name: string,
  limit: Limit,
  options: { readonly stats?: boolean } = {},
): RateLimiter<'r'> {
  Reflect.deleteProperty(globalThis, processes)
  return createRateLimiter({ redis, name, limits: { r: limit }, ...options })
}
