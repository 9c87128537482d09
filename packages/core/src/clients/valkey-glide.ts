import { InvalidOptionError } from '../errors.js'
import { untilAborted } from '../kit/until-aborted.js'
import type {
  Argument,
  ClientEvents,
  ClientLibrary,
  ClientPort,
  ClusterTarget,
  MessageHandler,
  Reply,
  SendOptions,
  SubscriberPort,
  Target,
} from './port.js'
import { NotSentError } from './port.js'

/** What core uses of a GlideClient and a GlideClusterClient. */
export interface GlideClient {
  customCommand(args: readonly Argument[], options?: object): Promise<unknown>
  exec(batch: object, raiseOnError: boolean, options?: object): Promise<readonly unknown[] | null>
  close(errorMessage?: string): void
  subscribe(channels: readonly string[], timeoutMs?: number): Promise<unknown>
  unsubscribe(channels: readonly string[], timeoutMs?: number): Promise<unknown>
  /** Of a cluster client. */
  ssubscribe?(channels: readonly string[], timeoutMs?: number): Promise<unknown>
  sunsubscribe?(channels: readonly string[], timeoutMs?: number): Promise<unknown>
  /** Both are there, though only its subclasses may see them by their types. */
  readonly isClosed?: boolean
  readonly config?: object
}

interface GlideClass {
  createClient(options: object): Promise<GlideClient>
}

interface GlideBatch {
  customCommand(args: readonly Argument[]): unknown
}

export interface GlideModule {
  readonly GlideClient: GlideClass
  readonly GlideClusterClient: GlideClass
  readonly Batch: new (isAtomic: boolean) => GlideBatch
  readonly ClusterBatch: new (isAtomic: boolean) => GlideBatch
  readonly Logger?: { init(level?: string): void }
}

const protocol = { resp3: 0, resp2: 1 } as const
const decoder = { bytes: 0, text: 1 } as const

/** Every command has its caller's deadline; the library's own must not be shorter, nor take part. */
const requestTimeoutMs = 3_600_000
/** Core bounds what is in flight; the library would refuse from the thousand and first on. */
const inflightRequestsLimit = 1_000_000
/** How often a client is looked at: whether its owner closed it. */
const lookEveryMs = 100
/** How often a subscriber asks whether it is still on the connection that it subscribed on. */
const askEveryMs = 1_000
const subscribeTimeoutMs = 5_000

/**
 * The library connects again by itself, whatever happens, and has no event and no state that would tell. So the first
 * command that fails by its connection tells all who watch; one that is lost while nothing is sent, the next PING.
 */
class GlidePort implements ClientPort {
  readonly library = 'valkey-glide'
  readonly topology: 'standalone' | 'cluster'
  readonly keyPrefix = ''
  readonly #client: GlideClient
  readonly #load: () => Promise<GlideModule>
  readonly #openSubscriber: ((signal: AbortSignal) => Promise<SubscriberPort>) | undefined
  readonly #followers: Set<ClientEvents>
  readonly #isOwned: boolean

  constructor(
    client: GlideClient,
    load: () => Promise<GlideModule>,
    openSubscriber?: (signal: AbortSignal) => Promise<SubscriberPort>,
  ) {
    this.#client = client
    this.#load = load
    this.#openSubscriber = openSubscriber
    this.#isOwned = openSubscriber !== undefined
    this.#followers = followersOf(client)
    this.topology = isCluster(client) ? 'cluster' : 'standalone'
  }

  get isReady(): boolean {
    return this.#client.isClosed !== true
  }

  get notReady(): string {
    return 'The given client was closed'
  }

  get isEnded(): boolean {
    return this.#client.isClosed === true
  }

  wake(): void {}

  send(args: readonly Argument[], options: SendOptions): Promise<Reply> {
    return this.#run(args, options, routeOf(this.topology, options))
  }

