import calculateSlot from 'cluster-key-slot'
import { isError } from '../kit/cross-realm.js'
import type { Argument, ClientEvents, MessageHandler, SubscriberPort } from './port.js'

/** How often the owners of slots are compared with the nodes at which channels are subscribed. */
const compareEveryMs = 1_000

/** What the subscriber needs from a client library's Cluster. */
export interface ShardedCluster {
  /** The address of the primary of a slot, if the client knows it. */
  ownerOf(slot: number): string | undefined
  /** The address of any primary; it redirects to the owner of a slot. */
  anyPrimary(): string | undefined
  /** Opens a connection to a node, which never reconnects by itself. */
  open(address: string, events: ShardEvents, signal: AbortSignal): Promise<Shard>
  /** Sends a command through the client, which follows a redirection and remembers it. */
  send(args: readonly Argument[], key: string): Promise<unknown>
}

export interface ShardEvents {
  message(text: string, channel: string): void
  /** The connection ended, or the server ended a subscription. */
  lost(error?: Error): void
}

/** A connection to one node, for subscriptions. */
export interface Shard {
  /** Rejects with MOVED if another node owns the channel's slot. */
  enter(channel: string): Promise<unknown>
  leave(channel: string): Promise<unknown>
  end(): void
}

/**
 * Subscribes to each sharded channel of a Cluster at the primary that owns its slot, with one connection per node. The
 * libraries' own subscriptions lose messages for good when a slot moves: node-redis emits an event that its cluster
 * client does not listen for, ioredis never settles an SSUBSCRIBE that is redirected, iovalkey subscribes at any node,
 * and none reports that messages were missed. This subscriber ends instead, and its owner opens a new one.
 */
export class ShardedSubscriber implements SubscriberPort {
  readonly #cluster: ShardedCluster
  readonly #shards = new Map<string, Promise<Shard>>()
  /** The address of the node at which each channel is subscribed. */
  readonly #addresses = new Map<string, string>()
  readonly #handlers = new Map<string, MessageHandler>()
  readonly #followers = new Set<ClientEvents>()
  readonly #ending = new AbortController()
  readonly #comparing: NodeJS.Timeout

  constructor(cluster: ShardedCluster) {
    this.#cluster = cluster
    this.#comparing = setInterval(() => this.#compareOwners(), compareEveryMs)
    this.#comparing.unref()
  }

  async subscribe(channel: string, handler: MessageHandler): Promise<void> {
    // Set first: messages may come in the same read as the confirmation.
    this.#handlers.set(channel, handler)
    try {
      await this.#enter(channel).catch(async (error: unknown) => {
        if (!isMoved(error)) throw error
        await this.#cluster.send(learning(channel), channel).catch(() => {})
        await this.#enter(channel)
      })
    } catch (error) {
      this.#handlers.delete(channel)
      throw error
    }
  }

  async unsubscribe(channel: string): Promise<void> {
    const address = this.#addresses.get(channel)
    this.#handlers.delete(channel)
    this.#addresses.delete(channel)
    const shard = address === undefined ? undefined : this.#shards.get(address)
    await (await shard)?.leave(channel)
  }

  watch(events: ClientEvents): () => void {
    this.#followers.add(events)
    return () => void this.#followers.delete(events)
  }

  async close(): Promise<void> {
    this.kill()
  }

  kill(): void {
    clearInterval(this.#comparing)
    this.#ending.abort(new Error('The subscriber was closed'))
    for (const shard of this.#shards.values()) shard.then(({ end }) => end()).catch(() => {})
    this.#shards.clear()
    this.#addresses.clear()
  }

  async #enter(channel: string): Promise<void> {
    const address = this.#cluster.ownerOf(calculateSlot(channel)) ?? this.#cluster.anyPrimary()
    if (address === undefined) throw new Error('No primary of the Cluster is known')
    const shard = await this.#shardAt(address)
    await shard.enter(channel)
    this.#addresses.set(channel, address)
  }

  #shardAt(address: string): Promise<Shard> {
    const known = this.#shards.get(address)
    if (known !== undefined) return known
    this.#ending.signal.throwIfAborted()
    const events = {
      message: (text: string, channel: string) => this.#handlers.get(channel)?.(text, channel),
      lost: (error?: Error) => this.#lost(error),
    }
    const shard = this.#cluster.open(address, events, this.#ending.signal)
    this.#shards.set(address, shard)
    shard.catch(() => this.#shards.delete(address))
    return shard
  }

  /** A node that hangs keeps its connections while another has taken over its slots. */
  #compareOwners(): void {
    for (const [channel, address] of this.#addresses) {
      const owner = this.#cluster.ownerOf(calculateSlot(channel))
      // While the client rereads the slots, it may know no owner.
      if (owner !== undefined && owner !== address)
        return this.#lost(new Error('A slot that is subscribed to has another owner'))
    }
  }

  #lost(error?: Error): void {
    if (this.#ending.signal.aborted) return
    this.kill()
    for (const { end } of [...this.#followers]) end(error)
  }
}

function isMoved(error: unknown): boolean {
  return isError(error) && error.message.startsWith('MOVED')
}

/** Calls a script that no server has: a node that does not own the key's slot answers MOVED, the owner NOSCRIPT. */
export function learning(channel: string): readonly string[] {
  return ['EVALSHA', '0'.repeat(40), '1', channel]
}
