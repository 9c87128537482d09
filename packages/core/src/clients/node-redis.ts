import { untilAborted } from '../kit/until-aborted.js'
import type {
  Argument,
  ClientEvents,
  ClientLibrary,
  ClientPort,
  ClusterTarget,
  MessageHandler,
  Reply,
  SubscriberPort,
  Target,
} from './port.js'
import { NotSentError } from './port.js'
import { normaliseReply } from './replies.js'

type Listener = (message: string, channel: string) => void

/** What core uses of a node-redis client, in the versions 4, 5 and 6. */
export interface NodeRedisClient {
  readonly isOpen: boolean
  readonly isReady: boolean
  connect(): Promise<unknown>
  sendCommand(args: readonly Argument[], options?: object): Promise<unknown>
  subscribe(channel: string, listener: Listener): Promise<unknown>
  unsubscribe(channel: string, listener?: Listener): Promise<unknown>
  duplicate(overrides?: object): NodeRedisClient
  disconnect(): Promise<unknown>
  /** From version 5 on. */
  destroy?(): void
  on(event: string, listener: (...values: never[]) => void): unknown
  off(event: string, listener: (...values: never[]) => void): unknown
}

/** What core uses of a node-redis cluster client; it has no `isReady` before version 5. */
export interface NodeRedisCluster {
  readonly isOpen?: boolean
  connect(): Promise<unknown>
  sendCommand(
    key: Argument | undefined,
    readOnly: boolean | undefined,
    args: readonly Argument[],
    options?: object,
  ): Promise<unknown>
  readonly masters: readonly object[]
  nodeClient(node: object): Promise<NodeRedisClient> | NodeRedisClient
  sSubscribe(channel: string, listener: Listener): Promise<unknown>
  sUnsubscribe(channel: string, listener?: Listener): Promise<unknown>
  disconnect(): Promise<unknown>
  destroy?(): void
  on(event: string, listener: (...values: never[]) => void): unknown
  off(event: string, listener: (...values: never[]) => void): unknown
}

/** What core uses of node-redis' own Sentinel client (5 and 6). */
export interface NodeRedisSentinel {
  readonly isOpen: boolean
  readonly isReady: boolean
  sendCommand(readOnly: boolean | undefined, args: readonly Argument[], options?: object): Promise<unknown>
  duplicate(overrides?: object): NodeRedisSentinel
  connect(): Promise<unknown>
  subscribe(channel: string, listener: Listener): Promise<unknown>
  unsubscribe(channel: string, listener?: Listener): Promise<unknown>
  destroy(): void
  on(event: string, listener: (...values: never[]) => void): unknown
  off(event: string, listener: (...values: never[]) => void): unknown
}

export interface NodeRedisModule {
  createClient(options: object): unknown
  createCluster(options: object): unknown
}

/**
 * RESP3 types, by their byte on the wire, read as RESP2 would have: maps and sets as arrays, doubles as
 * text. Connections that core makes speak RESP2; a borrowed client may speak RESP3.
 */
const flat = { 37: Array, 126: Array, 44: String } as const
const flatOptions = { typeMapping: flat }
const bufferOptions = { typeMapping: { ...flat, 36: Buffer }, returnBuffers: true }

const stateEvents = ['ready', 'error', 'end', 'reconnecting', 'disconnect', 'terminated'] as const

interface OwnParts {
  readonly dispose: AbortController
  readonly subscriber: () => Promise<SubscriberPort>
}

/** `own` is given for clients that core made itself; a borrowed one has neither. */
export function nodeRedisClient(client: NodeRedisClient, own?: OwnParts): ClientPort {
  // Only version 4 lacks destroy(), and only 4 would mind options that it does not know on the hot path.
  const plainOptions = client.destroy === undefined ? undefined : flatOptions
  return {
    library: 'node-redis',
    topology: 'standalone',
    get isReady() {
      return client.isReady
    },
    send: (args, options) => {
      // The host may have left the offline queue on: what waits there is sent long after its caller gave up.
      if (own === undefined && !client.isReady)
        return Promise.reject(new NotSentError('The client is not connected'))
      const sent = client.sendCommand(args, options.buffers ? bufferOptions : plainOptions)
      return plainOptions === undefined
        ? (sent as Promise<Reply>)
        : sent.then((reply) => normaliseReply(args, reply))
    },
    primaries: async () => [(args, options) => plainSend(client, args, options)],
    watch: (events) => watch(client, () => client.isReady, events),
    subscriber: own?.subscriber ?? (() => duplicateOf(client)),
    close: () => endNodeRedis(client, own?.dispose),
    kill: () => void endNodeRedis(client, own?.dispose),
  }
}

/** A borrowed Sentinel client. It follows failovers, and retries commands, in its own way. */
export function nodeRedisSentinel(sentinel: NodeRedisSentinel): ClientPort {
  return {
    library: 'node-redis',
    topology: 'standalone',
    get isReady() {
      return sentinel.isReady
    },
    send: (args, options) =>
      sentinel.isReady
        ? sentinel
            .sendCommand(options.readOnly, args, options.buffers ? bufferOptions : flatOptions)
            .then((reply) => normaliseReply(args, reply))
        : Promise.reject(new NotSentError('The client is not connected')),
    primaries: async () => [
      (args, options) =>
        sentinel
          .sendCommand(options.readOnly, args, flatOptions)
          .then((reply) => normaliseReply(args, reply)),
    ],
    watch: (events) => watch(sentinel, () => sentinel.isReady, events),
    subscriber: async () => {
      const duplicate = sentinel.duplicate()
      duplicate.on('error', ignore)
      await duplicate.connect()
      const end = () => duplicate.destroy()
      return {
        subscribe: async (channel, handler) => void (await duplicate.subscribe(channel, handler)),
        unsubscribe: async (channel) => void (await duplicate.unsubscribe(channel)),
        watch: (events) => watch(duplicate, () => duplicate.isReady, events),
        close: async () => end(),
        kill: end,
      }
    },
    close: async () => sentinel.destroy(),
    kill: () => sentinel.destroy(),
  }
}

