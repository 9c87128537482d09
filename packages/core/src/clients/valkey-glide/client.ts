import { isError } from '../../kit/cross-realm.js'
import { wrongArgument } from '../arguments.js'
import type { Argument, ClientEvents, ClientPort, Reply, SendOptions, SubscriberPort } from '../port.js'
import { NotSentError } from '../port.js'
import { asServersError, isOfConnection } from './errors.js'
import {
  closeOnce,
  decoder,
  type GlideClass,
  type GlideClient,
  type GlideModule,
  isCluster,
} from './module.js'
import { readReply } from './replies.js'
import { openSubscriber } from './subscriber.js'

/** Milliseconds between two checks whether the owner has closed the client. */
const lookEveryMs = 100

/**
 * The library always reconnects by itself, and has no event and no state that shows it. So a lost connection is noticed
 * by the first command that fails because of it, and then reported to all watchers.
 */
export class GlidePort implements ClientPort {
  readonly library = 'valkey-glide'
  readonly topology: 'standalone' | 'cluster'
  readonly keyPrefix = ''
  readonly #client: GlideClient
  readonly #load: () => Promise<GlideModule>
  readonly #openSubscriber: ((signal: AbortSignal) => Promise<SubscriberPort>) | undefined
  readonly #followers: Set<ClientEvents>
  readonly #isOwned: boolean

  constructor(
    client: GlideClient,
    load: () => Promise<GlideModule>,
    openSubscriber?: (signal: AbortSignal) => Promise<SubscriberPort>,
  ) {
    this.#client = client
    this.#load = load
    this.#openSubscriber = openSubscriber
    this.#isOwned = openSubscriber !== undefined
    this.#followers = followersOf(client)
    this.topology = isCluster(client) ? 'cluster' : 'standalone'
  }

  get isReady(): boolean {
    return this.#client.isClosed !== true
  }

  get notReady(): string {
    return 'The given client was closed'
  }

  get isEnded(): boolean {
    return this.#client.isClosed === true
  }

  wake(): void {}

  send(args: readonly Argument[], options: SendOptions): Promise<Reply> {
    return this.#run(args, options, routeOf(this.topology, options))
  }

  async transaction(
    commands: readonly (readonly Argument[])[],
    options: SendOptions,
  ): Promise<readonly (Reply | Error)[]> {
    if (!this.isReady) throw new NotSentError(this.notReady)
    const module = await this.#load()
    const batch = new (this.topology === 'cluster' ? module.ClusterBatch : module.Batch)(true)
    for (const args of commands) batch.customCommand(args)
    const route = routeOf(this.topology, options)
    const replies = await this.#client
      .exec(batch, false, { decoder: decoder.text, ...(route === undefined ? {} : { route }) })
      .catch((error: unknown) => this.#failed(error))
    if (replies === null) throw new Error('EXECABORT a watched key changed')
    return replies.map((reply, index) =>
      isError(reply) ? asServersError(reply) : readReply(commands[index] ?? [], reply),
    )
  }

  async primaries() {
    if (this.topology === 'standalone')
      return [(args: readonly Argument[], options: SendOptions) => this.send(args, options)]
    const slots = await this.send(['CLUSTER', 'SLOTS'], {})
    const nodes = new Map<string, object>()
    for (const range of Array.isArray(slots) ? slots : []) {
      const [host, port] = Array.isArray(range) && Array.isArray(range[2]) ? range[2] : []
      nodes.set(`${host}:${port}`, { type: 'routeByAddress', host: String(host), port: Number(port) })
    }
    return [...nodes.values()].map(
      (route) => (args: readonly Argument[], options: SendOptions) => this.#run(args, options, route),
    )
  }

  watch(events: ClientEvents): () => void {
    this.#followers.add(events)
    const look = setInterval(() => {
      if (this.isReady) return
      clearInterval(look)
      events.end(new Error(this.notReady))
    }, lookEveryMs)
    look.unref()
    return () => {
      clearInterval(look)
      this.#followers.delete(events)
    }
  }

  subscriber(signal: AbortSignal): Promise<SubscriberPort> {
    return this.#openSubscriber === undefined
      ? openSubscriber(this.#client.constructor as unknown as GlideClass, this.#client.config ?? {}, signal)
      : this.#openSubscriber(signal)
  }

  async close(): Promise<void> {
    this.kill()
  }

  kill(): void {
    closeOnce(this.#client)
  }

  #run(args: readonly Argument[], { buffers }: SendOptions, route: object | undefined): Promise<Reply> {
    if (!this.isReady) return Promise.reject(new NotSentError(this.notReady))
    const wrong = wrongArgument(args)
    if (wrong !== undefined) return Promise.reject(wrong)
    const options = {
      decoder: buffers ? decoder.bytes : decoder.text,
      ...(route === undefined ? {} : { route }),
    }
    return this.#client.customCommand(args, options).then(
      (reply) => readReply(args, reply),
      (error: unknown) => this.#failed(error),
    )
  }

  #failed(error: unknown): never {
    const known = asServersError(error)
    if (isOfConnection(error) && this.isReady) {
      // A client of our own is not used again: commands in its queue must not be sent after their callers gave up.
      if (this.#isOwned) this.kill()
      for (const events of [...this.#followers]) events.end(known)
    }
    throw known
  }
}

/** Watchers of each client: a failure that one connection meets is reported to all that share the client. */
const followers = new WeakMap<GlideClient, Set<ClientEvents>>()

function followersOf(client: GlideClient): Set<ClientEvents> {
  const known = followers.get(client) ?? new Set()
  followers.set(client, known)
  return known
}

/** `load` imports the client's library, whose classes transactions need. */
export function valkeyGlideClient(client: GlideClient, load: () => Promise<GlideModule>): ClientPort {
  return new GlidePort(client, load)
}

/** The library itself routes commands without a key, and commands that only read (by its own `readFrom`). */
function routeOf(topology: ClientPort['topology'], { key, readOnly }: SendOptions): object | undefined {
  if (topology === 'standalone' || typeof key !== 'string' || readOnly) return undefined
  return { type: 'primarySlotKey', key }
}
