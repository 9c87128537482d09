import type { MessageHandler } from '../clients/port.js'
import type { SharedViewHost } from './shared-view.js'

export interface ListenOptions {
  /** Messages may have been missed. */
  readonly onGap?: (() => void) | undefined
  /** The subscription is made, or will be when Redis is back. */
  readonly onListening?: (() => void) | undefined
  /** The subscription is refused, or can't be ended. Nothing else is thrown. */
  onError(error: unknown): void
}

/**
 * Hears a channel without a caller that waits for the subscription: a component that is made and closed
 * synchronously uses it. The function that it returns ends it, also while the subscription is still being made;
 * nothing is heard after that call, and its promise, which never rejects, resolves when the subscription has ended.
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
