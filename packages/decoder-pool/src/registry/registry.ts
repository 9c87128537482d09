import { type Failover, type FailoverState, failover, type Source } from '@evenkeel/core'
import { createLog, SharedView } from '@evenkeel/core/kit'
import type { DecoderNode } from '../nodes/node.js'
import type { ResolvedOptions } from '../options.js'
import { MemoryRegistryStore } from './memory.js'
import type {
  Position,
  PutResult,
  RegistryDelta,
  RegistryNews,
  RegistrySnapshot,
  RegistryStore,
} from './port.js'
import { RedisRegistryStore } from './redis.js'
import { SharedClock } from './server-clock.js'

const log = createLog('decoder-pool')

/** One in this number of polls compares everything, and so finds what a failover of Redis lost. */
const pollsBetweenFull = 15

/** Commands in flight at once during the hand-over. */
const batch = 64

const mergeTimeoutMs = 10_000

/** Minimum time between two notices of news while many changes are made. */
const batchNewsMs = 1_000

/** How often a change of a node is tried again after a quicker change by others. */
const maxAttempts = 20

/**
 * The shared registry as one coordinator follows it. Memory has the newest known revision of each node; changes go to
 * Redis, and changes in Redis are merged into memory. A message only says that there is a new version, and polls find
 * what lost messages missed. A node is gone only if its removal is known, so a registry that comes back older or empty
 * gets back what it lost.
 */
export class Registry {
  /** The registry's time, as well as it is known. */
  readonly clock: SharedClock
  readonly #options: ResolvedOptions
  readonly #memory: MemoryRegistryStore
  readonly #redis: RedisRegistryStore | undefined
  readonly #stores: Failover<RegistryStore>
  readonly #onNews: () => void
  readonly #channel: string
  #position: Position | undefined
  /** The position of the last read, kept even if the next read compares everything. */
  #last: Position | undefined
  #lostData = false
  #timeMs: number | undefined
  /** The newest known version; ahead of the position after a change of this instance's own. */
  #version = 0
  #expired: ReadonlyMap<string, number> = new Map()
  readonly #view: SharedView
  #polls = 0
  /** Number of running tasks that make many changes. */
  #batches = 0
  #toldAt = Number.NEGATIVE_INFINITY
  #isUntold = false

