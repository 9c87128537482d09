import type { Argument, ClientPort, Reply, SendOptions } from '../port.js'
import { NotSentError } from '../port.js'
import { normaliseReply } from '../replies.js'
import type { EventSource } from '../watch.js'
import {
  bufferOptions,
  connectOnce,
  execute,
  flatOptions,
  ignore,
  type NodeRedisListener,
  notConnected,
  notReady,
  subscriberOf,
  watchNodeRedis,
} from './client.js'

/** What core uses of node-redis' own Sentinel client (5 and 6). */
export interface NodeRedisSentinel extends EventSource {
  readonly isOpen: boolean
  readonly isReady: boolean
  sendCommand(readOnly: boolean | undefined, args: readonly Argument[], options?: object): Promise<unknown>
  duplicate(overrides?: object): NodeRedisSentinel
  connect(): Promise<unknown>
  subscribe(channel: string, listener: NodeRedisListener): Promise<unknown>
  unsubscribe(channel: string, listener?: NodeRedisListener): Promise<unknown>
  destroy(): void
  disconnect(): Promise<unknown>
  multi(): { addCommand(isReadOnly: boolean, args: readonly Argument[]): unknown; exec(): Promise<unknown> }
  readonly _keyPrefix?: string | undefined
}

/** A borrowed Sentinel client. It follows failovers, and retries commands, in its own way. */
export function nodeRedisSentinel(sentinel: NodeRedisSentinel): ClientPort {
  const send = (args: readonly Argument[], options: SendOptions): Promise<Reply> =>
    sentinel.isReady
      ? sentinel
          .sendCommand(options.readOnly, args, options.buffers ? bufferOptions : flatOptions)
          .then((reply) => normaliseReply(args, reply))
      : Promise.reject(new NotSentError(notReady))
  return {
    library: 'node-redis',
    topology: 'standalone',
    keyPrefix: sentinel._keyPrefix ?? '',
    get isReady() {
      return sentinel.isReady
    },
    get notReady() {
      return sentinel.isOpen ? 'The given sentinel client is connecting' : notConnected
    },
    isEnded: false,
    wake: ignore,
    send,
    transaction: (commands) => {
      if (!sentinel.isReady) return Promise.reject(new NotSentError(notReady))
      const multi = sentinel.multi()
      for (const args of commands) multi.addCommand(false, [...args])
      return execute(commands, multi.exec())
    },
    primaries: async () => [send],
    watch: (events) => watchNodeRedis(sentinel, () => sentinel.isReady, events),
    subscriber: async (signal) => {
      const duplicate = sentinel.duplicate()
      duplicate.on('error', ignore)
      await connectOnce(duplicate, undefined, signal)
      return subscriberOf(duplicate, undefined)
    },
    close: async () => sentinel.destroy(),
    kill: () => sentinel.destroy(),
  }
}
