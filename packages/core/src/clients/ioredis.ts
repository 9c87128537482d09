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

/** What core uses of an ioredis client, of its Cluster, and of look-alikes such as iovalkey. */
export interface IoredisClient {
  /** Absent in ioredis-mock. */
  readonly status?: string
  readonly isCluster?: boolean
  readonly stream?: { destroy(): void } | null
  /** Absent in ioredis-mock, which is called by the methods of its commands. */
  call?(...args: readonly Argument[]): Promise<unknown>
  callBuffer?(...args: readonly Argument[]): Promise<unknown>
  connect?(): Promise<unknown>
  duplicate(...args: readonly object[]): IoredisClient
  /** Of a Cluster. */
  nodes?(role: 'master'): IoredisClient[]
  subscribe(channel: string): Promise<unknown>
  unsubscribe(channel: string): Promise<unknown>
  ssubscribe?(channel: string): Promise<unknown>
  sunsubscribe?(channel: string): Promise<unknown>
  quit(): Promise<unknown>
  disconnect(): void
  on(event: string, listener: (...values: never[]) => void): unknown
  off(event: string, listener: (...values: never[]) => void): unknown
}

export interface IoredisModule {
  readonly Redis: new (options: object) => unknown
  readonly Cluster: new (nodes: readonly object[], options: object) => unknown
}

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

const stateEvents = ['ready', 'error', 'close', 'end', 'reconnecting'] as const

type OpenSubscriber = () => Promise<SubscriberPort>

/** `subscriber` is given for clients that core made itself; of a borrowed one a duplicate is made. */
export function ioredisClient(client: IoredisClient, subscriber?: OpenSubscriber): ClientPort {
  return {
    library: 'ioredis',
    topology: client.isCluster ? 'cluster' : 'standalone',
    get isReady() {
      return isReady(client)
    },
    send: (args, options) =>
      isReady(client)
        ? send(client, args, options.buffers === true)
        : Promise.reject(new NotSentError('The client is not connected')),
    primaries: async () =>
      (client.nodes?.('master') ?? [client]).map(
        (node) => (args, options) => send(node, args, options.buffers === true),
      ),
    watch: (events) => watch(client, events),
    subscriber: subscriber ?? (() => duplicateOf(client)),
    close: async () => end(client),
    kill: () => end(client),
  }
}

export function ioredisLibrary(module: IoredisModule, version: string): ClientLibrary {
  return {
    name: 'ioredis',
    version,
    open: async (target, signal) => {
      const make = () => new module.Redis(clientOptions(target)) as IoredisClient
      const client = await connectOnce(make(), signal)
      return ioredisClient(client, async () =>
        subscriberOf(await connectOnce(make(), AbortSignal.timeout(target.connectTimeoutMs))),
      )
    },
    openCluster: async (cluster, signal) => {
      const make = () => new module.Cluster(cluster.nodes, clusterOptions(cluster)) as IoredisClient
      const client = await connectOnce(make(), signal)
      return ioredisClient(client, async () =>
        subscriberOf(await connectOnce(make(), AbortSignal.timeout(cluster.target.connectTimeoutMs))),
      )
    },
  }
}

/** Only upper-case names are safe: for lower-case ones ioredis applies the transformers of its methods. */
function send(client: IoredisClient, args: readonly Argument[], buffers: boolean): Promise<Reply> {
  const call = buffers ? client.callBuffer : client.call
  if (call === undefined) return sendByMethod(client, args, buffers)
  for (const arg of args) {
    // ioredis would send '' for undefined, and '[object Object]' for an object.
    if (typeof arg !== 'string' && !Buffer.isBuffer(arg)) return Promise.reject(notAnArgument(arg))
  }
  return call.apply(client, args as Argument[]).then((reply) => normaliseReply(args, reply))
}

