import { type Connection, connect } from '@evenkeel/core'
import { flavours, type RedisServer, startRedis } from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createRateLimiter, slidingWindow, tokenBucket } from '../src/index.js'

/** An admitted call. The server decided at some moment between the two times. */
interface Admission {
  readonly sentMs: number
  readonly answeredMs: number
  readonly cost: number
}

const instances = 4
const runMs = 1_500
/** A machine under load may need longer to ask for more than the limit. */
const maxRunMs = 15_000

describe.each(flavours())(
  'promise 4: a limit holds on the clock of $name, for instances in parallel',
  (flavour) => {
    let server: RedisServer
    let connections: Connection[]

    beforeAll(async () => {
      server = await startRedis({ flavour })
      connections = await Promise.all(Array.from({ length: instances }, () => connect({ url: server.url })))
    })
    afterAll(async () => {
      for (const redis of connections) await redis.close()
      await server.close()
    })

    /** Every instance asks for 1 to 3 units without pause, with four calls in flight. */
    async function hammer(name: string, limit: Parameters<typeof createRateLimiter>[0]['limits'][string]) {
      const admissions: Admission[] = []
      let denied = 0
      const startedAt = performance.now()
      const isOver = () => {
        const ranMs = performance.now() - startedAt
        return ranMs > maxRunMs || (ranMs > runMs && denied > 0)
      }
      const ask = async (redis: Connection, seed: number) => {
        const limiter = createRateLimiter({ redis, name, limits: { units: limit }, denialMemory: 0 })
        for (let count = seed; !isOver(); count++) {
          const cost = 1 + (count % 3)
          const sentMs = performance.now()
          const { allowed, source } = await limiter.check('hot', { units: cost })
          expect(source).toBe('redis')
          if (allowed) admissions.push({ sentMs, answeredMs: performance.now(), cost })
          else denied++
        }
        await limiter.close()
      }
      await Promise.all(
        connections.flatMap((redis, index) => [0, 1, 2, 3].map((call) => ask(redis, index + call))),
      )
      return { admissions, denied }
    }

    /** Units that the server certainly admitted within the span. */
    function unitsWithin(admissions: readonly Admission[], fromMs: number, toMs: number): number {
      const inside = admissions.filter(({ sentMs, answeredMs }) => sentMs >= fromMs && answeredMs <= toMs)
      return inside.reduce((sum, { cost }) => sum + cost, 0)
    }

    it.concurrent.each([
      ['exact', slidingWindow(60, 300)],
      ['slotted', slidingWindow(150, 300)],
    ])('in every rolling window (%s)', async (kind, limit) => {
      const { admissions, denied } = await hammer(`window-${kind}`, limit)
      expect(denied).toBeGreaterThan(0)
      for (const { sentMs } of admissions) {
        // The server's clock counts whole milliseconds, so a window may be one shorter on a finer clock.
        const units = unitsWithin(admissions, sentMs, sentMs + limit.windowMs - 1)
        expect(units).toBeLessThanOrEqual(limit.limit)
      }
      // A limiter that admits nothing would hold the limit as well.
      expect(unitsWithin(admissions, 0, Number.POSITIVE_INFINITY)).toBeGreaterThan(limit.limit)
    })

    it.concurrent('of a bucket, over every span', async () => {
      const limit = tokenBucket({ capacity: 50, refill: 30, every: 100 })
      const { admissions, denied } = await hammer('bucket', limit)
      expect(denied).toBeGreaterThan(0)
      const last = admissions.at(-1)?.answeredMs ?? 0
      for (const { sentMs } of admissions) {
        for (const spanMs of [10, 100, 500, last - sentMs]) {
          const refilled = ((spanMs + 1) * limit.refill) / limit.everyMs
          expect(unitsWithin(admissions, sentMs, sentMs + spanMs)).toBeLessThanOrEqual(limit.limit + refilled)
        }
      }
      expect(unitsWithin(admissions, 0, Number.POSITIVE_INFINITY)).toBeGreaterThan(limit.limit)
    })
  },
)