export function nodeRedisCluster(cluster: NodeRedisCluster): ClientPort {
  let ended = false
  return {
    library: 'node-redis',
    topology: 'cluster',
    get isReady() {
      return !ended && cluster.isOpen !== false
    },
    send: (args, options) =>
      cluster
        .sendCommand(options.key, options.readOnly, args, options.buffers ? bufferOptions : flatOptions)
        .then((reply) => normaliseReply(args, reply)),
    primaries: async () => {
      const clients = await Promise.all(cluster.masters.map((node) => cluster.nodeClient(node)))
      return clients.map((client) => (args, options) => plainSend(client, args, options))
    },
    watch: (events) => watch(cluster, () => !ended, events),
    subscriber: async () => shardedSubscriber(cluster),
    close: async () => {
      ended = true
      await endNodeRedis(cluster, undefined)
    },
    kill: () => {
      ended = true
      void endNodeRedis(cluster, undefined)
    },
  }
}

export function nodeRedisLibrary(module: NodeRedisModule, version: string): ClientLibrary {
  return {
    name: 'node-redis',
    version,
    async open(target, signal) {
      const { client, dispose } = await openOnce(module, target, signal)
      const subscriber = async () => {
        const own = await openOnce(module, target, AbortSignal.timeout(target.connectTimeoutMs))
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
  return { client, dispose }
}

function plainSend(
  client: NodeRedisClient,
  args: readonly Argument[],
  options: { readonly buffers?: boolean | undefined },
): Promise<Reply> {
  return client
    .sendCommand(args, options.buffers ? bufferOptions : flatOptions)
    .then((reply) => normaliseReply(args, reply))
}

async function duplicateOf(client: NodeRedisClient): Promise<SubscriberPort> {
  const duplicate = client.duplicate()
  duplicate.on('error', ignore)
  await duplicate.connect()
  return subscriberOf(duplicate, undefined)
}

/**
 * No version bounds its handshake, and a client that is destroyed in mid-connect leaves its socket open;
 * aborting `socket.signal`, which node's own net.connect honours, frees it in every phase.
 */
async function connectOnce(
  client: NodeRedisClient | NodeRedisCluster,
  dispose: AbortController | undefined,
  signal: AbortSignal,
): Promise<void> {
  const abandon = () => void endNodeRedis(client, dispose)
  await untilAborted(client.connect(), signal, abandon)
  // Versions 4 and 5 resolve connect() although the client was ended meanwhile.
  if ('isReady' in client && client.isReady === false) {
    abandon()
    throw new Error('The client ended while connecting')
  }
}

async function endNodeRedis(
  client: NodeRedisClient | NodeRedisCluster,
  dispose: AbortController | undefined,
): Promise<void> {
  try {
    const ended = client.destroy ? client.destroy() : client.disconnect()
    dispose?.abort(new Error('The connection was ended'))
    await ended
  } catch {
    // Ending what has ended already is fine.
  }
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

function clusterOptions({ nodes, target, readFrom }: ClusterTarget): object {
  return {
    rootNodes: nodes.map((node) => ({ socket: { ...socketOptions(target), ...node } })),
    // Root nodes pass nothing on: what every node needs stands in the defaults. A node that is gone must
    // fail at once; the whole client is made anew from the nodes that live.
    defaults: { ...sharedOptions(target), socket: socketOptions(target) },
    useReplicas: readFrom !== 'primary',
    // Else one unreachable node blocks the discovery of all others.
    minimizeConnections: true,
    RESP: 2,
  }
}

function sharedOptions(target: Omit<Target, 'host' | 'port' | 'path'>): object {
  return {
    username: target.username,
    password: target.password,
    name: target.clientName,
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

function watch(
  client: Pick<NodeRedisClient, 'on' | 'off'>,
  isReady: () => boolean,
  events: ClientEvents,
): () => void {
  const handlers = stateEvents.map((name) => {
    const handler = (value?: unknown) => {
      const error = value instanceof Error ? value : undefined
      if (name === 'ready') events.ready()
      else if (!isReady()) events.end(error)
      else if (error !== undefined) events.error(error)
    }
    client.on(name, handler)
    return [name, handler] as const
  })
  return () => {
    for (const [name, handler] of handlers) client.off(name, handler)
  }
}

function subscriberOf(client: NodeRedisClient, dispose: AbortController | undefined): SubscriberPort {
  return {
    subscribe: async (channel, handler) => void (await client.subscribe(channel, handler)),
    unsubscribe: async (channel) => void (await client.unsubscribe(channel)),
    watch: (events) => watch(client, () => client.isReady, events),
    close: () => endNodeRedis(client, dispose),
    kill: () => void endNodeRedis(client, dispose),
  }
}

/** A cluster client keeps subscriptions on connections of its own, one for each shard that has any. */
function shardedSubscriber(cluster: NodeRedisCluster): SubscriberPort {
  const handlers = new Map<string, MessageHandler>()
  const leave = async (channel: string) => {
    const handler = handlers.get(channel)
    handlers.delete(channel)
    if (handler) await cluster.sUnsubscribe(channel, handler)
  }
  return {
    subscribe: async (channel, handler) => {
      await cluster.sSubscribe(channel, handler)
      handlers.set(channel, handler)
    },
    unsubscribe: leave,
    watch: () => ignore,
    close: async () => void (await Promise.allSettled([...handlers.keys()].map(leave))),
    kill: () => handlers.clear(),
  }
}

function ignore(): void {}
