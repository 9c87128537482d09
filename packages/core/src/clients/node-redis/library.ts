import { type ClientLibrary, type ClusterTarget, splitAddress, type Target } from '../port.js'
import { connectOnce, ignore, type NodeRedisClient, nodeRedisClient, subscriberOf } from './client.js'
import { nodeRedisCluster } from './cluster.js'
import type { NodeRedisCluster } from './sharded.js'

export interface NodeRedisModule {
  createClient(options: object): unknown
  createCluster(options: object): unknown
}

export function nodeRedisLibrary(module: NodeRedisModule, version: string): ClientLibrary {
  return {
    name: 'node-redis',
    version,
    async open(target, signal) {
      const { client, dispose } = await openOnce(module, target, signal)
      const subscriber = async (until: AbortSignal) => {
        const own = await openOnce(module, target, until)
        return subscriberOf(own.client, own.dispose)
      }
      return nodeRedisClient(client, { dispose, subscriber })
    },
    async openCluster(cluster, signal) {
      const client = module.createCluster(clusterOptions(cluster)) as NodeRedisCluster
      client.on('error', ignore)
      await connectOnce(client, undefined, signal)
      return nodeRedisCluster(client)
    },
  }
}

async function openOnce(module: NodeRedisModule, target: Target, signal: AbortSignal) {
  const dispose = new AbortController()
  const client = module.createClient(clientOptions(target, dispose.signal)) as NodeRedisClient
  client.on('error', ignore)
  await connectOnce(client, dispose, signal)
  // The name is only for CLIENT LIST. As an option, it makes versions 4 and 6 end the connection if the user may not
  // set it.
  if (target.clientName !== undefined) {
    client.sendCommand(['CLIENT', 'SETNAME', target.clientName]).catch(ignore)
  }
  return { client, dispose }
}

function clientOptions(target: Target, dispose: AbortSignal): object {
  return {
    ...sharedOptions(target),
    socket: {
      ...socketOptions(target),
      ...(target.path === undefined ? { host: target.host, port: target.port } : { path: target.path }),
      signal: dispose,
    },
    database: target.database,
  }
}

function clusterOptions({ nodes, target, readFrom, translate }: ClusterTarget): object {
  return {
    rootNodes: nodes.map((node) => ({ socket: { ...socketOptions(target), ...node } })),
    // Root nodes pass no options on, so the defaults hold what every node needs. A node that is gone must
    // fail at once; a whole new client is then created from the live nodes.
    defaults: { ...sharedOptions(target), socket: socketOptions(target) },
    nodeAddressMap: (address: string) => translate(splitAddress(address)),
    useReplicas: readFrom !== 'primary',
    // Otherwise one unreachable node blocks the discovery of all others.
    minimizeConnections: true,
    RESP: 2,
  }
}

function sharedOptions(target: Omit<Target, 'host' | 'port' | 'path'>): object {
  return {
    username: target.username,
    password: target.password,
    disableOfflineQueue: true,
    RESP: 2,
    maintNotifications: 'disabled',
    commandOptions: { timeout: undefined },
  }
}

function socketOptions(target: Omit<Target, 'host' | 'port' | 'path'>): object {
  return {
    connectTimeout: target.connectTimeoutMs,
    noDelay: true,
    reconnectStrategy: false,
    ...(target.tls === false ? {} : { tls: true, ...target.tls }),
  }
}
