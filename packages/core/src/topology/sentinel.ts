import type { ClientLibrary, ClientPort, SubscriberPort, Target } from '../clients/port.js'
import { replyPrefix } from '../guard/error-meaning.js'
import { isError } from '../kit/cross-realm.js'
import { createLog } from '../kit/log.js'
import { linkSignals } from '../kit/signals.js'
import { untilAborted } from '../kit/until-aborted.js'
import type { HostAndPort } from '../options.js'

const log = createLog('core')

/** How long to wait for the slower sentinels, once one has answered. */
const patienceMs = 200

export interface SentinelOptions {
  readonly library: ClientLibrary
  readonly name: string
  /** How each sentinel is reached. */
  readonly sentinels: () => Promise<readonly Target[]>
}

/**
 * Finds the primary through the sentinels. The Sentinel client specification asks one sentinel after the
 * other; this asks all at once and takes the address that most name. As the specification requires, the
 * server there must call itself the primary. A subscription to `+switch-master` only speeds up a failover.
 */
export class SentinelResolver {
  readonly #options: SentinelOptions
  #watcher: SubscriberPort | undefined
  #watching = false
  #closed = false

  constructor(options: SentinelOptions) {
    this.#options = options
  }

  /** The address that most sentinels name: a sentinel that lags behind a failover still names the old one. */
  async primary(signal: AbortSignal): Promise<HostAndPort> {
    const votes: HostAndPort[] = []
    const enough = linkSignals(signal)
    const stop = enough.signal
    const targets = await this.#options.sentinels()
    const asked = targets.map(async (target) => {
      votes.push(await this.#askOne(target, stop, (sentinel) => this.#addressFrom(sentinel)))
      if (leading(votes).count > targets.length / 2) enough.abort(new Error('enough sentinels agree'))
      // A frozen sentinel must not hold up what the others say.
      else setTimeout(() => enough.abort(new Error('enough time to answer')), patienceMs).unref()
    })
    const results = await Promise.allSettled(asked).finally(() => enough.unlink())
    const { address } = leading(votes)
    if (address !== undefined) return address
    signal.throwIfAborted()
    throw results.find((result) => result.status === 'rejected')?.reason
  }

  async replicas(signal: AbortSignal): Promise<readonly HostAndPort[]> {
    return this.#ask(signal, async (sentinel) => {
      const reply = await sentinel.send(['SENTINEL', 'replicas', this.#options.name], {})
      if (!Array.isArray(reply)) return []
      // Replicas that are down are included: the list is read only once, and each is used when it is back.
      return reply.map(fieldsOf).map(({ ip = '', port }) => ({ host: ip, port: Number(port) }))
    })
  }

  /** Calls back whenever the sentinels have agreed on another primary. */
  watch(onSwitch: () => void): void {
    if (this.#watching || this.#closed) return
    this.#watching = true
    const open = async (): Promise<void> => {
      const signal = AbortSignal.timeout(1_000)
      this.#watcher = await this.#ask(signal, (sentinel) => sentinel.subscriber(signal))
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

  /** Asks all sentinels at once, since a frozen one would otherwise use up a whole attempt. */
  async #ask<T>(signal: AbortSignal, question: (sentinel: ClientPort) => Promise<T>): Promise<T> {
    const rest = linkSignals(signal)
    const stop = rest.signal
    const targets = await this.#options.sentinels()
    try {
      return await Promise.any(targets.map((target) => this.#askOne(target, stop, question)))
    } catch (error) {
      throw error instanceof AggregateError ? error.errors[0] : error
    } finally {
      rest.abort(new Error('another sentinel answered first'))
      rest.unlink()
    }
  }

  async #askOne<T>(
    target: Target,
    signal: AbortSignal,
    question: (sentinel: ClientPort) => Promise<T>,
  ): Promise<T> {
    const sentinel = await this.#options.library.open(target, signal)
    const answer = await untilAborted(question(sentinel), signal, () => sentinel.kill())
    sentinel.kill()
    return answer
  }

  async #addressFrom(sentinel: ClientPort): Promise<HostAndPort> {
    const { name } = this.#options
    const reply = await sentinel.send(['SENTINEL', 'get-master-addr-by-name', name], {})
    if (!Array.isArray(reply)) throw new Error(`The sentinels know no primary named '${name}'`)
    return { host: String(reply[0]), port: Number(reply[1]) }
  }
}

function leading(votes: readonly HostAndPort[]): { address: HostAndPort | undefined; count: number } {
  const counts = new Map<string, { address: HostAndPort; count: number }>()
  for (const address of votes) {
    const id = `${address.host}:${address.port}`
    counts.set(id, { address, count: (counts.get(id)?.count ?? 0) + 1 })
  }
  const sorted = [...counts.values()].sort((one, other) => other.count - one.count)
  return sorted[0] ?? { address: undefined, count: 0 }
}

/** Refuses a server that a stale sentinel still calls the primary. */
export async function assertPrimary(client: ClientPort): Promise<void> {
  const reply = await client.send(['ROLE'], {}).catch((error: unknown) => {
    // The user may not run ROLE; a replica is then recognised by the first write, which it refuses.
    if (isError(error) && replyPrefix(error) === 'NOPERM') return ['master']
    throw error
  })
  const role = Array.isArray(reply) ? String(reply[0]) : 'unknown'
  if (role !== 'master') throw new Error(`The server that Sentinel named is a ${role}, not the primary`)
}

function fieldsOf(reply: unknown): Record<string, string | undefined> {
  const flat = Array.isArray(reply) ? reply.map(String) : []
  return Object.fromEntries(flat.flatMap((name, index) => (index % 2 === 0 ? [[name, flat[index + 1]]] : [])))
}
