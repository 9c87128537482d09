import type { ClientPort } from '../clients/port.js'
import type { ClientProvider, ProviderEvents } from './provider.js'

/**
 * The host's own client. It is watched and used, never connected, ended or configured: its reconnecting,
 * its error handlers and its lifecycle stay the host's.
 */
export class BorrowedProvider implements ClientProvider {
  readonly owned = false
  readonly #client: ClientPort
  #unwatch: (() => void) | undefined

  constructor(client: ClientPort) {
    this.#client = client
  }

  async start(events: ProviderEvents): Promise<void> {
    this.#unwatch = this.#client.watch({
      ready: () => events.ready(this.#client),
      end: (error) => events.lost(error),
      error: () => {},
    })
    if (this.#client.isReady) events.ready(this.#client)
    else events.lost(new Error('The given client is not connected'))
  }

  /** Ending it is the host's to do; the breaker keeps commands from it until it answers again. */
  drop(): void {}

  /** The host's cluster client follows its Cluster in its own way. */
  refresh(): void {}

  async close(): Promise<void> {
    this.#unwatch?.()
  }
}
