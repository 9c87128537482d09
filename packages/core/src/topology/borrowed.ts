import type { ClientPort } from '../clients/port.js'
import type { ClientProvider, ProviderEvents } from './provider.js'

/** Milliseconds between two checks of a client that is not ready: pools and cluster clients have no event for it. */
const lookEveryMs = 100

/**
 * Watches and uses the host's own client, and never connects, ends or configures it: its reconnecting, its error
 * handlers and its lifecycle stay the host's. The exception is a client that connects only at its first command
 * (ioredis with `lazyConnect`): it is told to connect, because core sends no command before it is ready.
 */
export class BorrowedProvider implements ClientProvider {
  readonly owned = false
  readonly keyPrefix: string
  readonly #client: ClientPort
  readonly #patienceMs: number
  #events: ProviderEvents | undefined
  #unwatch: (() => void) | undefined
  #isReady = false
  #isLost = false
  #look: NodeJS.Timeout | undefined
  #endWait: (() => void) | undefined

  /** `patienceMs`: how long `start` waits for a client that is still connecting. */
  constructor(client: ClientPort, patienceMs: number) {
    this.#client = client
    this.#patienceMs = patienceMs
    this.keyPrefix = client.keyPrefix
  }

  /** Resolves when the client is ready, an attempt of its own to connect has failed, or the time is over. */
  async start(events: ProviderEvents): Promise<void> {
    this.#events = events
    this.#unwatch = this.#client.watch({
      ready: () => this.#ready(),
      end: (error) => this.#ended(error),
      error: () => {},
    })
    if (this.#client.isReady) return this.#ready()
    if (this.#client.isEnded) return this.#ended(new Error(this.#client.notReady))
    this.#client.wake()
    await this.#wait()
    if (!this.#isReady && !this.#isLost) this.#ended(new Error(this.#client.notReady))
  }

  /** Does nothing: only the host may end its client. The breaker sends it no commands until it answers again. */
  drop(): void {}

  /** Does nothing: the host's cluster client follows its Cluster by itself. */
  refresh(): void {}

  async close(): Promise<void> {
    this.#events = undefined
    this.#endWait?.()
    clearInterval(this.#look)
    this.#unwatch?.()
  }

  async #wait(): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>((resolve) => {
      this.#endWait = resolve
      timer = setTimeout(resolve, this.#patienceMs)
      this.#lookOut()
    })
    clearTimeout(timer)
    this.#endWait = undefined
  }

  #ready(): void {
    clearInterval(this.#look)
    this.#isReady = true
    this.#isLost = false
    this.#events?.ready(this.#client)
    this.#endWait?.()
  }

  #ended(error: Error | undefined): void {
    this.#isReady = false
    // While `start` waits, only an error counts: the client also reports an end when it begins to connect.
    if (this.#endWait !== undefined && error === undefined) return
    this.#isLost = true
    this.#events?.lost(error ?? new Error(this.#client.notReady))
    this.#endWait?.()
    this.#lookOut()
  }

  #lookOut(): void {
    clearInterval(this.#look)
    if (this.#events === undefined) return
    this.#look = setInterval(() => {
      if (this.#client.isReady) this.#ready()
    }, lookEveryMs)
    this.#look.unref()
  }
}
