import { setTimeout as pause } from 'node:timers/promises'
import type { Result } from './driver.js'
import type { Outage } from './findings.js'
import { healthOf } from './fleet.js'
import type { Progress } from './progress.js'
import type { OwnRedis } from './redis.js'
import type { Schedule } from './schedule.js'

export interface OutagePlan {
  readonly redis: OwnRedis
  readonly gateways: readonly string[]
  /** The duration of the whole run. */
  readonly durationMs: number
  readonly schedule: Schedule
  readonly progress: Progress
}

/** Kills Redis for the middle third of the run, and measures how soon the gateways use it again. */
export async function outageDuring({
  redis,
  gateways,
  durationMs,
  schedule,
  progress,
}: OutagePlan): Promise<Outage> {
  await schedule.reach(durationMs / 3)
  // Where the machine has stalled, there would be nothing yet to compare with.
  await schedule.holdUntil(() => progress.answeredShare > 0.1, 60_000)
  const awayAt = performance.now()
  const awayFrom = schedule.now()
  await redis.takeAway()
  progress.note('Redis is gone; the gateways go on from memory')
  await schedule.reach((2 / 3) * durationMs)
  await redis.begin()
  const awayTo = schedule.now()
  const backAt = performance.now()
  progress.note('Redis is back')
  const returned = await Promise.all(gateways.map(usesRedisAgain))
  const returnMs = returned.includes(false) ? undefined : performance.now() - backAt
  const during = ({ job }: Result) => job.atMs >= awayFrom && job.atMs < awayTo
  return { awayMs: backAt - awayAt, returnMs, during }
}

async function usesRedisAgain(url: string): Promise<boolean> {
  for (const until = performance.now() + 10_000; performance.now() < until; ) {
    const { redis, stores } = await healthOf(url)
    if (redis === 'up' && Object.values(stores).every((state) => state === 'primary')) return true
    await pause(20)
  }
  return false
}
