import type { ClientEvents, MessageHandler, SubscriberPort } from '../port.js'
import { learning } from '../sharded-subscriber.js'
import { asServersError, isOfConnection, replyError } from './errors.js'
import { closeOnce, decoder, type GlideClass, type GlideClient, isCluster, protocol } from './module.js'
import { create } from './open.js'

/** How often a subscriber asks whether it is still on the connection that it subscribed on. */
const askEveryMs = 1_000
const subscribeTimeoutMs = 5_000

export async function openSubscriber(
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
    closeOnce(client)
  }
  // The library resubscribes by itself and does not report that messages may have been missed. So the
  // subscriber asks which connection it has; in a Cluster, which one to the owner of each channel's slot.
  const connections = new Map<string, unknown>()
  const look = setInterval(() => void sameConnections().catch(lost), askEveryMs)
  look.unref()
  const sameConnections = () => Promise.all((sharded ? [...handlers.keys()] : ['']).map(sameConnection))
  const sameConnection = async (channel: string) => {
    if (sharded) await client.customCommand(learning(channel)).catch(ignoreServers)
    const route = sharded ? { route: { type: 'primarySlotKey', key: channel } } : {}
    const info = await client.customCommand(['CLIENT', 'INFO'], route).catch(ignoreServers)
    // The id alone may be the same at two nodes.
    const id = /\bid=\d+ addr=\S+ laddr=\S+/.exec(String(info))?.[0]
    const known = connections.get(channel)
    if (id !== undefined && known !== undefined && id !== known)
      throw new Error('The subscriber was connected anew')
    if (id !== undefined) connections.set(channel, id)
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
        await sameConnection(sharded ? channel : '')
      } catch (error) {
        handlers.delete(channel)
        throw asServersError(error)
      }
    },
    unsubscribe: async (channel) => {
      handlers.delete(channel)
      if (sharded) connections.delete(channel)
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

/** The library retries a refused subscription until its timeout, and does not report the reason. */
async function refuseWhereForbidden(client: GlideClient, command: string, channel: string): Promise<void> {
  const check = `return redis.acl_check_cmd('${command}', ARGV[1]) and 1 or 0`
  const isAllowed = await client.customCommand(['EVAL', check, '0', channel]).catch(() => 1)
  if (isAllowed === 0)
    throw replyError('NOPERM', `this user has no permissions to ${command.toLowerCase()} to the channel`)
}

/** Ignores an error of the server, which shows that the connection works. */
function ignoreServers(error: unknown): undefined {
  if (isOfConnection(error)) throw error
}
