import type { ClientPort } from '../clients/port.js'
import { isError } from '../kit/cross-realm.js'
import { createLog } from '../kit/log.js'
import type { ClientProvider, ProviderEvents } from './provider.js'

const log = createLog('core')

const refreshEveryMs = 1_000
const drainMs = 1_000
/** A connection that lived this long proves that its server was no replica. */
const provenAfterMs = 10_000
const maxDemotedBackoffMs = 5_000

export interface OwnedProviderOptions {
  /** One attempt: resolves the topology, connects, authenticates. Leaves nothing behind when it rejects. */
  readonly open: (signal: AbortSignal) => Promise<ClientPort>
  /** An attempt that takes longer is given up; it bounds TCP, TLS and the handshake together. */
  readonly attemptTimeoutMs: number
  /** Frees what `open` keeps between attempts. */
  readonly onClose?: (() => void) | undefined
  /** @default 50 */
  readonly minBackoffMs?: number
  /** The longest pause between attempts; short, since a refused connection costs next to nothing. @default 500 */
  readonly maxBackoffMs?: number
}

/**
 * Opens a new client after each end, with backoff and jitter; no client ever reconnects by itself. So all
 * client libraries behave alike, nothing is sent twice, and no library's bugs in reconnecting affect us.
 */
export class OwnedProvider implements ClientProvider {
  readonly owned = true
  readonly keyPrefix = ''
  readonly #options: OwnedProviderOptions
  #events: ProviderEvents | undefined
  #client: ClientPort | undefined
  #unwatch: (() => void) | undefined
  #attempt: AbortController | undefined
  #timer: NodeJS.Timeout | undefined
  #failures = 0
  #demotions = 0
  #adoptedAt = 0
  #refreshing = false
  #refreshedAt = 0
  #closed = false

  constructor(options: OwnedProviderOptions) {
    this.#options = options
  }

  async start(events: ProviderEvents): Promise<void> {
    this.#events = events
    await this.#connect()
  }

  drop(reason: string, cause?: 'demoted'): void {
    // An attempt under way may be waiting for the very server that was found to be gone.
    this.#attempt?.abort(new Error(reason))
    const client = this.#client
    if (client === undefined) return
    log('dropping the connection: %s', reason)
    if (performance.now() - this.#adoptedAt > provenAfterMs) this.#demotions = 0
    if (cause === 'demoted') this.#demotions++
    this.#forget()
    client.kill()
    this.#lost(new Error(reason))
  }

  refresh(reason: string): void {
    if (this.#client === undefined || this.#refreshing || this.#closed) return
    if (performance.now() - this.#refreshedAt < refreshEveryMs) return
    log('looking at the topology anew: %s', reason)
    this.#refreshing = true
    void this.#changeOver().finally(() => {
      this.#refreshing = false
      this.#refreshedAt = performance.now()
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#options.onClose?.()
    this.#attempt?.abort(new Error('The connection was closed'))
    const client = this.#client
    this.#forget()
    await client?.close()
  }

  async #connect(): Promise<void> {
    const attempt = new AbortController()
    this.#attempt = attempt
    const timer = setTimeout(
      () =>
        attempt.abort(
          new Error(`Redis did not finish the handshake in ${this.#options.attemptTimeoutMs} ms`),
        ),
      this.#options.attemptTimeoutMs,
    )
    timer.unref()
    try {
      const client = await this.#options.open(attempt.signal)
      if (this.#closed) client.kill()
      else this.#adopt(client)
    } catch (error) {
      this.#lost(isError(error) ? error : new Error(String(error)))
    } finally {
      clearTimeout(timer)
      this.#attempt = undefined
    }
  }

  async #changeOver(): Promise<void> {
    const old = this.#client
    try {
      const client = await this.#options.open(AbortSignal.timeout(this.#options.attemptTimeoutMs))
      if (this.#closed || old === undefined || this.#client !== old) return client.kill()
      this.#forget()
      this.#adopt(client)
      // Commands in flight on the old client may still be answered.
      setTimeout(() => old.kill(), drainMs).unref()
    } catch (error) {
      log('the topology could not be read: %s', error)
    }
  }

  #adopt(client: ClientPort): void {
    this.#client = client
    this.#failures = 0
    this.#adoptedAt = performance.now()
    this.#unwatch = client.watch({
      ready: () => {},
      error: (error) => log('client error: %s', error.message),
      end: (error) => {
        if (this.#client !== client) return
        this.#forget()
        // Ends timers and half-open sockets of a client that will not be used again.
        client.kill()
        this.#lost(error)
      },
    })
    this.#events?.ready(client)
  }

  #lost(error: Error | undefined): void {
    if (this.#closed) return
    this.#events?.lost(error)
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#connect(), this.#pause())
    this.#timer.unref()
  }

  #forget(): void {
    this.#unwatch?.()
    this.#unwatch = undefined
    this.#client = undefined
  }

  #pause(): number {
    const { minBackoffMs = 50, maxBackoffMs = 500 } = this.#options
    const afterFailure = Math.min(maxBackoffMs, minBackoffMs * 2 ** this.#failures)
    const afterDemotion = Math.min(maxDemotedBackoffMs, minBackoffMs * 2 ** this.#demotions)
    this.#failures = Math.min(this.#failures + 1, 16)
    return Math.max(afterFailure, this.#demotions === 0 ? 0 : afterDemotion) * (0.5 + Math.random() * 0.5)
  }
}