  constructor(options: ResolvedOptions, onNews: () => void) {
    const { redis, name, clock } = options
    this.#options = options
    this.#onNews = onNews
    this.#channel = `decoder-pool:${name}`
    this.clock = new SharedClock(clock)
    this.#memory = new MemoryRegistryStore({ clock: this.clock })
    this.#redis = redis && new RedisRegistryStore(redis, name, { now: options.registryTime })
    this.#stores = failover<RegistryStore>(redis, {
      name: 'decoder-pool',
      durability: 'transient',
      primary: this.#redis,
      fallback: this.#memory,
      recoverTimeoutMs: mergeTimeoutMs,
      recover: ({ signal }) => this.#recover(signal),
    })
    this.#view = new SharedView({
      redis,
      channel: this.#channel,
      pollMs: options.pollIntervalMs,
      random: options.random,
      read: (cause) => {
        if (cause === 'poll' && ++this.#polls % pollsBetweenFull === 0) this.#position = undefined
        return this.#read()
      },
      onError: (error) => log('the registry could not be read: %s', error),
    })
  }

  get state(): FailoverState {
    return this.#stores.state
  }

  /** Whether its ended leases count: not while the registry in which others renew them is away. */
  get isAuthoritative(): boolean {
    return this.#redis === undefined || this.state === 'primary'
  }

  /** A node as it is known here. */
  nodeOf(id: string): DecoderNode | undefined {
    return this.#memory.get(id)?.node
  }

  nodeAt(endpoint: string): DecoderNode | undefined {
    return this.#memory.at(endpoint)?.node
  }

  /** Makes many changes, of which this coordinator is notified together, about once a second. */
  async together(changes: () => Promise<void>): Promise<void> {
    this.#batches++
    try {
      await changes()
    } finally {
      this.#batches--
      if (this.#isUntold) this.#tell()
    }
  }

  #tell(): void {
    const now = this.#options.clock.monotonic()
    this.#isUntold = this.#batches > 0 && now - this.#toldAt < batchNewsMs
    if (this.#isUntold) return
    this.#toldAt = now
    this.#onNews()
  }

  /** All that is known here. */
  known(): RegistryDelta {
    return this.#memory.known()
  }

  /** What changed here since the last look, with the registry's version and the ended leases of its last answer. */
  news(): RegistryNews {
    const news = this.#memory.news()
    return this.#redis === undefined ? news : { ...news, version: this.#version, expired: this.#expired }
  }

  /** What reads have shown about the registry itself since the last call. */
  takeSight(): { readonly lostData: boolean; readonly timeMs: number | undefined } {
    const lostData = this.#lostData
    this.#lostData = false
    return { lostData, timeMs: this.#timeMs }
  }

  /** Begins with what an earlier process knew, then reads the registry for the first time. */
  async start(earlier: RegistryDelta): Promise<void> {
    await this.#remember(earlier)
    await this.#view.start()
    await this.#view.refresh()
  }

  /** Takes what another instance knew: of each node, the newer revision stays, and Redis gets it with the next read. */
  async learn(changes: RegistryDelta): Promise<void> {
    await this.#remember(changes)
    // Only a full read tells what is newer here.
    this.#position = undefined
    this.#tell()
    if (this.#redis !== undefined) this.#view.soon()
  }

  /**
   * Changes a part of a node as it is now: a change of another part made meanwhile stays, and a node that was
   * removed does not come back. `false` if there is none. Two round trips, and two more for each quicker change.
   */
  async change(id: string, change: (node: DecoderNode) => DecoderNode): Promise<boolean> {
    for (let attempt = 0; ; attempt++) {
      const known = this.#memory.get(id)
      if (known === undefined) return false
      const node = change(known.node)
      if (JSON.stringify(node) === JSON.stringify(known.node)) return true
      // If others are always quicker, the change is made all the same in the end.
      const base = attempt < maxAttempts ? known.revision : undefined
      if ((await this.put(node, base)).outcome !== 'stale') return true
      await this.#view.refresh()
    }
  }

  /** Two round trips: to register, and to tell the others. With `base`, only if the node still has that revision. */
  async put(node: DecoderNode, base?: number): Promise<PutResult> {
    const { leaseMs } = this.#options
    const { value, source } = await this.#stores.run((store) => store.put(node, leaseMs, undefined, base))
    if (value.outcome === 'full' || value.outcome === 'stale') return value
    const { id, revision, version } = value
    const registrations = [{ node: { ...node, id }, revision }]
    if (source === 'redis')
      this.#memory.merge({ complete: false, registrations, removed: new Map() }, leaseMs)
    if (value.outcome !== 'renewed') await this.#changed(version, source)
    return value
  }

  async remove(id: string): Promise<boolean> {
    const { value, source } = await this.#stores.run((store) => store.remove(id))
    if (!value.removed) return false
    const removed = new Map([[id, value.revision]])
    if (source === 'redis')
      this.#memory.merge({ complete: false, registrations: [], removed }, this.#options.leaseMs)
    await this.#changed(value.version, source)
    return true
  }

  /** Renews leases, all in one round trip; gives the ids that are not registered. */
  async renew(ids: readonly string[]): Promise<readonly string[]> {
    const { value } = await this.#stores.run((store) => store.renew(ids, this.#options.leaseMs))
    return value
  }

  async close(): Promise<void> {
    this.#stores.close()
    await this.#view.close()
  }

  async #remember({ registrations, removed }: RegistryDelta): Promise<void> {
    for (const { node, revision } of registrations)
      await this.#memory.put(node, this.#options.leaseMs, revision)
    for (const [id, revision] of removed) await this.#memory.remove(id, revision)
  }

  async #changed(version: number, source: Source): Promise<void> {
    if (source === 'redis') this.#version = version
    this.#tell()
    if (source === 'redis') await this.#publish(version)
  }

  async #publish(version: number): Promise<void> {
    // An instance that misses the message finds the change by polling.
    await this.#options.redis
      ?.publish(this.#channel, String(version))
      .catch((error) => log('not published: %s', error))
  }

  async #read(): Promise<void> {
    const { value: news, source } = await this.#stores.run((store) => store.read(this.#position))
    if (source === 'memory') return this.#tell()
    await this.#take(news, AbortSignal.timeout(mergeTimeoutMs)).catch((error) => {
      log('the registry could not be sent what it lacks: %s', error)
      // The next read compares everything again.
      this.#position = undefined
      this.#tell()
    })
  }

  /** What memory gathered in the outage goes to Redis, and what Redis has comes here. */
  async #recover(signal: AbortSignal): Promise<void> {
    if (this.#redis === undefined) return
    await this.#take(await this.#redis.read(), signal)
    // A change may have been made here after memory was compared and before this ends; a full read finds it.
    this.#position = undefined
    this.#view.soon()
  }

  async #take(news: RegistrySnapshot, signal: AbortSignal): Promise<void> {
    const { leaseMs } = this.#options
    this.#timeMs = news.timeMs
    if (news.timeMs !== undefined) this.clock.heard(news.timeMs)
    const last = this.#last
    if (last !== undefined && (news.epoch !== last.epoch || news.version < last.version)) {
      this.#lostData = true
      this.#memory.forgetTold()
    }
    const ahead = this.#memory.merge(news, leaseMs)
    if (this.#redis === undefined || (ahead.registrations.length === 0 && ahead.removed.size === 0)) {
      return this.#arrivedAt(news)
    }
    log('telling the registry of %d nodes and %d removals', ahead.registrations.length, ahead.removed.size)
    await this.#handOver(this.#redis, ahead, signal)
    this.#memory.told(ahead)
    // Read again: an endpoint may be known under another id, and another coordinator's change may be newer.
    const merged = await this.#redis.read()
    this.#memory.merge(merged, leaseMs)
    this.#arrivedAt(merged)
    await this.#publish(merged.version)
  }

  #arrivedAt({ epoch, version, expired }: RegistrySnapshot): void {
    this.#position = { epoch, version }
    this.#last = this.#position
    this.#version = version
    this.#expired = expired
    this.#tell()
  }

  async #handOver(
    redis: RedisRegistryStore,
    { registrations, removed }: RegistryDelta,
    signal: AbortSignal,
  ): Promise<void> {
    const { leaseMs } = this.#options
    const changes = [
      ...registrations.map(
        ({ node, revision }) =>
          () =>
            redis.put(node, leaseMs, revision),
      ),
      ...[...removed].map(
        ([id, revision]) =>
          () =>
            redis.remove(id, revision),
      ),
    ]
    for (let from = 0; from < changes.length; from += batch) {
      await Promise.all(changes.slice(from, from + batch).map((change) => change()))
      signal.throwIfAborted()
    }
  }
}
