import { setTimeout as pause } from 'node:timers/promises'
import type { Connection } from '@evenkeel/core'
import { createRateLimiter, type RateLimiter, slidingWindow } from '@evenkeel/rate-limiter'
import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import { countCommands } from './command-count.js'
import { connectCalmly, ownLimiter } from './family.js'
import { leastUs, roundsOf, sumOf, usageOf } from './server-usage.js'
import type { Effort, Section, Table } from './tables.js'

/** With a window of a minute a lease lasts three seconds. */
const limit = 50_000_000
const window = '1m'

/** One subject that many instances check, with and without leases. */
export const hotSubject: Section = {
  name: 'hot-subject',
  async measure(effort) {
    return [await oneSubject(effort), await leases(effort)]
  },
}

/** The rate at which one subject fills a core of Redis. */
async function oneSubject({ smoke }: Effort): Promise<Table> {
  await using server = await startRedis()
  const redis = await connectCalmly(server.url)
  const limiter = createRateLimiter({ redis, limits: { r: slidingWindow(limit, window) }, stats: false })
  const rows: number[][] = []
  for (const together of [1, 8, 32, 128]) {
    const turns = Math.max(10, Math.round((smoke ? 100 : 12_000) / together))
    const run = async () => {
      for (let turn = 0; turn < turns; turn++)
        await Promise.all(Array.from({ length: together }, () => limiter.check('hot')))
    }
    await run()
    const us = await leastUs([server], { count: turns * together, rounds: roundsOf({ smoke }) }, run)
    rows.push([together, us, Math.round(1e6 / us)])
  }
  await limiter.close()
  await redis.close()
  return {
    id: 'hot-subject',
    columns: [
      'decisions of an instance in one turn',
      'µs of the processor a decision',
      'one core is full at, a second',
    ],
    rows,
  }
}

async function leases({ smoke }: Effort): Promise<Table> {
  const rows: number[][] = []
  for (const instances of smoke ? [2] : [10, 50]) {
    for (const rate of smoke ? [20] : [0.5, 1, 2, 5, 50]) {
      const [without, leased] = await Promise.all([
        costOf({ instances, rate, lease: false, smoke }),
        costOf({ instances, rate, lease: true, smoke }),
      ])
      rows.push([
        ...[instances, rate],
        ...[without.commands, leased.commands, without.cpuUs, leased.cpuUs],
        without.cpuUs / leased.cpuUs,
      ])
    }
  }
  return {
    id: 'leases',
    columns: [
      ...['instances', 'decisions a second of each', 'commands a decision', 'with leases'],
      ...['µs of the processor a decision', 'with leases, µs', 'µs saved, times'],
    ],
    rows,
  }
}

interface Asking {
  readonly instances: number
  /** Decisions a second of each instance. */
  readonly rate: number
  readonly lease: boolean
  readonly smoke: boolean
}

/** The cost of one decision, without the instances' heartbeats. */
async function costOf({
  instances,
  rate,
  lease,
  smoke,
}: Asking): Promise<{ commands: number; cpuUs: number }> {
  await using server = await startRedis()
  const connections: Connection[] = []
  const limiters: RateLimiter<'r'>[] = []
  for (let index = 0; index < instances; index++) {
    const redis = await connectCalmly(server.url)
    connections.push(redis)
    limiters.push(ownLimiter(redis, 'hot', slidingWindow(limit, window, { lease }), { stats: false }))
  }
  const windowMs = smoke ? 500 : rate < 3 ? 12_000 : 6_000
  const asking = paced(limiters, rate)
  // Leases are sized by recent traffic.
  await pause(smoke ? 500 : 6_500)
  const countFrom = asking.done
  const count = await countCommands(server, () => pause(windowMs))
  const counted = asking.done - countFrom
  const measuredFrom = asking.done
  const { cpuUs } = sumOf(await usageOf([server], () => pause(windowMs)))
  const measured = asking.done - measuredFrom
  asking.stop()
  const idle = await idleCost(server, windowMs)
  if (asking.denied > 0) throw new Error('a decision was denied: its limit was meant to be far away')
  await Promise.all(limiters.map((limiter) => limiter.close()))
  await Promise.all(connections.map((redis) => redis.close()))
  return {
    commands: Math.max(0, count.total - idle.commands) / counted,
    cpuUs: Math.max(0, cpuUs - idle.cpuUs) / measured,
  }
}

/** What the same instances cost while they are idle. */
async function idleCost(server: RedisServer, windowMs: number): Promise<{ commands: number; cpuUs: number }> {
  // Instances give back unused leases by themselves.
  await pause(Math.min(windowMs, 4_000))
  const { total } = await countCommands(server, () => pause(windowMs))
  const { cpuUs } = sumOf(await usageOf([server], () => pause(windowMs)))
  return { commands: total, cpuUs }
}

/** Calls each limiter at an even pace, out of step with the others. */
function paced(limiters: readonly RateLimiter<'r'>[], rate: number) {
  const state = { done: 0, denied: 0, stop: () => {} }
  const everyMs = 1_000 / rate
  const timers: NodeJS.Timeout[] = []
  for (const [index, limiter] of limiters.entries()) {
    const ask = async () => {
      const { allowed } = await limiter.check('hot')
      state.done++
      if (!allowed) state.denied++
    }
    timers.push(
      setTimeout(
        () => {
          void ask()
          timers.push(setInterval(() => void ask(), everyMs))
        },
        (everyMs * index) / limiters.length,
      ),
    )
  }
  state.stop = () => {
    for (const timer of timers) clearTimeout(timer)
  }
  return state
}
