import { untilAborted } from '../../kit/until-aborted.js'
import type { MessageHandler, SubscriberPort } from '../port.js'
import { end, type IoredisClient, watch } from './module.js'

/** Options of a connection for messages. After each end a new one is opened, so it never reconnects by itself. */
export const messagesOnly = {
  lazyConnect: true,
  keyPrefix: '',
  autoResubscribe: false,
  retryStrategy: null,
} as const

/** Opens a connection for messages; not for a client of a Cluster. */
export async function duplicateOf(client: IoredisClient, signal: AbortSignal): Promise<SubscriberPort> {
  const duplicate = client.duplicate(messagesOnly)
  duplicate.on('error', () => {})
  if (duplicate.status === 'wait' && duplicate.connect !== undefined) {
    await untilAborted(duplicate.connect(), signal, () => end(duplicate))
  }
  return subscriberOf(duplicate)
}

export function subscriberOf(client: IoredisClient): SubscriberPort {
  const handlers = new Map<string, MessageHandler>()
  client.on('message', (channel: string, message: string) => handlers.get(channel)?.(message, channel))
  return {
    subscribe: async (channel, handler) => {
      // Set first: messages may come in the same read as the confirmation.
      handlers.set(channel, handler)
      try {
        await client.subscribe(channel)
      } catch (error) {
        handlers.delete(channel)
        throw error
      }
    },
    unsubscribe: async (channel) => {
      handlers.delete(channel)
      await client.unsubscribe(channel)
    },
    watch: (events) => watch(client, events),
    close: async () => end(client),
    kill: () => end(client),
  }
}
