import { InvalidInputError } from '../errors.js'
import { replyPrefix } from '../guard/error-meaning.js'
import { untilAborted } from '../kit/until-aborted.js'
import { wrongArgument } from './arguments.js'
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
import { NotSentError, splitAddress } from './port.js'
import { normaliseReply } from './replies.js'
import { watchClient } from './watch.js'

/** What core uses of an ioredis client, of its Cluster, and of look-alikes such as iovalkey. */
export interface IoredisClient {
  /** Absent in ioredis-mock. */
  readonly status?: string
  readonly isCluster?: boolean
  readonly options?: { readonly keyPrefix?: string; readonly enableAutoPipelining?: boolean }
  readonly stream?: { destroy(): void } | null
  /** Absent in ioredis-mock, which is called by the methods of its commands. */
  call?(...args: readonly Argument[]): Promise<unknown>
  callBuffer?(...args: readonly Argument[]): Promise<unknown>
  connect?(): Promise<unknown>
  multi(): IoredisMulti
  sendCommand?(command: object, ...rest: readonly unknown[]): unknown
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

/** A transaction that is put together before it is sent. */
interface IoredisMulti {
  call?(...args: readonly Argument[]): unknown
  exec(): Promise<readonly (readonly [Error | null, unknown])[] | null>
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

type OpenSubscriber = (signal: AbortSignal) => Promise<SubscriberPort>

/** `subscriber` is given for clients that core made itself; of a borrowed one a duplicate is made. */
export function ioredisClient(client: IoredisClient, subscriber?: OpenSubscriber): ClientPort {
  const keyPrefix = client.options?.keyPrefix ?? ''
  const plain = keyPrefix === '' ? client : withoutPrefix(client)
  return {
    library: 'ioredis',
    topology: client.isCluster ? 'cluster' : 'standalone',
    keyPrefix,
    get isReady() {
      return isReady(client)
    },
    get notReady() {
      return client.status === 'end' ? 'The given client was closed' : `The given client is ${client.status}`
    },
    get isEnded() {
      return client.status === 'end'
    },
    wake: () => {
      if (client.status === 'wait') client.connect?.().catch(ignore)
    },
    send: (args, options) =>
      isReady(client)
        ? send(plain, args, options.buffers === true)
        : Promise.reject(new NotSentError('The client is not connected')),
    transaction: (commands) =>
      isReady(client)
        ? transaction(plain, commands)
        : Promise.reject(new NotSentError('The client is not connected')),
    primaries: async () =>
      (client.nodes?.('master') ?? [plain]).map(
        (node) => (args, options) => send(node, args, options.buffers === true),
      ),
    watch: (events) => watch(client, events),
    subscriber: subscriber ?? ((signal) => duplicateOf(client, signal)),
    close: async () => end(client),
    kill: () => end(client),
  }
}

/**
 * The client, as it would be without its `keyPrefix`. ioredis puts that before the keys of commands, but not into
 * the pattern of a SCAN and not off its reply, so a key that was written could not be found.
 */
function withoutPrefix(client: IoredisClient): IoredisClient {
  // Commands are made by `call` of this view, and sent by the client itself. Automatic pipelines are shared with
  // the commands of the host, whose keys have the prefix.
  const options = Object.create(client.options ?? null, {
    keyPrefix: { value: '' },
    enableAutoPipelining: { value: false },
  })
  return Object.create(client, {
    options: { value: options },
    sendCommand: {
      value: (command: object, ...rest: unknown[]) => client.sendCommand?.(command, ...rest),
    },
  })
}

async function transaction(
  client: IoredisClient,
  commands: readonly (readonly Argument[])[],
): Promise<readonly (Reply | Error)[]> {
  const multi = client.multi()
  for (const [name, ...args] of commands) {
    if (multi.call) multi.call(name ?? '', ...args)
    else
      (multi as unknown as Record<string, (...args: readonly Argument[]) => unknown>)[
        String(name).toLowerCase()
      ]?.(...args)
  }
  const results = await multi.exec().catch((error: unknown) => {
    throw causeOfAbort(error)
  })
  if (results === null) throw new Error('EXECABORT a watched key changed')
  return results.map(([error, reply], index) => error ?? normaliseReply(commands[index] ?? [], reply))
}

/** EXECABORT says only that something was refused; what it was stands beside it. */
function causeOfAbort(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const previous = 'previousErrors' in error ? error.previousErrors : undefined
  const cause = Array.isArray(previous) ? previous.find((one) => one instanceof Error) : undefined
  if (cause !== undefined) return cause
  return replyPrefix(error) === undefined && /\bslots?\b/.test(error.message)
    ? new InvalidInputError('commands', 'keys of one hash slot', undefined)
    : error
}

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
      const open = (until: AbortSignal) =>
        connectOnce(new module.Cluster(cluster.nodes, clusterOptions(cluster)) as IoredisClient, until, 0)
      return ioredisClient(await open(signal), async (until) => subscriberOf(await open(until)))
    },
  }
}

/** Only upper-case names are safe: for lower-case ones ioredis applies the transformers of its methods. */
function send(client: IoredisClient, args: readonly Argument[], buffers: boolean): Promise<Reply> {
  const call = buffers ? client.callBuffer : client.call
  if (call === undefined) return sendByMethod(client, args, buffers)
  const wrong = wrongArgument(args)
  if (wrong !== undefined) return Promise.reject(wrong)
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

function isReady(client: IoredisClient): boolean {
  return client.status === undefined || client.status === 'ready'
}

async function connectOnce(
  client: IoredisClient,
  signal: AbortSignal,
  database: number,
): Promise<IoredisClient> {
  // A refused password ends the connection; connect() then tells only of the end.
  let refusal: Error | undefined
  client.on('error', (error: Error) => {
    refusal ??= error
  })
  const ready = async () => {
    await client.connect?.()
    // ioredis is "ready" before the server has judged the password, and goes on when a SELECT was refused.
    if (database !== 0) await send(client, ['SELECT', String(database)], false)
    await send(client, ['PING'], false).catch((error: Error) => {
      // A user may lack the right to PING: the password was accepted then.
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
  }
}

function clusterOptions({ target, readFrom, translate }: ClusterTarget): object {
  return {
    lazyConnect: true,
    enableOfflineQueue: false,
    clusterRetryStrategy: () => null,
    natMap: (address: string) => translate(splitAddress(address)),
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
  return watchClient(client, stateEvents, () => isReady(client), events)
}

async function duplicateOf(client: IoredisClient, signal: AbortSignal): Promise<SubscriberPort> {
  // It is made anew after each end, so it must neither connect again by itself nor hold commands back.
  const single = { lazyConnect: true, keyPrefix: '', autoResubscribe: false }
  const duplicate = client.isCluster
    ? client.duplicate([], { ...single, shardedSubscribers: true, clusterRetryStrategy: null })
    : client.duplicate({ ...single, retryStrategy: null })
  duplicate.on('error', ignore)
  if (duplicate.status === 'wait' && duplicate.connect !== undefined) {
    await untilAborted(duplicate.connect(), signal, () => end(duplicate))
  }
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
      // Set first: messages may come in the same read as the confirmation.
      handlers.set(channel, handler)
      try {
        await (sharded ? client.ssubscribe?.(channel) : client.subscribe(channel))
      } catch (error) {
        handlers.delete(channel)
        throw error
      }
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
