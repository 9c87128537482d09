import type { MessageHandler } from '../clients/port.js'
import type { SharedViewHost } from './shared-view.js'

export interface ListenOptions {
  /** Messages may have been missed. */
  readonly onGap?: (() => void) | undefined
  /** The subscription is active, or will be when Redis is back. */
  readonly onListening?: (() => void) | undefined
  /** The subscription was refused, or could not be ended. Nothing else is thrown. */
  onError(error: unknown): void
}

/**
 * Listens to a channel for a component that is created and closed synchronously, and so can't await the subscription.
 * The returned function ends it, even before the subscription is active. After that call no message is delivered, and
 * its promise, which never rejects, resolves when the subscription has ended.
 */
export function listen(
  redis: SharedViewHost,
  channel: string,
  handler: MessageHandler,
  { onGap, onListening, onError }: ListenOptions,
): () => Promise<void> {
  let isClosed = false
  const onMessage: MessageHandler = (message, from) => {
    if (!isClosed) handler(message, from)
  }
  const onMissed = () => {
    if (!isClosed) onGap?.()
  }
  const subscribing = redis.subscribe(channel, onMessage, { onGap: onMissed }).then(
    (subscription) => {
      if (!isClosed) onListening?.()
      return subscription
    },
    (error: unknown) => {
      onError(error)
      return undefined
    },
  )
  return async () => {
    isClosed = true
    const subscription = await subscribing
    await subscription?.close().catch(onError)
  }
}
