import { type Connection, connect } from '@evenkeel/core'
import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import { afterAll, beforeAll } from 'vitest'

/** A Redis for a file's tests, and connections to it, all closed at the end. */
export function useRedis(options: Parameters<typeof startRedis>[0] = {}) {
  let server: RedisServer
  const open: { close(): unknown }[] = []

  beforeAll(async () => {
    server = await startRedis(options)
  })
  afterAll(async () => {
    for (const one of open.reverse()) await one.close()
    await server.close()
  })

  return {
    get server() {
      return server
    },
    async connect(commandTimeout = 300, url = server.url): Promise<Connection> {
      const redis = await connect({ url, commandTimeout })
      open.push(redis)
      return redis
    },
    /** Closed at the end, before its connection. */
    own<T extends { close(): unknown }>(one: T): T {
      open.push(one)
      return one
    },
  }
}
