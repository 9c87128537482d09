import { isError } from '../../kit/cross-realm.js'
import { untilAborted } from '../../kit/until-aborted.js'
import type { Argument, ClientEvents, ClientPort, MessageHandler, Reply, SubscriberPort } from '../port.js'
import { NotSentError } from '../port.js'
import { normaliseReply } from '../replies.js'
import { type EventSource, watchClient } from '../watch.js'

export type NodeRedisListener = (message: string, channel: string) => void

/** What core uses of a node-redis client, in the versions 4, 5 and 6. */
export interface NodeRedisClient extends EventSource {
  readonly isOpen: boolean
  readonly isReady: boolean
  connect(): Promise<unknown>
  sendCommand(args: readonly Argument[], options?: object): Promise<unknown>
  subscribe(channel: string, listener: NodeRedisListener): Promise<unknown>
  unsubscribe(channel: string, listener?: NodeRedisListener): Promise<unknown>
  sSubscribe?(channel: string, listener: NodeRedisListener): Promise<unknown>
  sUnsubscribe?(channel: string, listener?: NodeRedisListener): Promise<unknown>
  duplicate(overrides?: object): NodeRedisClient
  disconnect(): Promise<unknown>
  multi(): NodeRedisMulti
  readonly options?: NodeRedisOptions | undefined
  /** The client with promises, in version 4's legacy mode, where the client itself takes callbacks. */
  readonly v4?: Pick<NodeRedisClient, 'sendCommand'>
  /** From version 5 on. */
  destroy?(): void
}

/** The options of the host's client that matter here. */
export interface NodeRedisOptions {
  readonly socket?: object
  readonly legacyMode?: boolean
  /** From version 6.3 on. */
  readonly keyPrefix?: string
}

/** A transaction that is put together before it is sent. Version 4 has no `sendCommand` here. */
export interface NodeRedisMulti {
  addCommand(args: readonly Argument[]): unknown
  sendCommand?(args: readonly Argument[]): unknown
  exec(): Promise<unknown>
  /** The transaction with promises, in legacy mode, where the transaction itself takes callbacks. */
  readonly v4?: Pick<NodeRedisMulti, 'addCommand' | 'exec'>
}

/**
 * Reads RESP3 types, by their byte on the wire, in the shapes of RESP2: maps and sets as arrays, doubles as
 * text. Connections that core makes speak RESP2; a borrowed client may speak RESP3.
 */
const flat = { 37: Array, 126: Array, 44: String } as const
// With a timeout, version 6 would create an AbortSignal for each command; the executor has one timer for all commands.
const timeout = 0
export const flatOptions = { typeMapping: flat, timeout }
export const bufferOptions = { typeMapping: { ...flat, 36: Buffer }, returnBuffers: true, timeout }

const stateEvents = ['ready', 'error', 'end', 'reconnecting', 'disconnect', 'terminated'] as const

interface OwnParts {
  readonly dispose: AbortController
  readonly subscriber: (signal: AbortSignal) => Promise<SubscriberPort>
}

/** `own` is given for clients that core made itself, not for a borrowed one. */
export function nodeRedisClient(client: NodeRedisClient, own?: OwnParts): ClientPort {
  // Version 4, the only one without destroy(), has no type mapping, so it gets no options on the hot path.
  const plainOptions = client.destroy === undefined ? undefined : flatOptions
  const promising = client.options?.legacyMode ? (client.v4 ?? client) : client
  return {
    library: 'node-redis',
    topology: 'standalone',
    keyPrefix: client.options?.keyPrefix ?? '',
    get isReady() {
      return client.isReady
    },
    get notReady() {
      return client.isOpen ? 'The given client is connecting' : notConnected
    },
    isEnded: false,
    wake: ignore,
    send: (args, options) => {
      // The host may have left the offline queue on: a command in it is sent long after its caller gave up.
      if (own === undefined && !client.isReady) return Promise.reject(new NotSentError(notReady))
      const sent = promising.sendCommand(args, options.buffers ? bufferOptions : plainOptions)
      return plainOptions === undefined
        ? (sent as Promise<Reply>)
        : sent.then((reply) => normaliseReply(args, reply))
    },
    transaction: (commands) =>
      client.isReady ? transaction(client, commands) : Promise.reject(new NotSentError(notReady)),
    primaries: async () => [(args, options) => sendTo(promising, args, options)],
    watch: (events) => watchNodeRedis(client, () => client.isReady, events),
    subscriber: own?.subscriber ?? ((signal) => duplicateOf(client, signal)),
    close: () => endNodeRedis(client, own?.dispose),
    kill: () => void endNodeRedis(client, own?.dispose),
  }
}

