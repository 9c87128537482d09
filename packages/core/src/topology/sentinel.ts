import type { ClientLibrary, ClientPort, SubscriberPort, Target } from '../clients/port.js'
import { createLog } from '../log.js'
import type { HostAndPort } from '../options.js'

const log = createLog('core')

export interface SentinelOptions {
  readonly library: ClientLibrary
  readonly name: string
  /** How each sentinel is reached. */
  readonly sentinels: () => Promise<readonly Target[]>
}

/**
 * Finds the primary through the sentinels, as the Sentinel client specification asks: the first sentinel
 * that knows the name tells the address, and the server there must call itself the primary. A
 * subscription to `+switch-master` is only a hint that makes following a failover quick.
 */
export class SentinelResolver {
  readonly #options: SentinelOptions
  #watcher: SubscriberPort | undefined
  #watching = false
  #closed = false

  constructor(options: SentinelOptions) {
    this.#options = options
  }

  async primary(signal: AbortSignal): Promise<HostAndPort> {
    return this.#ask(signal, async (sentinel) => {
      const reply = await sentinel.send(['SENTINEL', 'get-master-addr-by-name', this.#options.name], {})
      if (!Array.isArray(reply)) throw new Error(`No sentinel knows a primary named '${this.#options.name}'`)
      return { host: String(reply[0]), port: Number(reply[1]) }
    })
  }

  async replicas(signal: AbortSignal): Promise<readonly HostAndPort[]> {
    return this.#ask(signal, async (sentinel) => {
      const reply = await sentinel.send(['SENTINEL', 'replicas', this.#options.name], {})
      if (!Array.isArray(reply)) return []
      return reply
        .map(fieldsOf)
        .filter(isInService)
        .map(({ ip = '', port }) => ({ host: ip, port: Number(port) }))
    })
  }

  /** Calls back whenever the sentinels have agreed on another primary. */
  watch(onSwitch: () => void): void {
    if (this.#watching || this.#closed) return
    this.#watching = true
    const open = async (): Promise<void> => {
      const signal = AbortSignal.timeout(1_000)
      this.#watcher = await this.#ask(signal, (sentinel) => sentinel.subscriber())
      this.#watcher.watch({ ready: () => {}, error: () => {}, end: () => this.#unwatch() })
      await this.#watcher.subscribe('+switch-master', (message) => {
        if (message.startsWith(`${this.#options.name} `)) onSwitch()
      })
    }
    open().catch((error) => {
      log('no sentinel to watch: %s', error)
      this.#unwatch()
    })
  }

  close(): void {
    this.#closed = true
    this.#unwatch()
  }

  #unwatch(): void {
    this.#watcher?.kill()
    this.#watcher = undefined
    this.#watching = false
  }

  /** All sentinels at once, since one that is frozen would otherwise cost a whole attempt. */
  async #ask<T>(signal: AbortSignal, question: (sentinel: ClientPort) => Promise<T>): Promise<T> {
    const rest = new AbortController()
    const targets = await this.#options.sentinels()
    try {
      return await Promise.any(
        targets.map(async (target) => {
          const sentinel = await this.#options.library.open(target, AbortSignal.any([signal, rest.signal]))
          try {
            return await untilAborted(question(sentinel), AbortSignal.any([signal, rest.signal]))
          } finally {
            sentinel.kill()
          }
        }),
      )
    } catch (error) {
      throw error instanceof AggregateError
        ? (error.errors.find((one) => one instanceof Error) ?? error)
        : error
    } finally {
      rest.abort(new Error('Another sentinel answered first'))
    }
  }
}

/** Refuses a server that a stale sentinel still calls the primary. */
export async function assertPrimary(client: ClientPort): Promise<void> {
  const reply = await client.send(['ROLE'], {})
  const role = Array.isArray(reply) ? String(reply[0]) : 'unknown'
  if (role !== 'master') throw new Error(`The server that Sentinel named is a ${role}, not the primary`)
}

async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  promise.catch(() => {})
  let stop = () => {}
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
  })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

function fieldsOf(reply: unknown): Record<string, string | undefined> {
  const flat = Array.isArray(reply) ? reply.map(String) : []
  return Object.fromEntries(flat.flatMap((name, index) => (index % 2 === 0 ? [[name, flat[index + 1]]] : [])))
}

function isInService({ flags = '' }: Record<string, string | undefined>): boolean {
  return !/s_down|o_down|disconnected/.test(flags)
}
