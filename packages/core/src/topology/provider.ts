import type { ClientPort } from '../clients/port.js'

export interface ProviderEvents {
  /** A client is there and takes commands. */
  ready(client: ClientPort): void
  /** The client is gone, or an attempt to get one failed. */
  lost(error: Error | undefined): void
}

/**
 * Keeps a client at hand. Ours makes a new client whenever one ends; a borrowed client has its own ways
 * of reconnecting, and its provider only watches.
 */
export interface ClientProvider {
  readonly owned: boolean
  /** What the host's client puts before its keys, empty for ours. */
  readonly keyPrefix: string
  /** Resolves when the first attempt has ended, either way; rejects never. */
  start(events: ProviderEvents): Promise<void>
  /**
   * The client hangs or points at the wrong server: end it, so that the next one is made. A server that was found
   * to be a replica may stay one, so `'demoted'` makes the pauses between such attempts longer and longer.
   */
  drop(reason: string, cause?: 'demoted'): void
  /**
   * The client is there, but its view of the Cluster may be stale: make a new one and change over, while
   * the old one goes on. Called for every failure; does so at most once a second.
   */
  refresh(reason: string): void
  /** Ends what is ours; a borrowed client stays open. */
  close(): Promise<void>
}
