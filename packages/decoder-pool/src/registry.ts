import { createLog, type Failover, failover, type Source } from '@evenkeel/core'
import type { DecoderNode } from './node.js'
import type { ResolvedOptions } from './options.js'
import type { PutResult, RegistryStore, Snapshot } from './store.js'
import { MemoryRegistryStore } from './stores/memory.js'
import { RedisRegistryStore } from './stores/redis.js'

const log = createLog('decoder-pool')

/** After a message this long passes before the snapshot is read, so that a burst of changes is read once. */
const settleMs = 5

/**
 * The shared registry as one coordinator follows it: changes go to Redis, news come by a message that says
 * only the version, and a poll heals what messages missed. What was known is never given up because Redis
 * came back older or empty: it is merged, node by node, by revision.
 */
export class Registry {
  readonly #options: ResolvedOptions
  readonly #memory: MemoryRegistryStore
  readonly #stores: Failover<RegistryStore>
  readonly #onSnapshot: (snapshot: Snapshot) => void
  readonly #channel: string
  #seen: { epoch: string; version: number } | undefined
  #reading: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #stop: (() => unknown)[] = []
  #closed = false

  constructor(options: ResolvedOptions, onSnapshot: (snapshot: Snapshot) => void) {
    const { redis, name, clock } = options
    this.#options = options
    this.#onSnapshot = onSnapshot
    this.#channel = `decoder-pool:${name}`
    this.#memory = new MemoryRegistryStore({ clock })
    this.#stores = failover<RegistryStore>(redis, {
      name: 'decoder-pool',
      primary: redis && new RedisRegistryStore(redis, name),
      fallback: this.#memory,
      recover: ({ primary, signal }) => this.#merge(primary, signal),
    })
  }

  get state(): Failover<RegistryStore>['state'] {
    return this.#stores.state
  }

  /** Reads the registry for the first time; where Redis is away, begins with these nodes. */
  async start(fromFile: () => Promise<readonly DecoderNode[]>): Promise<void> {
    const { redis } = this.#options
    if (this.#stores.state !== 'primary') {
      for (const node of await fromFile()) await this.#memory.put(node, this.#options.leaseMs)
    }
    const subscription = await redis?.subscribe(this.#channel, (message) => this.#heard(Number(message)), {
      onGap: () => this.#soon(),
    })
    if (subscription) this.#stop.push(() => subscription.close())
    await this.refresh()
    this.#poll()
  }

  async put(node: DecoderNode): Promise<PutResult & { source: Source }> {
    const { value, source } = await this.#stores.run((store) => store.put(node, this.#options.leaseMs))
    await this.#changed(value.version)
    return { ...value, source }
  }

  async renew(id: string): Promise<boolean> {
    const { value } = await this.#stores.run((store) => store.renew(id, this.#options.leaseMs))
    return value
  }

  async remove(id: string): Promise<boolean> {
    const { value } = await this.#stores.run((store) => store.remove(id))
    if (value.removed) await this.#changed(value.version)
    return value.removed
  }

  /** One read at a time; who asks meanwhile gets the next one. */
  async refresh(): Promise<void> {
    if (this.#reading !== undefined) await this.#reading
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined
    })
    await this.#reading
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#stores.close()
    await Promise.all(this.#stop.map((stop) => stop()))
  }

  async #changed(version: number): Promise<void> {
    await this.refresh()
    await this.#options.redis
      ?.publish(this.#channel, String(version))
      .catch((error) => log('not published: %s', error))
  }

  #heard(version: number): void {
    if (version !== this.#seen?.version) this.#soon()
  }

  #soon(): void {
    if (this.#closed) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#refreshAndPoll(), settleMs)
    this.#timer.unref()
  }

  #poll(): void {
    if (this.#closed) return
    const { pollIntervalMs, random } = this.#options
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#refreshAndPoll(), pollIntervalMs * (0.9 + random() * 0.2))
    this.#timer.unref()
  }

  async #refreshAndPoll(): Promise<void> {
    await this.refresh().catch((error) => log('the registry could not be read: %s', error))
    this.#poll()
  }

  async #read(): Promise<void> {
    const { value, source } = await this.#stores.run((store) => store.snapshot())
    if (source === 'redis') {
      const lost =
        this.#seen !== undefined && (value.epoch !== this.#seen.epoch || value.version < this.#seen.version)
      this.#seen = { epoch: value.epoch, version: value.version }
      if (lost) {
        log('the registry came back older or empty: merging what is known')
        const primary = this.#options.redis && new RedisRegistryStore(this.#options.redis, this.#options.name)
        if (primary) await this.#merge(primary, AbortSignal.timeout(10_000))
        return
      }
      this.#memory.adopt(value, this.#options.leaseMs)
    }
    this.#onSnapshot(value)
  }

  /** Every node and removal that is known here goes to Redis, where the newer revision wins. */
  async #merge(primary: RegistryStore, signal: AbortSignal): Promise<void> {
    const known = await this.#memory.snapshot()
    const { leaseMs } = this.#options
    await Promise.all([
      ...known.registrations.map(({ node, revision }) => primary.put(node, leaseMs, revision)),
      ...[...known.removed].map(([id, revision]) => primary.remove(id, revision)),
    ])
    signal.throwIfAborted()
    const merged = await primary.snapshot()
    this.#seen = { epoch: merged.epoch, version: merged.version }
    this.#memory.adopt(merged, leaseMs)
    this.#onSnapshot(merged)
    await this.#options.redis?.publish(this.#channel, String(merged.version)).catch(() => {})
  }
}
