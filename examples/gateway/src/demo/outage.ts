import { setTimeout as pause } from 'node:timers/promises'
import type { Result } from './driver.js'
import type { Outage } from './findings.js'
import { healthOf } from './fleet.js'
import type { Progress } from './progress.js'
import type { OwnRedis } from './redis.js'

export interface OutagePlan {
  readonly redis: OwnRedis
  readonly gateways: readonly string[]
  /** The duration of the whole run. */
  readonly durationMs: number
  readonly startedAt: number
  readonly progress: Progress
}

/** Kills Redis for the middle third of the run, and measures how soon the gateways use it again. */
export async function outageDuring({
  redis,
  gateways,
  durationMs,
  startedAt,
  progress,
}: OutagePlan): Promise<Outage> {
  await pause(durationMs / 3)
  const awayAt = performance.now()
  await redis.takeAway()
  progress.note('Redis is gone; the gateways go on from memory')
  await pause(durationMs / 3)
  await redis.begin()
  const backAt = performance.now()
  progress.note('Redis is back')
  const returned = await Promise.all(gateways.map(usesRedisAgain))
  const returnMs = returned.includes(false) ? undefined : performance.now() - backAt
  const during = ({ job }: Result) => {
    const sentAt = startedAt + job.atMs
    return sentAt >= awayAt && sentAt < backAt
  }
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