  async transaction(
    commands: readonly (readonly Argument[])[],
    options: SendOptions,
  ): Promise<readonly (Reply | Error)[]> {
    if (!this.isReady) throw new NotSentError(this.notReady)
    const module = await this.#load()
    const batch = new (this.topology === 'cluster' ? module.ClusterBatch : module.Batch)(true)
    for (const args of commands) batch.customCommand(args)
    const route = routeOf(this.topology, options)
    const replies = await this.#client
      .exec(batch, false, { decoder: decoder.text, ...(route === undefined ? {} : { route }) })
      .catch((error: unknown) => this.#failed(error))
    if (replies === null) throw new Error('EXECABORT a watched key changed')
    return replies.map((reply, index) =>
      reply instanceof Error ? asServersError(reply) : readReply(commands[index] ?? [], reply),
    )
  }

  async primaries() {
    if (this.topology === 'standalone')
      return [(args: readonly Argument[], options: SendOptions) => this.send(args, options)]
    const slots = await this.send(['CLUSTER', 'SLOTS'], {})
    const nodes = new Map<string, object>()
    for (const range of Array.isArray(slots) ? slots : []) {
      const [host, port] = Array.isArray(range) && Array.isArray(range[2]) ? range[2] : []
      nodes.set(`${host}:${port}`, { type: 'routeByAddress', host: String(host), port: Number(port) })
    }
    return [...nodes.values()].map(
      (route) => (args: readonly Argument[], options: SendOptions) => this.#run(args, options, route),
    )
  }

  watch(events: ClientEvents): () => void {
    this.#followers.add(events)
    const look = setInterval(() => {
      if (this.isReady) return
      clearInterval(look)
      events.end(new Error(this.notReady))
    }, lookEveryMs)
    look.unref()
    return () => {
      clearInterval(look)
      this.#followers.delete(events)
    }
  }

  subscriber(signal: AbortSignal): Promise<SubscriberPort> {
    return this.#openSubscriber === undefined
      ? openSubscriber(this.#client.constructor as unknown as GlideClass, this.#client.config ?? {}, signal)
      : this.#openSubscriber(signal)
  }

  async close(): Promise<void> {
    this.kill()
  }

  /** Once: the library rejects all that it ever had in flight each time. */
  kill(): void {
    if (this.#client.isClosed !== true) this.#client.close()
  }

  #run(args: readonly Argument[], { buffers }: SendOptions, route: object | undefined): Promise<Reply> {
    if (!this.isReady) return Promise.reject(new NotSentError(this.notReady))
    for (const arg of args) {
      if (typeof arg !== 'string' && !Buffer.isBuffer(arg))
        return Promise.reject(new TypeError(`A command takes text and Buffers, not ${typeof arg}`))
    }
    const options = {
      decoder: buffers ? decoder.bytes : decoder.text,
      ...(route === undefined ? {} : { route }),
    }
    return this.#client.customCommand(args, options).then(
      (reply) => readReply(args, reply),
      (error: unknown) => this.#failed(error),
    )
  }

  #failed(error: unknown): never {
    const known = asServersError(error)
    if (isOfConnection(error) && this.isReady) {
      // One of our own is not used again: what waits in the library's queue must not be sent after its caller gave up.
      if (this.#isOwned) this.kill()
      for (const events of [...this.#followers]) events.end(known)
    }
    throw known
  }
}

/** All connections that share a client hear of what one of them meets. */
const followers = new WeakMap<GlideClient, Set<ClientEvents>>()

function followersOf(client: GlideClient): Set<ClientEvents> {
  const known = followers.get(client) ?? new Set()
  followers.set(client, known)
  return known
}

/** `load` finds the library whose client this is, for what is made by its classes. */
export function valkeyGlideClient(client: GlideClient, load: () => Promise<GlideModule>): ClientPort {
  return new GlidePort(client, load)
}

export function valkeyGlideLibrary(module: GlideModule, version: string): ClientLibrary {
  // Its log of every refused command goes to the output of the process; who has set a level already keeps it.
  module.Logger?.init('off')
  const load = async () => module
  const open = async (glide: GlideClass, options: object, signal: AbortSignal) => {
    const own = {
      ...options,
      protocol: protocol.resp2,
      requestTimeout: requestTimeoutMs,
      inflightRequestsLimit,
    }
    const client = await create(glide, own, signal)
    return new GlidePort(client, load, (until) => openSubscriber(glide, options, until))
  }
  return {
    name: 'valkey-glide',
    version,
    open: async (target, signal) => {
      const options = clientOptions(target)
      return open(module.GlideClient, options, signal).catch((error: unknown) => {
        // A replica, or a sentinel: without this it refuses both.
        if (!/No primary node found/.test(String(error))) throw error
        return open(module.GlideClient, { ...options, readOnly: true }, signal)
      })
    },
    openCluster: async (cluster, signal) => open(module.GlideClusterClient, clusterOptions(cluster), signal),
  }
}

/** No attempt of the library can be stopped; what comes of one after its end is closed. */
async function create(glide: GlideClass, options: object, signal: AbortSignal): Promise<GlideClient> {
  const attempt = glide.createClient(options)
  const abandon = () => void attempt.then((client) => client.close(), ignore)
  try {
    return await untilAborted(attempt, signal, abandon)
  } catch (error) {
    throw asServersError(error)
  }
}

async function openSubscriber(
  glide: GlideClass,
  config: object,
  signal: AbortSignal,
): Promise<SubscriberPort> {
  const handlers = new Map<string, MessageHandler>()
  const callback = ({ channel, message }: { readonly channel: unknown; readonly message: unknown }) => {
    const name = String(channel)
    handlers.get(name)?.(String(message), name)
  }
  const client = await create(
    glide,
    {
      ...config,
      protocol: protocol.resp3,
      defaultDecoder: decoder.text,
      pubsubSubscriptions: { channelsAndPatterns: {}, callback },
    },
    signal,
  )
  return subscriberOf(client, handlers)
}

function subscriberOf(client: GlideClient, handlers: Map<string, MessageHandler>): SubscriberPort {
  const sharded = isCluster(client)
  const events = new Set<ClientEvents>()
  const end = () => {
    clearInterval(look)
    client.close()
  }
  // The library subscribes again by itself, and tells nobody that it was away: messages may have been missed.
  let connection: unknown
  const look = setInterval(() => void sameConnection().catch(lost), askEveryMs)
  look.unref()
  const sameConnection = async () => {
    if (sharded) return void (await client.customCommand(['PING']))
    const id = await client.customCommand(['CLIENT', 'ID']).catch((error: unknown) => {
      if (isOfConnection(error)) throw error
    })
    connection ??= id
    if (id !== undefined && id !== connection) throw new Error('The subscriber was connected anew')
  }
  const lost = (error: unknown) => {
    end()
    for (const { end: ended } of [...events]) ended(asServersError(error))
  }
  return {
    subscribe: async (channel, handler) => {
      handlers.set(channel, handler)
      try {
        await refuseWhereForbidden(client, sharded ? 'SSUBSCRIBE' : 'SUBSCRIBE', channel)
        await (sharded
          ? client.ssubscribe?.([channel], subscribeTimeoutMs)
          : client.subscribe([channel], subscribeTimeoutMs))
        await sameConnection()
      } catch (error) {
        handlers.delete(channel)
        throw asServersError(error)
      }
    },
    unsubscribe: async (channel) => {
      handlers.delete(channel)
      await (sharded
        ? client.sunsubscribe?.([channel], subscribeTimeoutMs)
        : client.unsubscribe([channel], subscribeTimeoutMs))
    },
    watch: (watcher) => {
      events.add(watcher)
      return () => void events.delete(watcher)
    },
    close: async () => end(),
    kill: end,
  }
}

/** The library tries what the server refuses until its time is over, and keeps the reason for itself. */
async function refuseWhereForbidden(client: GlideClient, command: string, channel: string): Promise<void> {
  const check = `return redis.acl_check_cmd('${command}', ARGV[1]) and 1 or 0`
  const isAllowed = await client.customCommand(['EVAL', check, '0', channel]).catch(() => 1)
  if (isAllowed === 0)
    throw replyError('NOPERM', `this user has no permissions to ${command.toLowerCase()} to the channel`)
}

function isCluster(client: GlideClient): boolean {
  return typeof client.ssubscribe === 'function'
}

/** What has no key goes to any node; a readable one the library sends to a replica where it may. */
function routeOf(topology: ClientPort['topology'], { key }: SendOptions): object | undefined {
  return topology === 'cluster' && typeof key === 'string' ? { type: 'primarySlotKey', key } : undefined
}

function clientOptions(target: Target): object {
  if (target.path !== undefined)
    throw new InvalidOptionError('url', 'a host and port: valkey-glide knows no unix sockets', target.path)
  return {
    ...sharedOptions(target),
    addresses: [{ host: target.host, port: target.port }],
    databaseId: target.database,
  }
}

function clusterOptions({ nodes, target, readFrom, translate }: ClusterTarget): object {
  return {
    ...sharedOptions(target),
    addresses: nodes.map(({ host, port }) => ({ host, port })),
    addressResolver: (host: string, port: number) => {
      const reached = translate({ host, port })
      return [reached.host, reached.port]
    },
    readFrom: readFrom === 'primary' ? 'primary' : 'preferReplica',
  }
}

function sharedOptions({
  username,
  password,
  tls,
  clientName,
  connectTimeoutMs,
}: Omit<Target, 'host' | 'port' | 'path'>): object {
  if (tls !== false) {
    for (const name of ['cert', 'key', 'ciphers', 'minVersion', 'servername'] as const) {
      if (tls[name] !== undefined)
        throw new InvalidOptionError(`tls.${name}`, 'nothing: valkey-glide does not take it', undefined)
    }
  }
  const authorities = tls === false || tls.ca === undefined ? [] : [tls.ca].flat()
  return {
    useTLS: tls !== false,
    ...(password === undefined
      ? {}
      : { credentials: { ...(username === undefined ? {} : { username }), password } }),
    ...(clientName === undefined ? {} : { clientName }),
    advancedConfiguration: {
      connectionTimeout: connectTimeoutMs,
      ...(tls === false
        ? {}
        : {
            tlsAdvancedConfiguration: {
              ...(tls.rejectUnauthorized === false ? { insecure: true } : {}),
              ...(authorities.length === 0 ? {} : { rootCertificates: authorities.map(String).join('\n') }),
            },
          }),
    },
  }
}

/** What the library calls the errors whose first words it knows. */
const serversWords: Readonly<Record<string, string>> = {
  ResponseError: 'ERR',
  PermissionDenied: 'NOPERM',
  ReadOnly: 'READONLY',
  BusyLoadingError: 'LOADING',
  ClusterDown: 'CLUSTERDOWN',
  CrossSlot: 'CROSSSLOT',
  MasterDown: 'MASTERDOWN',
  TryAgain: 'TRYAGAIN',
  NotBusy: 'NOTBUSY',
  ExecAbortError: 'EXECABORT',
  NoScriptError: 'NOSCRIPT',
  Moved: 'MOVED',
  Ask: 'ASK',
}

/** Gives a server's error its own first word back, which the library renames or sets off with a colon. */
function asServersError(error: unknown): Error {
  if (!(error instanceof Error)) return new Error('an unknown error')
  if (/maximum inflight requests/i.test(error.message)) return new NotSentError(error.message)
  const renamed = /signalled by the server: ?-? ?(\w+): ?([\s\S]*)/.exec(error.message)
  if (renamed !== null) return replyError(serversWords[renamed[1] ?? ''] ?? 'ERR', renamed[2] ?? '', error)
  if (/AuthenticationFailed/.test(error.message))
    return replyError('WRONGPASS', 'the user or password', error)
  if (/- ReadOnly$/.test(error.message)) return replyError('READONLY', error.message, error)
  const setOff = /^([A-Z][A-Z0-9_]+): ([\s\S]*)/.exec(error.message)
  return setOff === null ? error : replyError(setOff[1] ?? 'ERR', setOff[2] ?? '', error)
}

function replyError(prefix: string, message: string, cause?: Error): Error {
  return Object.assign(new Error(`${prefix} ${message}`.trim(), { cause }), { name: 'ReplyError' })
}

function isOfConnection(error: unknown): boolean {
  return (
    error instanceof Error && /^(ConnectionError|ClosingError|NotSentError)$/.test(error.constructor.name)
  )
}

const streamEntries = /^(XREAD|XREADGROUP|XRANGE|XREVRANGE|XCLAIM|XAUTOCLAIM)$/i
const doubles = /^(ZSCORE|ZMSCORE|ZINCRBY|INCRBYFLOAT|HINCRBYFLOAT|GEODIST)$/i

/** Reads a reply as RESP2 shapes it: the library makes objects of pairs, booleans and numbers by the command's name. */
function readReply(args: readonly Argument[], reply: unknown): Reply {
  const command = String(args[0])
  return flatten(reply, { isNested: streamEntries.test(command), isDouble: doubles.test(command) })
}

interface Shape {
  /** Pairs are arrays of two, as in streams; elsewhere they stand one behind the other. */
  readonly isNested: boolean
  /** Whole numbers may be doubles too. */
  readonly isDouble: boolean
}

function flatten(reply: unknown, shape: Shape): Reply {
  switch (typeof reply) {
    case 'string':
      return reply
    case 'boolean':
      return reply ? 1 : 0
    case 'bigint':
      return Number(reply)
    case 'number':
      return shape.isDouble || !Number.isInteger(reply) ? textOf(reply) : reply
    default:
      if (reply === null || reply === undefined) return null
      if (Buffer.isBuffer(reply)) return reply
      if (Array.isArray(reply)) return reply.flatMap((one: unknown) => elements(one, shape))
      return Object.entries(reply).flatMap(([key, value]) => [key, flatten(value, shape)])
  }
}

/** One element of an array, or the two of a pair. */
function elements(one: unknown, shape: Shape): Reply[] {
  if (!isPair(one)) return [flatten(one, shape)]
  const value = one.value
  if (!shape.isNested) return [flatten(one.key, shape), flatten(value, { ...shape, isDouble: true })]
  // The fields of an entry are pairs themselves, and stand one behind the other.
  const isFields = Array.isArray(value) && value.every((field) => Array.isArray(field) && field.length === 2)
  return [[flatten(one.key, shape), isFields ? (value.flat() as Reply[]) : flatten(value, shape)]]
}

function isPair(one: unknown): one is { readonly key: unknown; readonly value: unknown } {
  return (
    typeof one === 'object' &&
    one !== null &&
    !Array.isArray(one) &&
    !Buffer.isBuffer(one) &&
    'key' in one &&
    'value' in one
  )
}

function textOf(double: number): string {
  if (double === Number.POSITIVE_INFINITY) return 'inf'
  return double === Number.NEGATIVE_INFINITY ? '-inf' : String(double)
}

function ignore(): void {}
