import { randomUUID } from 'node:crypto'
import { createLog, type Failover, failover, type Source } from '@evenkeel/core'
import { decodeEntry, type Entry, encodeEntry } from './entry.js'
import type { ResolvedOptions } from './options.js'
import type { EntryStore } from './store.js'
import { MemoryEntryStore } from './stores/memory.js'
import { RedisEntryStore } from './stores/redis.js'

const log = createLog('llm-response-cache')

export interface Found {
  /** A live entry of the wanted kind, or nothing. */
  readonly entry: Entry | undefined
  /** The epoch to write under what is called for now. */
  readonly epoch: string
  readonly source: Source
}

/** Entries of one namespace: found and kept through whichever store is there. */
export class Vault {
  readonly #options: ResolvedOptions
  readonly #memory: MemoryEntryStore
  readonly #stores: Failover<EntryStore>
  /** A clear that Redis has not heard of yet. */
  #pendingEpoch: string | undefined

  constructor(options: ResolvedOptions) {
    const { redis, maxEntries, maxBytes, clock } = options
    this.#options = options
    this.#memory = new MemoryEntryStore({ maxEntries, maxBytes, clock })
    this.#stores = failover<EntryStore>(redis, {
      name: 'llm-response-cache',
      primary: redis && new RedisEntryStore(redis),
      fallback: this.#memory,
      recover: async ({ primary }) => {
        const epoch = this.#pendingEpoch
        if (epoch === undefined) return
        await primary.clear(options.namespace, epoch)
        if (this.#pendingEpoch === epoch) this.#pendingEpoch = undefined
      },
    })
  }

  get state(): Failover<EntryStore>['state'] {
    return this.#stores.state
  }

  /** One round trip. Rejects only when a store errs for another reason than an outage. */
  async find(key: string, kind: Entry['kind']): Promise<Found> {
    const { namespace, clock } = this.#options
    const { value, source } = await this.#stores.run((store) => store.read(namespace, key))
    const { epoch } = value
    // Memory takes part in Redis's epochs, so that an outage does not bring back what was cleared.
    if (source === 'redis') await this.#memory.clear(namespace, epoch)
    const entry = value.entry === undefined ? undefined : decodeEntry(value.entry)
    const live = entry?.kind === kind && entry.epoch === epoch && entry.expiresAtMs > clock.now()
    if (live && source === 'redis' && value.entry) {
      await this.#memory.write(namespace, key, value.entry, entry.expiresAtMs - clock.now())
    }
    return { entry: live ? entry : undefined, epoch, source }
  }

  /** Kept in Redis and, for outages, here. Never rejects: an answer must not fail because it can't be kept. */
  async keep(key: string, entry: Entry): Promise<boolean> {
    const { namespace, clock, maxEntryBytes } = this.#options
    const bytes = encodeEntry(entry)
    const ttlMs = entry.expiresAtMs - clock.now()
    if (bytes.byteLength > maxEntryBytes || ttlMs <= 0) return false
    await this.#memory.write(namespace, key, bytes, ttlMs)
    try {
      await this.#stores.run((store) => store.write(namespace, key, bytes, ttlMs))
    } catch (error) {
      log('an answer could not be kept: %s', error)
    }
    return true
  }

  /** O(1), however many entries there are. In an outage it is made up for before Redis is read again. */
  async clear(): Promise<void> {
    const { namespace } = this.#options
    const epoch = randomUUID()
    await this.#memory.clear(namespace, epoch)
    this.#pendingEpoch = epoch
    const { source } = await this.#stores.run(async (store) => {
      await store.clear(namespace, epoch)
    })
    if (source === 'redis' && this.#pendingEpoch === epoch) this.#pendingEpoch = undefined
  }

  close(): void {
    this.#stores.close()
  }
}
