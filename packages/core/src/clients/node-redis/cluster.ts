import type { ClientPort } from '../port.js'
import { NotSentError } from '../port.js'
import { normaliseReply } from '../replies.js'
import { ShardedSubscriber } from '../sharded-subscriber.js'
import {
  bufferOptions,
  endNodeRedis,
  execute,
  flatOptions,
  ignore,
  notConnected,
  notReady,
  sendTo,
  watchNodeRedis,
} from './client.js'
import { type NodeRedisCluster, shardedNodeRedis } from './sharded.js'

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
    subscriber: async () => new ShardedSubscriber(shardedNodeRedis(cluster)),
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