async function sendByMethod(
  client: IoredisClient,
  [name, ...args]: readonly Argument[],
  buffers: boolean,
): Promise<Reply> {
  const methods = client as unknown as Record<string, (...args: readonly Argument[]) => Promise<unknown>>
  const method = methods[`${String(name).toLowerCase()}${buffers ? 'Buffer' : ''}`]
  if (method === undefined) throw new Error(`ERR unknown command '${String(name)}' for this client`)
  return normaliseReply([String(name), ...args], await method.apply(client, args))
}

function notAnArgument(arg: unknown): TypeError {
  return new TypeError(`A command takes text and Buffers, not ${typeof arg}`)
}

function isReady(client: IoredisClient): boolean {
  return client.status === undefined || client.status === 'ready'
}

async function connectOnce(client: IoredisClient, signal: AbortSignal): Promise<IoredisClient> {
  // A refused password ends the connection; connect() then tells only of the end.
  let refusal: Error | undefined
  client.on('error', (error: Error) => {
    refusal ??= error
  })
  const ready = async () => {
    await client.connect?.()
    // ioredis is "ready" before the server has judged the password.
    await send(client, ['PING'], false)
  }
  try {
    await untilAborted(ready(), signal, () => end(client))
    return client
  } catch (error) {
    throw signal.aborted ? error : (refusal ?? error)
  }
}

/** disconnect() alone waits two seconds for a peer that does not answer; without its stream it can't. */
function end(client: IoredisClient): void {
  client.disconnect()
  client.stream?.destroy()
}

function clientOptions(target: Target): object {
  return {
    ...singleUse,
    ...sharedOptions(target),
    ...(target.path === undefined ? { host: target.host, port: target.port } : { path: target.path }),
    db: target.database,
  }
}

function clusterOptions({ target, readFrom }: ClusterTarget): object {
  return {
    lazyConnect: true,
    enableOfflineQueue: false,
    clusterRetryStrategy: () => null,
    shardedSubscribers: true,
    slotsRefreshTimeout: 2_000,
    // ioredis knows no 'nearest'; a replica is as near as it comes.
    scaleReads: readFrom === 'primary' ? 'master' : 'slave',
    redisOptions: { ...sharedOptions(target), maxRetriesPerRequest: 0, autoResendUnfulfilledCommands: false },
  }
}

function sharedOptions(target: Omit<Target, 'host' | 'port' | 'path'>): object {
  return {
    username: target.username,
    password: target.password,
    connectTimeout: target.connectTimeoutMs,
    connectionName: target.clientName,
    noDelay: true,
    ...(target.tls === false ? {} : { tls: { ...target.tls } }),
  }
}

function watch(client: IoredisClient, events: ClientEvents): () => void {
  const handlers = stateEvents.map((name) => {
    const handler = (value?: unknown) => {
      const error = value instanceof Error ? value : undefined
      if (name === 'ready') events.ready()
      else if (!isReady(client)) events.end(error)
      else if (error !== undefined) events.error(error)
    }
    client.on(name, handler)
    return [name, handler] as const
  })
  return () => {
    for (const [name, handler] of handlers) client.off(name, handler)
  }
}

async function duplicateOf(client: IoredisClient): Promise<SubscriberPort> {
  const duplicate = client.isCluster ? client.duplicate([], { shardedSubscribers: true }) : client.duplicate()
  duplicate.on('error', ignore)
  if (duplicate.status === 'wait') await duplicate.connect?.()
  return subscriberOf(duplicate)
}

function subscriberOf(client: IoredisClient): SubscriberPort {
  const sharded = client.isCluster === true
  const handlers = new Map<string, MessageHandler>()
  client.on(sharded ? 'smessage' : 'message', (channel: string, message: string) =>
    handlers.get(channel)?.(message, channel),
  )
  return {
    subscribe: async (channel, handler) => {
      handlers.set(channel, handler)
      await (sharded ? client.ssubscribe?.(channel) : client.subscribe(channel))
    },
    unsubscribe: async (channel) => {
      handlers.delete(channel)
      await (sharded ? client.sunsubscribe?.(channel) : client.unsubscribe(channel))
    },
    watch: (events) => watch(client, events),
    close: async () => end(client),
    kill: () => end(client),
  }
}

function ignore(): void {}
