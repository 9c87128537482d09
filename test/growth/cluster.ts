import { createAgentMemory, type Message } from '@evenkeel/agent-memory'
import { type Connection, connect } from '@evenkeel/core'
import { createDecoderPool } from '@evenkeel/decoder-pool'
import { createCache } from '@evenkeel/llm-response-cache'
import { createRateLimiter, slidingWindow } from '@evenkeel/rate-limiter'
import { type RedisServer, startCluster, startRedis } from '@evenkeel/test-servers'
import { countCommands } from './command-count.js'
import { connectCalmly } from './family.js'
import { leastBusyUs } from './server-usage.js'
import type { Effort, Section } from './tables.js'

const primaries = 3
const message: Message = { role: 'user', content: 'x'.repeat(400) }
const kilobyte = 'x'.repeat(1_024)

interface Workload {
  readonly name: string
  /** Operations in one turn of the event loop. */
  readonly together: number
  operation(index: number): Promise<unknown>
}

/** The same work on one server, and on a Cluster of three primaries. */
export const cluster: Section = {
  name: 'cluster',
  async measure(effort) {
    await using single = await startRedis()
    await using nodes = await startCluster({ primaries, replicasPerPrimary: 0 })
    const alone = await measureOn([single], await connectCalmly(single.url), effort)
    const spread = await measureOn(
      nodes.nodes,
      await connect({
        cluster: { nodes: nodes.rootNodes.map(({ host, port }) => ({ host, port })) },
        commandTimeout: '30s',
        connectionTimeout: '2m',
        required: true,
      }),
      effort,
    )
    const rows = alone.map(({ name, commands, us }, index) => {
      const on = spread[index]
      if (on === undefined) throw new Error(`'${name}' was not measured on the Cluster`)
      const share = on.largestShare
      return [
        name,
        ...[commands, on.commands, us, on.us, share * 100],
        ...[Math.round(1e6 / us), Math.round(1e6 / (on.us * share))],
      ]
    })
    return [
      {
        id: 'cluster',
        columns: [
          ...[
            'operation',
            'commands, one server',
            'commands, Cluster',
            'µs, one server',
            'µs, all primaries',
          ],
          ...['% at the busiest primary', 'one server is full at, a second', 'three primaries, a second'],
        ],
        rows,
      },
    ]
  },
}

interface Costs {
  readonly name: string
  readonly commands: number
  /** CPU time of all servers for one operation, in microseconds. */
  readonly us: number
  /** Share of the commands that the busiest primary got, from 0 to 1. */
  readonly largestShare: number
}

async function measureOn(
  servers: readonly RedisServer[],
  redis: Connection,
  { smoke }: Effort,
): Promise<readonly Costs[]> {
  const { workloads, close } = await workloadsOn(redis)
  const costs: Costs[] = []
  for (const { name, together, operation } of workloads) {
    let index = 0
    const turns = Math.max(2, Math.round((smoke ? 60 : 2_000) / together))
    const run = async () => {
      for (let turn = 0; turn < turns; turn++)
        await Promise.all(Array.from({ length: together }, () => operation(index++)))
    }
    await run()
    const counts = await countAll(servers, run)
    const operations = turns * together
    const total = sum(counts)
    costs.push({
      name,
      commands: total / operations,
      // A Cluster's nodes talk to each other even without load.
      us: await leastBusyUs(servers, { count: operations, smoke }, run),
      largestShare: Math.max(...counts) / total,
    })
  }
  await close()
  await redis.close()
  return costs
}

async function countAll(servers: readonly RedisServer[], work: () => Promise<unknown>): Promise<number[]> {
  const counts: number[] = []
  const watched = servers.reduceRight<() => Promise<unknown>>(
    (inner, server, index) => async () => {
      counts[index] = (await countCommands(server, inner)).total
    },
    work,
  )
  await watched()
  return counts
}

async function workloadsOn(
  redis: Connection,
): Promise<{ workloads: readonly Workload[]; close(): Promise<void> }> {
  const limiter = createRateLimiter({ redis, limits: { r: slidingWindow(1_000_000, '1h') }, stats: false })
  const cache = createCache<string>({ kind: 'growth', redis, l1Ttl: 0 })
  const memory = createAgentMemory({ redis })
  const pool = await createDecoderPool({ redis, probe: false, lease: '1h', pollInterval: '1h' })
  await pool.register({ endpoint: 'http://node.internal:8000', capacity: 100_000 })
  for (let index = 0; index < 500; index++) await cache.set(`hit:${index}`, kilobyte)
  const check = (index: number) => limiter.check(`user:${index % 2_000}`)
  const hit = (index: number) => cache.getOrSet(`hit:${index % 500}`, neverAsked)
  const append = (index: number) =>
    memory
      .owner(`owner:${index % 500}`)
      .thread('t')
      .append(message)
  const workloads: readonly Workload[] = [
    { name: 'limiter: a decision alone', together: 1, operation: check },
    { name: 'limiter: 64 at once, as many subjects', together: 64, operation: check },
    { name: 'limiter: 64 at once, one subject', together: 64, operation: () => limiter.check('hot') },
    {
      name: 'limiter: a user and his organisation in one call',
      together: 1,
      operation: (index) =>
        limiter.check([
          { subject: `user:${index % 2_000}`, r: 1 },
          { subject: `org:${index % 50}`, r: 1 },
        ]),
    },
    { name: 'cache: a hit alone', together: 1, operation: hit },
    { name: 'cache: 64 hits at once', together: 64, operation: hit },
    {
      name: 'cache: a miss, and its answer kept',
      together: 1,
      operation: (index) => cache.getOrSet(`miss:${index}`, async () => kilobyte),
    },
    { name: 'memory: an append alone', together: 1, operation: append },
    { name: 'memory: 64 at once, as many owners', together: 64, operation: append },
    {
      name: 'memory: 64 at once, threads of one owner',
      together: 64,
      operation: (index) =>
        memory
          .owner('one')
          .thread(`t${index % 64}`)
          .append(message),
    },
    {
      name: 'pool: a request, one pool',
      together: 1,
      operation: async () => (await pool.acquire({ timeout: '10s' })).release({ ok: true }),
    },
  ]
  const close = async () => {
    await Promise.all([limiter.close(), cache.close(), memory.close(), pool.close()])
  }
  return { workloads, close }
}

async function neverAsked(): Promise<string> {
  throw new Error('a hit was expected')
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
