import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { createDecoderPool, type DecoderPool } from '@evenkeel/decoder-pool'
import { startRedis } from '@evenkeel/test-servers'
import { countCommands } from './command-count.js'
import { connectCalmly, familyTables } from './family.js'
import { sumOf, usageOf } from './server-usage.js'
import { type Effort, familySizes, type Section, type Table } from './tables.js'

/** What one more coordinator of a decoder pool costs. */
export const decoderPool: Section = {
  name: 'decoder-pool',
  async measure(effort) {
    const endpoints = await startNodes(effort.smoke ? 2 : 4)
    const coordinators = await familyTables(
      {
        id: 'pool',
        sizes: familySizes(effort),
        async make(redis, index) {
          const pool = await createDecoderPool({ redis })
          // The first registers all: each node's lease is renewed by one coordinator.
          if (index === 0)
            for (const endpoint of endpoints.urls) await pool.register({ endpoint, capacity: 1_000 })
          return pool
        },
        operations: {
          'a request: a place taken and given back': async (pool) => {
            const lease = await pool.acquire({ timeout: '10s' })
            lease.release({ ok: true })
          },
        },
      },
      effort,
    )
    await endpoints.close()
    return coordinators
  },
}

/** What one more node of a decoder pool costs, and what a change of one. */
export const decoderNodes: Section = {
  name: 'decoder-nodes',
  async measure(effort) {
    return [await nodes(effort), await changes(effort)]
  },
}

/** Nodes that answer every probe. */
async function startNodes(count: number) {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer((_, response) => response.end('{}')).listen(0, '127.0.0.1')
      await once(server, 'listening')
      return server
    }),
  )
  return {
    urls: servers.map((server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    async close() {
      for (const server of servers) {
        server.close()
        server.closeAllConnections()
      }
    },
  }
}

const wanted = { tags: ['production'], region: 'eu' }

async function nodes({ smoke }: Effort): Promise<Table> {
  const rows: number[][] = []
  await using server = await startRedis()
  const redis = await connectCalmly(server.url)
  const pool = await createDecoderPool({ redis, probe: false, region: 'eu', telemetry: false, lease: '1h' })
  let made = 0
  let bytes = 0
  const register = (index: number) =>
    pool.register({
      endpoint: `http://node-${index}.internal:8000`,
      capacity: 100,
      tags: ['production', 'v2'],
      region: index % 3 === 0 ? 'us' : 'eu',
    })
  for (const size of smoke ? [10, 20] : [10, 100, 1_000, 10_000]) {
    const missing = size - made
    const fill = async () => {
      for (; made < size; made += 10)
        await Promise.all(Array.from({ length: 10 }, (_, index) => register(made + index)))
    }
    const filled = sumOf(await usageOf([server], fill))
    bytes += filled.memoryBytes
    const pick = pickUs(pool, smoke ? 200 : 20_000)
    const other = await connectCalmly(server.url)
    const joins = async () => {
      await using joined = await createDecoderPool({ redis: other, probe: false, telemetry: false })
      if (joined.status().nodes.length !== size) throw new Error('a coordinator that does not know all nodes')
    }
    const joining = sumOf(await usageOf([server], joins))
    await other.close()
    rows.push([
      size,
      bytes / size,
      filled.cpuUs / missing,
      pick,
      (joining.bytesIn + joining.bytesOut) / 1_024,
      joining.cpuUs / 1_000,
    ])
  }
  await pool.close()
  await redis.close()
  return {
    id: 'pool-nodes',
    columns: [
      ...['nodes', 'bytes of Redis a node', 'µs of its processor a registration', 'µs of the process a pick'],
      ...['KB that a new coordinator reads', 'ms of the server for that'],
    ],
    rows,
  }
}

/** CPU time of this process for one pick, in microseconds. */
function pickUs(pool: DecoderPool, times: number): number {
  const run = () => {
    for (let count = 0; count < times; count++)
      if (pool.pick(wanted) === undefined) throw new Error('no node was picked')
  }
  run()
  const rounds = Array.from({ length: 5 }, () => {
    const before = process.cpuUsage()
    run()
    const { user, system } = process.cpuUsage(before)
    return (user + system) / times
  })
  // The median, since only some rounds contain a garbage collection.
  return rounds.sort((one, other) => one - other)[2] ?? Number.NaN
}

/** What one changed node costs, by the number of coordinators that hear of it. */
async function changes(effort: Effort): Promise<Table> {
  const { smoke } = effort
  const rows: number[][] = []
  const endpoint = 'http://changing.internal:8000'
  for (const size of familySizes(effort)) {
    await using server = await startRedis()
    const connections = await Promise.all(Array.from({ length: size }, () => connectCalmly(server.url)))
    // Without polls, which the table of an idle family contains.
    const pools = await Promise.all(
      connections.map((redis) => createDecoderPool({ redis, probe: false, pollInterval: '1h', lease: '1h' })),
    )
    const [first] = pools
    await first?.register({ endpoint, capacity: 1 })
    const times = smoke ? 2 : 20
    let capacity = 1
    const change = async () => {
      capacity++
      await first?.register({ endpoint, capacity })
      while (pools.some((pool) => pool.status().nodes[0]?.node.capacity !== capacity)) await pause(5)
    }
    await change()
    const work = async () => {
      for (let count = 0; count < times; count++) await change()
    }
    const count = await countCommands(server, work)
    const usage = sumOf(await usageOf([server], work))
    // Heartbeats continue meanwhile. The channel tells messages of changes apart; the other columns include heartbeats.
    rows.push([
      size,
      (count.published.get('evenkeel:decoder-pool:default') ?? 0) / times,
      (usage.bytesIn + usage.bytesOut) / times,
      usage.cpuUs / times,
      count.total / times,
    ])
    await Promise.all(pools.map((pool) => pool.close()))
    await Promise.all(connections.map((redis) => redis.close()))
  }
  return {
    id: 'pool-changes',
    columns: ['coordinators', 'messages published', 'bytes', 'µs of the processor', 'commands'],
    rows,
  }
}
