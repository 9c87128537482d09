import { type Connection, connect } from '@evenkeel/core'
import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import { afterAll, beforeAll } from 'vitest'
import { createRateLimiter, type RateLimiter, type RateLimiterOptions } from '../src/index.js'

export interface Instance<Name extends string> {
  readonly redis: Connection | undefined
  readonly limiter: RateLimiter<Name>
}

let names = 0

/** A Redis for a file's tests, and instances of a limiter on it, all closed at the end. */
export function useRedis(options: Parameters<typeof startRedis>[0] = {}) {
  let server: RedisServer
  const open: Instance<string>[] = []

  beforeAll(async () => {
    server = await startRedis(options)
  })
  afterAll(async () => {
    for (const { limiter, redis } of open) {
      await limiter.close()
      await redis?.close()
    }
    await server.close()
  })

  async function instances<Name extends string>(count: number, own: RateLimiterOptions<Name>) {
    const name = `shared-${names++}`
    const made = await Promise.all(
      Array.from({ length: count }, async () => {
        const redis = await connect({ url: server.url, commandTimeout: 300 })
        return { redis, limiter: createRateLimiter({ redis, name, ...own }) }
      }),
    )
    open.push(...(made as unknown as Instance<string>[]))
    return made
  }

  return {
    get server() {
      return server
    },
    instances,
    /** One limiter, on Redis or in this process. */
    async limiter<Name extends string>(where: string, own: RateLimiterOptions<Name>) {
      if (where === 'memory') return createRateLimiter(own)
      const [only] = await instances(1, own)
      if (only === undefined) throw new Error('No instance was made')
      return only.limiter
    },
  }
}
