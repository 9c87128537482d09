import { createRateLimiter, type RateLimiter, slidingWindow } from '@evenkeel/rate-limiter'
import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import { connectCalmly } from './family.js'
import { roundsOf, sumOf, usageOf } from './server-usage.js'
import { type CostSample, fitCosts } from './simulation/fit.js'
import type { Costs } from './simulation/model.js'
import type { Effort } from './tables.js'

/** What the decisions of a sliding window cost the server and the process, by write, command and decision. */
export interface ServiceLaw {
  readonly server: Costs
  readonly process: Costs
  readonly samples: readonly ServiceSample[]
}

export interface ServiceSample {
  readonly commands: number
  readonly decisions: number
  readonly serverUs: number
  readonly processUs: number
}

export const measuredLimit = slidingWindow(1_000_000, '1h')

/**
 * Turns in which some limiters on one connection decide some calls each: every limiter sends a command of its own, so
 * commands and decisions vary apart. The least of some rounds, each of which goes through all of them.
 */
export async function measureServiceLaw({ smoke }: Effort): Promise<ServiceLaw> {
  const plan = smoke ? turnsOf([1, 4], [1, 8]) : turnsOf([1, 4, 16], [1, 4, 16, 64, 128])
  await using server = await startRedis()
  const redis = await connectCalmly(server.url)
  const limiters = Array.from({ length: Math.max(...plan.map(({ commands }) => commands)) }, (_, index) =>
    createRateLimiter({ redis, name: `law-${index}`, limits: { r: measuredLimit }, stats: false }),
  )
  const seen = plan.map((): ServiceSample[] => [])
  for (let round = 0; round < roundsOf({ smoke }); round++) {
    for (const [index, turn] of plan.entries())
      seen[index]?.push(await costsOfTurns(server, limiters, turn, smoke ? 200 : 6_000))
  }
  for (const limiter of limiters) await limiter.close()
  await redis.close()
  const samples = seen.map(leastOf)
  const of = (us: (sample: ServiceSample) => number): CostSample[] =>
    samples.map((sample) => ({ ...sample, us: us(sample) }))
  return {
    server: fitCosts(of(({ serverUs }) => serverUs)),
    process: fitCosts(of(({ processUs }) => processUs)),
    samples,
  }
}

interface Turn {
  readonly commands: number
  /** In each. */
  readonly decisions: number
}

function turnsOf(commands: readonly number[], decisions: readonly number[]): readonly Turn[] {
  return commands.flatMap((count) => decisions.map((each) => ({ commands: count, decisions: each })))
}

async function costsOfTurns(
  server: RedisServer,
  limiters: readonly RateLimiter<'r'>[],
  { commands, decisions }: Turn,
  total: number,
): Promise<ServiceSample> {
  let from = 0
  const turns = Math.max(10, Math.round(total / (commands * decisions)))
  const run = async () => {
    for (let count = 0; count < turns; count++) {
      const calls = limiters.slice(0, commands).flatMap((limiter) => askOf(limiter, from, decisions))
      from += decisions
      await Promise.all(calls)
    }
  }
  await run()
  const before = process.cpuUsage()
  const { cpuUs } = sumOf(await usageOf([server], run))
  const { user, system } = process.cpuUsage(before)
  return { commands, decisions, serverUs: cpuUs / turns, processUs: (user + system) / turns }
}

/** Calls of as many subjects, in one turn. */
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
