import { untilAborted } from '../../kit/until-aborted.js'
import type { Shard, ShardEvents, ShardedCluster } from '../sharded-subscriber.js'
import { end, type IoredisClient } from './module.js'
import { messagesOnly } from './subscriber.js'

/** The Cluster of an ioredis or iovalkey client; its subscribers are connections of their own. */
export function shardedIoredis(cluster: IoredisClient, send: ShardedCluster['send']): ShardedCluster {
  const primaries = () => cluster.nodes?.('master') ?? []
  return {
    ownerOf: (slot) => cluster.slots?.[slot]?.[0],
    anyPrimary: () => primaries().map(addressOf)[0],
    open: async (address, events, signal) => {
      const node = primaries().find((primary) => addressOf(primary) === address)
      if (node === undefined) throw new Error('The node has left the Cluster')
      return openShard(
        node.duplicate({ ...messagesOnly, enableReadyCheck: false, readOnly: false }),
        events,
        signal,
      )
    },
    send,
  }
}

async function openShard(
  connection: IoredisClient,
  events: ShardEvents,
  signal: AbortSignal,
): Promise<Shard> {
  // A server that gives a slot away ends the subscription by itself, which the libraries report as an error.
  for (const event of ['error', 'end'] as const) connection.on(event, (error?: Error) => events.lost(error))
  connection.on('smessage', (channel: string, message: string) => events.message(message, channel))
  await untilAborted(Promise.resolve(connection.connect?.()), signal, () => end(connection))
  return {
    enter: (channel) =>
      new Promise((resolve, reject) => {
        // ioredis reports a redirected SSUBSCRIBE with this event and leaves its promise pending.
        const moved = () => reject(new Error('MOVED'))
        connection.on('moved', moved)
        const entered = connection.ssubscribe?.(channel) ?? Promise.reject(new Error('no SSUBSCRIBE'))
        entered.then(resolve, reject).finally(() => connection.off('moved', moved))
      }),
    leave: async (channel) => connection.sunsubscribe?.(channel),
    end: () => end(connection),
  }
}

function addressOf({ options }: IoredisClient): string {
  return `${options?.host}:${options?.port}`
}
