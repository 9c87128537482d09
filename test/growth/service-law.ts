import { createRateLimiter, type RateLimiter, slidingWindow } from '@evenkeel/rate-limiter'
import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import { connectCalmly } from './family.js'
import { roundsOf, sumOf, usageOf } from './server-usage.js'
import { type CostSample, fitCosts } from './simulation/fit.js'
import type { Costs } from './simulation/model.js'
import type { Effort } from './tables.js'

/** What the decisions of a sliding window cost the server and the process. */
export interface ServiceLaw {
  readonly server: Costs
  readonly process: Costs
}

export interface ServiceSample extends Turn {
  readonly serverUs: number
  readonly processUs: number
}

export const measuredLimit = slidingWindow(1_000_000, '1h')

interface Turn {
  /** Connections that are written to. */
  readonly writes: number
  /** Commands on each connection. */
  readonly commands: number
  /** Decisions in each command. */
  readonly decisions: number
}

/**
 * Measures turns with different numbers of connections, limiters and calls. Each limiter sends its own command, so
 * writes, commands and decisions vary independently. Gives the minimum of some rounds, each of all turns.
 */
export async function measureTurns({ smoke }: Effort): Promise<readonly ServiceSample[]> {
  const plan = smoke
    ? turnsOf([1, 2], [1, 2], [1, 8])
    : [...turnsOf([1], [1, 4, 16], [1, 4, 16, 64, 128]), ...turnsOf([4, 16], [1, 4], [1, 16])]
  await using server = await startRedis()
  const most = (of: (turn: Turn) => number) => Math.max(...plan.map(of))
  const connections = await Promise.all(
    Array.from({ length: most(({ writes }) => writes) }, () => connectCalmly(server.url)),
  )
  const limiters = connections.map((redis) =>
    Array.from({ length: most(({ commands }) => commands) }, (_, index) =>
      createRateLimiter({ redis, name: `law-${index}`, limits: { r: measuredLimit }, stats: false }),
    ),
  )
  const seen = plan.map((): ServiceSample[] => [])
  for (let round = 0; round < roundsOf({ smoke }); round++) {
    for (const [index, turn] of plan.entries())
      seen[index]?.push(await costsOfTurns(server, limiters, turn, smoke ? 200 : 3_000))
  }
  for (const limiter of limiters.flat()) await limiter.close()
  for (const redis of connections) await redis.close()
  return seen.map(leastOf)
}

/** Fits the costs to the minimum of several measurements of each turn. */
export function lawOf(measured: readonly ServiceSample[]): ServiceLaw {
  const byTurn = new Map<string, ServiceSample[]>()
  for (const sample of measured) {
    const id = `${sample.writes} ${sample.commands} ${sample.decisions}`
    byTurn.set(id, [...(byTurn.get(id) ?? []), sample])
  }
  const samples = [...byTurn.values()].map(leastOf)
  const of = (us: (sample: ServiceSample) => number): CostSample[] =>
    samples.map((sample) => ({ ...sample, us: us(sample) }))
  return {
    server: fitCosts(of(({ serverUs }) => serverUs)),
    process: fitCosts(of(({ processUs }) => processUs)),
  }
}

function turnsOf(
  writes: readonly number[],
  commands: readonly number[],
  decisions: readonly number[],
): readonly Turn[] {
  return writes.flatMap((connections) =>
    commands.flatMap((count) =>
      decisions.map((each) => ({ writes: connections, commands: count, decisions: each })),
    ),
  )
}

async function costsOfTurns(
  server: RedisServer,
  limiters: readonly (readonly RateLimiter<'r'>[])[],
  turn: Turn,
  total: number,
): Promise<ServiceSample> {
  const { writes, commands, decisions } = turn
  const asked = limiters.slice(0, writes).flatMap((each) => each.slice(0, commands))
  let from = 0
  const turns = Math.max(10, Math.round(total / (writes * commands * decisions)))
  const run = async () => {
    for (let count = 0; count < turns; count++) {
      await Promise.all(asked.flatMap((limiter) => askOf(limiter, from, decisions)))
      from += decisions
    }
  }
  await run()
  const before = process.cpuUsage()
  const { cpuUs } = sumOf(await usageOf([server], run))
  const { user, system } = process.cpuUsage(before)
  return { ...turn, serverUs: cpuUs / turns, processUs: (user + system) / turns }
}

/** Checks `count` subjects in one turn. */
export function askOf(limiter: RateLimiter<'r'>, from: number, count: number): readonly Promise<unknown>[] {
  return Array.from({ length: count }, (_, index) => limiter.check(`user:${(from + index) % 2_000}`))
}

function leastOf(samples: readonly ServiceSample[]): ServiceSample {
  const [first] = samples
  if (first === undefined) throw new Error('no sample')
  const least = (of: (sample: ServiceSample) => number) => Math.min(...samples.map(of))
  return {
    ...first,
    serverUs: least(({ serverUs }) => serverUs),
    processUs: least(({ processUs }) => processUs),
  }
}
