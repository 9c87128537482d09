import { replyPrefix } from '../../guard/error-meaning.js'
import { untilAborted } from '../../kit/until-aborted.js'
import type { ClientLibrary, ClusterTarget, Target } from '../port.js'
import { splitAddress } from '../port.js'
import { ioredisClient, send } from './client.js'
import { end, type IoredisClient, type IoredisModule } from './module.js'
import { subscriberOf } from './subscriber.js'

/** One client, one connection: no reconnecting, no queue, nothing sent twice. */
const singleUse = {
  lazyConnect: true,
  retryStrategy: null,
  maxRetriesPerRequest: 0,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  enableReadyCheck: false,
  protocol: 2,
} as const

export function ioredisLibrary(module: IoredisModule, version: string): ClientLibrary {
  return {
    name: 'ioredis',
    version,
    open: async (target, signal) => {
      const open = (until: AbortSignal) =>
        connectOnce(new module.Redis(clientOptions(target)) as IoredisClient, until, target.database)
      return ioredisClient(await open(signal), async (until) => subscriberOf(await open(until)))
    },
    openCluster: async (cluster, signal) => {
      const client = new module.Cluster(cluster.nodes, clusterOptions(cluster)) as IoredisClient
      return ioredisClient(await connectOnce(client, signal, 0))
    },
  }
}

async function connectOnce(
  client: IoredisClient,
  signal: AbortSignal,
  database: number,
): Promise<IoredisClient> {
  // A refused password ends the connection, and connect() reports only the end, not the refusal.
  let refusal: Error | undefined
  client.on('error', (error: Error) => {
    refusal ??= error
  })
  const ready = async () => {
    await client.connect?.()
    // ioredis is "ready" before the server has checked the password, and ignores a refused SELECT.
    if (database !== 0) await send(client, ['SELECT', String(database)], false)
    await send(client, ['PING'], false).catch((error: Error) => {
      // If the user may not PING, the password was accepted.
      if (replyPrefix(error) !== 'NOPERM') throw error
    })
  }
  try {
    await untilAborted(ready(), signal, () => end(client))
    return client
  } catch (error) {
    throw signal.aborted ? error : (refusal ?? error)
  }
}

function clientOptions(target: Target): object {
  return {
    ...singleUse,
    ...sharedOptions(target),
    ...(target.path === undefined ? { host: target.host, port: target.port } : { path: target.path }),
  }
}

function clusterOptions({ target, readFrom, translate }: ClusterTarget): object {
  return {
    lazyConnect: true,
    enableOfflineQueue: false,
    clusterRetryStrategy: () => null,
    natMap: (address: string) => translate(splitAddress(address)),
    slotsRefreshTimeout: 2_000,
    // ioredis has no 'nearest'; reading from a replica is the closest to it.
    scaleReads: readFrom === 'primary' ? 'master' : 'slave',
    redisOptions: { ...sharedOptions(target), maxRetriesPerRequest: 0, autoResendUnfulfilledCommands: false },
  }
}

function sharedOptions(target: Omit<Target, 'host' | 'port' | 'path'>): object {
  return {
    username: target.username,
    password: target.password,
    connectTimeout: target.connectTimeoutMs,
    // ioredis keeps a process alive for this time after `disconnect()`, even if the socket was closed before.
    disconnectTimeout: 100,
    connectionName: target.clientName,
    noDelay: true,
    ...(target.tls === false ? {} : { tls: { ...target.tls } }),
  }
}
