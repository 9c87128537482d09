import { findLibrary } from './clients/libraries.js'
import { type NodeRedisClient, nodeRedisClient } from './clients/node-redis.js'
import { Connection } from './connection.js'
import { type Duration, durationMs } from './duration.js'
import { BorrowedSource } from './sources/borrowed.js'
import { OwnedSource } from './sources/owned.js'

export interface ConnectOptions {
  url?: string
  client?: object
  library?: object | 'redis' | 'ioredis'
  commandTimeout?: Duration
  namespace?: string
}

export async function connect(options: ConnectOptions = {}): Promise<Connection> {
  const source = options.client
    ? new BorrowedSource(nodeRedisClient(options.client as NodeRedisClient))
    : await ownedSource(options)
  const connection = new Connection({
    source,
    namespace: options.namespace ?? 'evenkeel:',
    commandTimeoutMs: durationMs('commandTimeout', options.commandTimeout ?? 500),
    maxInFlight: 10_000,
    breaker: {},
    autoResync: true,
  })
  await connection.start()
  return connection
}

async function ownedSource(options: ConnectOptions): Promise<OwnedSource> {
  const library = await findLibrary(options.library)
  const url = new URL(options.url ?? process.env.REDIS_URL ?? 'redis://127.0.0.1:6379')
  const target = {
    host: url.hostname,
    port: Number(url.port || 6379),
    database: 0,
    tls: false as const,
    connectTimeoutMs: 5_000,
    username: url.username || undefined,
    password: url.password || undefined,
  }
  return new OwnedSource({ open: (signal) => library.open(target, signal), attemptTimeoutMs: 5_000 })
}
