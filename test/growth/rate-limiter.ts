import { createRateLimiter, type Limit, slidingWindow, tokenBucket } from '@evenkeel/rate-limiter'
import { startRedis } from '@evenkeel/test-servers'
import { connectCalmly, familyTables, ownLimiter } from './family.js'
import { leastUs, roundsOf, sumOf, usageOf } from './server-usage.js'
import { type Effort, familySizes, type Section, type Table } from './tables.js'

/** What one more instance and one more subject of a rate limiter cost. */
export const rateLimiter: Section = {
  name: 'rate-limiter',
  async measure(effort) {
    const family = await familyTables(
      {
        id: 'limiter',
        sizes: familySizes(effort),
        async make(redis) {
          const limiter = ownLimiter(redis, 'family', slidingWindow(1_000_000, '1m'))
          await limiter.check('first')
          return limiter
        },
        operations: { 'a decision': (limiter, index) => limiter.check(`user:${index % 1_000}`) },
      },
      effort,
    )
    return [...family, await subjects(effort)]
  },
}

const together = 128

async function subjects({ smoke }: Effort): Promise<Table> {
  const sizes = smoke ? [200, 400] : [1_000, 10_000, 100_000, 1_000_000]
  const kinds: Readonly<Record<string, Limit>> = {
    'sliding window': slidingWindow(1_000_000, '1d'),
    'token bucket': tokenBucket({ capacity: 1_000_000, refill: 1, every: '1h' }),
  }
  const rows: (string | number)[][] = []
  for (const [kind, limit] of Object.entries(kinds)) {
    await using server = await startRedis()
    const redis = await connectCalmly(server.url)
    const limiter = createRateLimiter({ redis, limits: { r: limit }, stats: false })
    const check = (from: number, subjectOf: (index: number) => number) =>
      Promise.all(
        Array.from({ length: together }, (_, index) => limiter.check(`user:${subjectOf(from + index)}`)),
      )
    await check(0, () => 0)
    let made = 0
    let bytes = 0
    for (const size of sizes) {
      const fill = async () => {
        for (; made < size; made += together) await check(made, (index) => index)
      }
      bytes += sumOf(await usageOf([server], fill)).memoryBytes
      const asked = smoke ? 256 : 32_768
      const stride = 7_919
      const ask = async () => {
        for (let from = 0; from < asked; from += together)
          await check(from, (index) => (index * stride) % size)
      }
      await ask()
      const us = await leastUs([server], { count: asked, rounds: roundsOf({ smoke }) }, ask)
      rows.push([kind, size, bytes / size, us])
    }
    await limiter.close()
    await redis.close()
  }
  return {
    id: 'limiter-subjects',
    columns: ['limit', 'subjects', 'bytes of Redis a subject', 'µs of the processor a decision'],
    rows,
  }
}
