import { setTimeout as pause } from 'node:timers/promises'
import type { RedisServer } from '@evenkeel/test-servers'

/** What a piece of work cost one server, by the server's own counts, which other load changes little. */
export interface ServerUsage {
  /** Microseconds of the processor, user and system, of all threads of the server. */
  readonly cpuUs: number
  readonly bytesIn: number
  readonly bytesOut: number
  /** Growth of its used memory, without the buffers of its clients: it shrinks those of idle ones at any moment. */
  readonly memoryBytes: number
}

type Reading = { readonly [field in keyof ServerUsage]: number }

/** What `work` cost each of the servers. */
export async function usageOf(
  servers: readonly RedisServer[],
  work: () => Promise<unknown>,
): Promise<readonly ServerUsage[]> {
  const before = await Promise.all(servers.map(readingOf))
  await work()
  const after = await Promise.all(servers.map(readingOf))
  return after.map((reading, index) => difference(reading, before[index]))
}

/**
 * CPU time of all servers for one of the `count` operations of `work`, in microseconds: the minimum of some rounds,
 * since other load on the machine only makes work more expensive.
 */
export async function leastUs(
  servers: readonly RedisServer[],
  { count, rounds }: { readonly count: number; readonly rounds: number },
  work: () => Promise<unknown>,
): Promise<number> {
  let least = Number.POSITIVE_INFINITY
  for (let round = 0; round < rounds; round++)
    least = Math.min(least, sumOf(await usageOf(servers, work)).cpuUs / count)
  return least
}

/** The same, less what idle servers spend: the nodes of a Cluster talk to each other all the time. */
export async function leastBusyUs(
  servers: readonly RedisServer[],
  { count, smoke }: { readonly count: number; readonly smoke: boolean },
  work: () => Promise<unknown>,
): Promise<number> {
  let least = Number.POSITIVE_INFINITY
  for (let round = 0; round < roundsOf({ smoke }); round++) {
    const idle = await usPerMs(servers, () => pause(smoke ? 100 : 1_000))
    const busy = await usPerMs(servers, work)
    least = Math.min(least, ((busy.us - idle.us) * busy.tookMs) / count)
  }
  return least
}

async function usPerMs(servers: readonly RedisServer[], work: () => Promise<unknown>) {
  const began = performance.now()
  const { cpuUs } = sumOf(await usageOf(servers, work))
  const tookMs = performance.now() - began
  return { us: cpuUs / tookMs, tookMs }
}

/** Rounds of a measurement; one is enough to show that it runs. */
export function roundsOf({ smoke }: { readonly smoke: boolean }): number {
  return smoke ? 1 : 3
}

export function sumOf(usages: readonly ServerUsage[]): ServerUsage {
  return usages.reduce((sum, each) => ({
    cpuUs: sum.cpuUs + each.cpuUs,
    bytesIn: sum.bytesIn + each.bytesIn,
    bytesOut: sum.bytesOut + each.bytesOut,
    memoryBytes: sum.memoryBytes + each.memoryBytes,
  }))
}

async function readingOf(server: RedisServer): Promise<Reading> {
  const info = String(await server.command('INFO', 'cpu', 'stats', 'memory'))
  const clients = String(await server.command('CLIENT', 'LIST'))
  const ofClients = [...clients.matchAll(/ tot-mem=(\d+)/g)].reduce(
    (sum, [, bytes]) => sum + Number(bytes),
    0,
  )
  const field = (name: string) => {
    const value = new RegExp(`^${name}:([\\d.]+)`, 'm').exec(info)?.[1]
    if (value === undefined) throw new Error(`INFO of the server has no ${name}`)
    return Number(value)
  }
  return {
    cpuUs: (field('used_cpu_sys') + field('used_cpu_user')) * 1e6,
    bytesIn: field('total_net_input_bytes'),
    bytesOut: field('total_net_output_bytes'),
    memoryBytes: field('used_memory') - ofClients,
  }
}

function difference(after: Reading, before: Reading | undefined): ServerUsage {
  if (before === undefined) throw new Error('a server without a first reading')
  return {
    cpuUs: after.cpuUs - before.cpuUs,
    bytesIn: after.bytesIn - before.bytesIn,
    bytesOut: after.bytesOut - before.bytesOut,
    memoryBytes: after.memoryBytes - before.memoryBytes,
  }
}
