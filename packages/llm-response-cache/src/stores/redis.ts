import { randomUUID } from 'node:crypto'
import { type Connection, createKeyspace, type Keyspace } from '@evenkeel/core'
import type { EntryStore, Reading } from '../store.js'

/** Answers shared by all instances: one string an entry, spread over a Cluster by their own keys. */
export class RedisEntryStore implements EntryStore {
  readonly #redis: Connection
  readonly #entries: Keyspace
  readonly #epochs: Keyspace

  constructor(redis: Connection) {
    this.#redis = redis
    this.#entries = createKeyspace(redis.namespace, 'llm-cache')
    this.#epochs = createKeyspace(redis.namespace, 'llm-cache-epoch')
  }

  async read(namespace: string, key: string): Promise<Reading> {
    const epochKey = this.#epochs.key(namespace)
    const entryKey = this.#entryKey(namespace, key)
    // Sent together, so that they share a round trip; in a Cluster they may be on two nodes.
    const [entry, epoch] = await Promise.all([
      this.#redis.command(['GET', entryKey], { key: entryKey, buffers: true }),
      this.#redis.command(['GET', epochKey], { key: epochKey }),
    ])
    return {
      entry: Buffer.isBuffer(entry) ? entry : undefined,
      epoch: typeof epoch === 'string' ? epoch : await this.#beginEpoch(epochKey),
    }
  }

  async write(namespace: string, key: string, entry: Buffer, ttlMs: number): Promise<void> {
    const entryKey = this.#entryKey(namespace, key)
    await this.#redis.command(['SET', entryKey, entry, 'PX', String(Math.ceil(ttlMs))], { key: entryKey })
  }

  async clear(namespace: string, epoch: string): Promise<void> {
    const key = this.#epochs.key(namespace)
    await this.#redis.command(['SET', key, epoch], { key })
  }

  async #beginEpoch(key: string): Promise<string> {
    const epoch = randomUUID()
    const other = await this.#redis.command(['SET', key, epoch, 'NX', 'GET'], { key })
    return typeof other === 'string' ? other : epoch
  }

  #entryKey(namespace: string, key: string): string {
    return this.#entries.key(`${namespace}/${key}`)
  }
}
