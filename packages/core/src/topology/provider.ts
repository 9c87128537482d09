import type { ClientPort } from '../clients/port.js'

export interface ProviderEvents {
  /** A client is available and accepts commands. */
  ready(client: ClientPort): void
  /** The client is gone, or an attempt to get one failed. */
  lost(error: Error | undefined): void
}

/**
 * Keeps a client of a topology ready. Owned clients are replaced by a new one whenever one ends; a borrowed
 * client reconnects by itself, and its provider only watches.
 */
export interface ClientProvider {
  readonly owned: boolean
  /** The prefix that the host's client adds to keys; empty for owned clients. */
  readonly keyPrefix: string
  /** Resolves when the first attempt has succeeded or failed; never rejects. */
  start(events: ProviderEvents): Promise<void>
  /**
   * Ends a client that hangs or is connected to the wrong server, so that a new one is opened. A server that was found
   * to be a replica may stay one, so each `'demoted'` doubles the pause before the next attempt, up to a maximum.
   */
  drop(reason: string, cause?: 'demoted'): void
  /**
   * Opens a new client and changes over to it, because the view that the old one has of the Cluster may be
   * stale. The old one is used meanwhile. Called for every failure; acts at most once a second.
   */
  refresh(reason: string): void
  /** Ends owned clients; a borrowed client stays open. */
  close(): Promise<void>
}
