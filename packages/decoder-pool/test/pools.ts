import { type Connection, type ConnectOptions, connect } from '@evenkeel/core'
import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import { afterEach } from 'vitest'
import { startPool } from '../src/decoder-pool.js'
import type { DecoderPool, DecoderPoolOptions } from '../src/index.js'
import { resolveOptions } from '../src/options.js'

export const node = (name: string, more: object = {}) => ({
  id: name,
  endpoint: `http://${name}.internal:8000`,
  capacity: 2,
  ...more,
})

export const idsOf = (pool: DecoderPool): readonly string[] =>
  pool
    .status()
    .nodes.map((one) => one.node.id)
    .sort()

export interface Coordinator {
  readonly redis: Connection
  readonly pool: DecoderPool
}

/** `registryTime` replaces the time of Redis, in milliseconds. */
export type TestOptions = DecoderPoolOptions & { readonly registryTime?: () => number }

/** Makes pools and connections that are closed after the test, even if it fails. */
export function useCoordinators() {
  const pools: DecoderPool[] = []
  const connections: Connection[] = []
  afterEach(async () => {
    for (const pool of pools.splice(0)) await pool.close()
    for (const redis of connections.splice(0)) await redis.close()
  })

  const create = async ({ registryTime, ...options }: TestOptions = {}): Promise<DecoderPool> => {
    const pool = await startPool({ ...resolveOptions({ probe: false, ...options }), registryTime })
    pools.push(pool)
    return pool
  }
  /** A coordinator with a connection of its own. */
  const join = async (
    url: string,
    options: TestOptions = {},
    connecting: ConnectOptions = {},
  ): Promise<Coordinator> => {
    const redis = await connect({ url, commandTimeout: 200, ...connecting })
    connections.push(redis)
    return { redis, pool: await create({ redis, pollInterval: 200, ...options }) }
  }
  return { create, join }
}

/** Everything that Redis acknowledges is on its disk. */
export const durable = { appendonly: 'yes', appendfsync: 'always' }

/** Starts Redis servers that are closed after the test. Call it first: the hook that is registered first runs last. */
export function useServers() {
  const servers: RedisServer[] = []
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.close()
  })
  return async (args: Record<string, string> = {}): Promise<RedisServer> => {
    const server = await startRedis({ args })
    servers.push(server)
    return server
  }
}
