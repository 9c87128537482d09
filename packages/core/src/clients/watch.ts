import { isError } from '../kit/cross-realm.js'
import type { ClientEvents } from './port.js'

type Handler = (value?: unknown) => void

/** An event emitter of any library. */
export interface EventSource {
  on(event: string, listener: (...values: never[]) => void): unknown
  off(event: string, listener: (...values: never[]) => void): unknown
}

interface Watcher {
  readonly followers: Set<ClientEvents>
  stop(): void
}

const watchers = new WeakMap<EventSource, Watcher>()

/**
 * Follows the states of a client by its events. All connections that share a client share one listener of each
 * event, since Node warns of a leak from the eleventh on.
 */
export function watchClient(
  client: EventSource,
  names: readonly string[],
  isReady: () => boolean,
  events: ClientEvents,
): () => void {
  const watcher = watchers.get(client) ?? createWatcher(client, names, isReady)
  watchers.set(client, watcher)
  watcher.followers.add(events)
  return () => {
    watcher.followers.delete(events)
    if (watcher.followers.size > 0) return
    watcher.stop()
    watchers.delete(client)
  }
}

function createWatcher(client: EventSource, names: readonly string[], isReady: () => boolean): Watcher {
  const followers = new Set<ClientEvents>()
  const handlers = names.map((name) => {
    const handler: Handler = (value) => {
      const error = isError(value) ? value : undefined
      for (const events of [...followers]) {
        if (name === 'ready') events.ready()
        else if (!isReady()) events.end(error)
        else if (error !== undefined) events.error(error)
      }
    }
    client.on(name, handler)
    return [name, handler] as const
  })
  return {
    followers,
    stop: () => {
      for (const [name, handler] of handlers) client.off(name, handler)
    },
  }
}
