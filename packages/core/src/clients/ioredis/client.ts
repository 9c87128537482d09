import { InvalidInputError } from '../../errors.js'
import { replyPrefix } from '../../guard/error-meaning.js'
import { isError } from '../../kit/cross-realm.js'
import { wrongArgument } from '../arguments.js'
import type { Argument, ClientPort, Reply, SubscriberPort } from '../port.js'
import { NotSentError } from '../port.js'
import { normaliseReply } from '../replies.js'
import { ShardedSubscriber } from '../sharded-subscriber.js'
import { end, type IoredisClient, isReady, watch } from './module.js'
import { shardedIoredis } from './sharded.js'
import { duplicateOf } from './subscriber.js'

type OpenSubscriber = (signal: AbortSignal) => Promise<SubscriberPort>

/** `subscriber` is given for single servers that core connected to itself; for a borrowed one a duplicate is made. */
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
      if (client.status === 'wait') client.connect?.().catch(() => {})
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
    subscriber: client.isCluster
      ? async () => new ShardedSubscriber(shardedIoredis(client, (args) => send(plain, args, false)))
      : (subscriber ?? ((signal) => duplicateOf(client, signal))),
    close: async () => end(client),
    kill: () => end(client),
  }
}

/**
 * The client as it would be without its `keyPrefix`. ioredis adds the prefix to the keys of commands, but neither adds
 * it to the pattern of a SCAN nor removes it from the reply, so a SCAN would not find the keys that were written.
 */
function withoutPrefix(client: IoredisClient): IoredisClient {
  // Commands are created by `call` of this view and sent by the client itself. Automatic pipelining is off, because a
  // pipeline is shared with the host's commands, whose keys have the prefix.
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

/** EXECABORT says only that something was refused; `previousErrors` holds the reason. */
function causeOfAbort(error: unknown): unknown {
  if (!isError(error)) return error
  const previous = 'previousErrors' in error ? error.previousErrors : undefined
  const cause = Array.isArray(previous) ? previous.find((one) => isError(one)) : undefined
  if (cause !== undefined) return cause
  return replyPrefix(error) === undefined && /\bslots?\b/.test(error.message)
    ? new InvalidInputError('commands', 'keys of one hash slot', undefined)
    : error
}

/** Only upper-case names are safe: for lower-case ones ioredis applies the transformers of its methods. */
export function send(client: IoredisClient, args: readonly Argument[], buffers: boolean): Promise<Reply> {
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
