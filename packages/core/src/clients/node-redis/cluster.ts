import type { Argument, ClientPort, MessageHandler, SubscriberPort } from '../port.js'
import { NotSentError } from '../port.js'
import { normaliseReply } from '../replies.js'
import type { EventSource } from '../watch.js'
import {
  bufferOptions,
  endNodeRedis,
  execute,
  flatOptions,
  ignore,
  type NodeRedisClient,
  type NodeRedisListener,
  notConnected,
  notReady,
  sendTo,
  watchNodeRedis,
} from './client.js'

/** What core uses of a node-redis cluster client; it has no `isReady` before version 5. */
export interface NodeRedisCluster extends EventSource {
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
  sSubscribe(channel: string, listener: NodeRedisListener): Promise<unknown>
  sUnsubscribe(channel: string, listener?: NodeRedisListener): Promise<unknown>
  disconnect(): Promise<unknown>
  destroy?(): void
  /** Version 4 takes the key and the command; later ones whether it only reads, between them. */
  multi(routing?: Argument): { addCommand(...args: readonly unknown[]): unknown; exec(): Promise<unknown> }
  /** From version 6.3 on. */
  readonly _keyPrefix?: string | undefined
}

export function nodeRedisCluster(cluster: NodeRedisCluster): ClientPort {
  let ended = false
  const isReady = () => !ended && cluster.isOpen !== false && cluster.masters.length > 0
  return {
    library: 'node-redis',
    topology: 'cluster',
    keyPrefix: cluster._keyPrefix ?? '',
    get isReady() {
      return isReady()
    },
    get notReady() {
      return cluster.isOpen === false ? notConnected : 'The given cluster client is connecting'
    },
    isEnded: false,
    wake: ignore,
    send: (args, options) =>
      isReady()
        ? cluster
            .sendCommand(options.key, options.readOnly, args, options.buffers ? bufferOptions : flatOptions)
            .then((reply) => normaliseReply(args, reply))
        : Promise.reject(new NotSentError(notReady)),
    transaction: (commands, { key }) => {
      if (!isReady()) return Promise.reject(new NotSentError(notReady))
      const multi = cluster.multi(key)
      for (const args of commands) {
        if (cluster.destroy === undefined) multi.addCommand(key, [...args])
        else multi.addCommand(key, false, [...args])
      }
      return execute(commands, multi.exec())
    },
    primaries: async () => {
      const clients = await Promise.all(cluster.masters.map((node) => cluster.nodeClient(node)))
      return clients.map((client) => (args, options) => sendTo(client, args, options))
    },
    watch: (events) => watchNodeRedis(cluster, isReady, events),
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
