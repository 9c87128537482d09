import { isError } from '../../kit/cross-realm.js'
import type { Argument } from '../port.js'
import type { Shard, ShardEvents, ShardedCluster } from '../sharded-subscriber.js'
import type { EventSource } from '../watch.js'
import { connectOnce, endNodeRedis, ignore, type NodeRedisClient } from './client.js'

export interface NodeRedisNode {
  readonly address: string
}

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
  readonly masters: readonly NodeRedisNode[]
  readonly slots: readonly ({ readonly master: NodeRedisNode } | undefined)[]
  nodeClient(node: NodeRedisNode): Promise<NodeRedisClient> | NodeRedisClient
  disconnect(): Promise<unknown>
  destroy?(): void
  /** `addCommand` takes the key and the command; from version 5 on, also a read-only flag between them. */
  multi(routing?: Argument): { addCommand(...args: readonly unknown[]): unknown; exec(): Promise<unknown> }
  /** From version 6.3 on. */
  readonly _keyPrefix?: string | undefined
}

/** The Cluster of a node-redis client; its subscribers are connections of their own. */
export function shardedNodeRedis(cluster: NodeRedisCluster): ShardedCluster {
  return {
    ownerOf: (slot) => cluster.slots[slot]?.master.address,
    anyPrimary: () => cluster.masters[0]?.address,
    open: async (address, events, signal) => {
      const node = cluster.masters.find((master) => master.address === address)
      if (node === undefined) throw new Error('The node has left the Cluster')
      return openShard(await cluster.nodeClient(node), events, signal)
    },
    send: (args, key) => cluster.sendCommand(key, false, args),
  }
}

async function openShard(client: NodeRedisClient, events: ShardEvents, signal: AbortSignal): Promise<Shard> {
  const dispose = new AbortController()
  const connection = client.duplicate({
    disableOfflineQueue: false,
    socket: { ...client.options?.socket, reconnectStrategy: false, signal: dispose.signal },
  })
  // The server ends a subscription by itself when its node gives the slot away.
  for (const event of ['error', 'end', 'sharded-channel-moved', 'server-sunsubscribe'])
    connection.on(event, (reason: unknown) => events.lost(isError(reason) ? reason : undefined))
  await connectOnce(connection, dispose, signal)
  const listener = (message: string, channel: string) => events.message(message, channel)
  return {
    enter: async (channel) => connection.sSubscribe?.(channel, listener),
    // Without the listener, node-redis also removes the listeners of a later subscription.
    leave: async (channel) => connection.sUnsubscribe?.(channel, listener),
    end: () => void endNodeRedis(connection, dispose).catch(ignore),
  }
}