export const notReady = 'The client is not connected'
export const notConnected = 'The given client is not connected: its owner has to call connect()'

export function sendTo(
  client: Pick<NodeRedisClient, 'sendCommand' | 'destroy'>,
  args: readonly Argument[],
  options: { readonly buffers?: boolean | undefined },
): Promise<Reply> {
  const plainOptions = client.destroy === undefined ? undefined : flatOptions
  return client
    .sendCommand(args, options.buffers ? bufferOptions : plainOptions)
    .then((reply) => normaliseReply(args, reply))
}

/** Uses the library's own MULTI: only the library can drop the rest of a transaction that a lost connection cut off. */
async function transaction(
  client: NodeRedisClient,
  commands: readonly (readonly Argument[])[],
): Promise<readonly (Reply | Error)[]> {
  const multi = client.multi()
  const promising = client.options?.legacyMode ? (multi.v4 ?? multi) : multi
  for (const args of commands) promising.addCommand([...args])
  return execute(commands, promising.exec())
}

/** Reads the reply of EXEC. Each version rejects if one of the commands failed, with all replies in the error. */
export async function execute(
  commands: readonly (readonly Argument[])[],
  executed: Promise<unknown>,
): Promise<readonly (Reply | Error)[]> {
  const replies = await executed.catch((error: unknown) => {
    if (isError(error) && 'replies' in error) return error.replies
    throw error
  })
  if (!Array.isArray(replies)) throw new Error('EXECABORT a watched key changed')
  return replies.map((reply, index) =>
    isError(reply) ? reply : normaliseReply(commands[index] ?? [], reply),
  )
}

/**
 * Opens a client for subscriptions with the options of the host's client. After each end a new one is opened, so it
 * never reconnects by itself. `socket.signal` ends it in every phase.
 */
export async function duplicateOf(client: NodeRedisClient, signal: AbortSignal): Promise<SubscriberPort> {
  const dispose = new AbortController()
  const duplicate = client.duplicate({
    legacyMode: false,
    disableOfflineQueue: false,
    socket: { ...client.options?.socket, reconnectStrategy: false, signal: dispose.signal },
  })
  duplicate.on('error', ignore)
  await connectOnce(duplicate, dispose, signal)
  return subscriberOf(duplicate, dispose)
}

/**
 * No version bounds its handshake, and a client that is destroyed in mid-connect leaves its socket open;
 * aborting `socket.signal`, which node's own net.connect honours, frees it in every phase.
 */
export async function connectOnce(
  client: Connectable,
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

interface Connectable {
  readonly isReady?: boolean
  connect(): Promise<unknown>
  disconnect(): Promise<unknown>
  destroy?(): void
}

export async function endNodeRedis(
  client: Pick<Connectable, 'disconnect' | 'destroy'>,
  dispose: AbortController | undefined,
): Promise<void> {
  try {
    const ended = client.destroy ? client.destroy() : client.disconnect()
    dispose?.abort(new Error('The connection was ended'))
    await ended
  } catch {
    // The client has ended already.
  }
}

export function watchNodeRedis(
  client: EventSource,
  isReady: () => boolean,
  events: ClientEvents,
): () => void {
  return watchClient(client, stateEvents, isReady, events)
}

interface Subscribing extends EventSource {
  readonly isReady: boolean
  subscribe(channel: string, listener: NodeRedisListener): Promise<unknown>
  unsubscribe(channel: string, listener?: NodeRedisListener): Promise<unknown>
  disconnect(): Promise<unknown>
  destroy?(): void
}

export function subscriberOf(client: Subscribing, dispose: AbortController | undefined): SubscriberPort {
  const handlers = new Map<string, MessageHandler>()
  return {
    subscribe: async (channel, handler) => {
      await client.subscribe(channel, handler)
      handlers.set(channel, handler)
    },
    // Without the listener, node-redis also removes the listeners of a later subscription.
    unsubscribe: async (channel) => {
      const handler = handlers.get(channel)
      handlers.delete(channel)
      await client.unsubscribe(channel, handler)
    },
    watch: (events) => watchNodeRedis(client, () => client.isReady, events),
    close: () => endNodeRedis(client, dispose),
    kill: () => void endNodeRedis(client, dispose),
  }
}

export function ignore(): void {}
