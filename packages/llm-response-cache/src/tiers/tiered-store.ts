import { randomUUID } from 'node:crypto'
import { type Failover, failover, type Source } from '@evenkeel/core'
import { createLog, setImmediate } from '@evenkeel/core/kit'
import type { Compression } from '../entry/compression.js'
import type { EntrySealer } from '../entry/encryption.js'
import type { Entry, Version } from '../entry/entry.js'
import type { ResolvedOptions } from '../options.js'
import { createRedisStores, type Stores } from '../stores/create-redis-stores.js'
import { globMatcher } from '../stores/glob.js'
import { type CachedEntry, MemoryEntryStore } from '../stores/memory-entries.js'
import { MemoryFlightStore } from '../stores/memory-flights.js'
import { type EntryKey, givenUp } from '../stores/port.js'
import { InvalidationBus, noVersions, type Sweep } from './invalidation.js'
import { OutageChanges, type OwedLease } from './outage-changes.js'
import { OutageReturn, pageSize } from './outage-return.js'
import { doomedOf, type SweepOptions } from './sweep.js'

const log = createLog('llm-response-cache')

export interface Found {
  /** An entry whose versions are the present ones. The reader judges whether it is fresh. */
  readonly entry: Entry | undefined
  /** The id of the stored entry, usable or not; empty if there is none. */
  readonly id: string
  /** The present versions, for the entry of a call that begins now. */
  readonly versions: readonly Version[]
  readonly source: Source
}

/** Calls under way in this process, which can be voided so that their answers are not stored. */
export interface VoidableCalls {
  void(entryKey: EntryKey): void
  voidMatching(tenant: string, matches: (name: string, model: string) => boolean): void
}

/**
 * Entries of all tenants in two tiers: this process's memory, whose copies are trusted for a while, and Redis. In an
 * outage there is only memory, whose entries are then trusted for as long as they live.
 */
export class TieredStore {
  readonly #options: ResolvedOptions
  readonly #memory: MemoryEntryStore
  readonly #memoryFlights: MemoryFlightStore
  readonly #sealer: EntrySealer | undefined
  readonly #stores: Failover<Stores>
  readonly #invalidations: InvalidationBus | undefined
  readonly #outage = new OutageChanges()
  /** Called with what is deleted, here and in other instances. Set once, by the part that makes calls. */
  calls: VoidableCalls | undefined
  /** Grows when messages may have been missed: copies that were confirmed before are no longer trusted. */
  #trust = 1
  /** Grows with each invalidation, so that a look-up that began before does not keep what it read. */
  #heard = 0
  #closed = false

  constructor(
    options: ResolvedOptions,
    room: string,
    sealer: EntrySealer | undefined,
    compression: Compression,
  ) {
    const { redis, maxEntries, maxBytes, clock } = options
    this.#options = options
    this.#sealer = sealer
    this.#memory = new MemoryEntryStore({ maxEntries, maxBytes, clock })
    this.#memoryFlights = new MemoryFlightStore(this.#memory, clock)
    this.#invalidations =
      redis &&
      new InvalidationBus(
        redis,
        room,
        ({ tenant, versions, names, swept }) => {
          this.#forget(tenant, versions, names)
          if (swept !== undefined) this.#voidMatching(tenant, swept)
        },
        () => this.#distrust(),
      )
    const back = new OutageReturn(
      {
        clock,
        memory: this.#memory,
        invalidations: this.#invalidations,
        leaseMs: options.leaseMs,
        run: (operation) => this.#stores.run(operation),
        isShared: () => this.#stores.state === 'primary' && !this.#closed,
        heard: () => {
          this.#heard++
        },
      },
      this.#outage,
    )
    this.#stores = failover<Stores>(redis, {
      name: 'llm-response-cache',
      durability: 'disposable',
      primary:
        redis &&
        createRedisStores(redis, { sealer, compression, room, maxEntryBytes: options.maxEntryBytes }),
      fallback: { entries: this.#memory, flights: this.#memoryFlights },
      held: () => ({ entries: this.#memory.entries, bytes: this.#memory.bytes }),
      recover: async (context) => {
        await back.makeUpFor(context)
        this.#distrust()
        setImmediate(() => void back.handOver())
      },
    })
  }

  get state(): Failover<Stores>['state'] {
    return this.#stores.state
  }

  get held(): { readonly entries: number; readonly bytes: number } {
    return { entries: this.#memory.entries, bytes: this.#memory.bytes }
  }

  /** Runs an operation on Redis or, in an outage, in memory. */
  run<T>(operation: (stores: Stores) => Promise<T>): Promise<{ readonly value: T; readonly source: Source }> {
    return this.#stores.run(operation)
  }

  /** Returns a trusted entry from memory, synchronously. No round trip. */
  local(entryKey: EntryKey): CachedEntry | undefined {
    const { clock, l1TtlMs } = this.#options
    const isShared = this.#stores.state === 'primary'
    if (isShared && (l1TtlMs === 0 || this.#invalidations?.listening !== true)) return undefined
    const held = this.#memory.held(entryKey)
    if (held === undefined || !this.#versionsHold(entryKey.tenant, held)) return undefined
    if (!isShared) return held
    const isTrusted = held.trust === this.#trust && clock.monotonic() - held.checkedAt < l1TtlMs
    return isTrusted ? held : undefined
  }

  /** One round trip; two for an entry with tags that the reader did not name. */
  async find(entryKey: EntryKey, tags: readonly string[]): Promise<Found> {
    const { tenant } = entryKey
    const names = tags.length === 0 ? onlyTenant : ['', ...this.versionNames(tenant, tags)]
    const heard = this.#heard
    const held = this.#memory.held(entryKey)
    const { value, source } = await this.#stores.run(({ entries }) =>
      entries.read(entryKey, names, held?.entry),
    )
    const versions = names.map((name, index) => ({ name, value: value.versions[index] ?? '' }))
    const { id } = value
    const entry = value.entry ?? this.#notHandedOver(entryKey)
    const holds = entry !== undefined && (await this.holds(tenant, entry.versions, versions))
    if (source === 'redis') this.#learn(entryKey, holds ? entry : undefined, held, versions, heard)
    return { entry: holds ? entry : undefined, id, versions, source }
  }

  /** Stores the answer of a call without a lease. Never rejects: an answer must not fail because it can't be stored. */
  async keep(entryKey: EntryKey, entry: Entry): Promise<boolean> {
    const ttlMs = entry.deadAtMs - this.#options.clock.now()
    if (!this.fits(entry) || ttlMs <= 0) return false
    const { admitWithinMs } = this.#options
    try {
      const { value, source } = await this.#stores.run(({ entries }) =>
        entries.write(entryKey, entry, { ttlMs, admitWithinMs }),
      )
      if (value) this.noteKept(entryKey, entry, source)
      return value
    } catch (error) {
      log('an answer could not be kept: %s', error)
      return false
    }
  }

  /** Whether an entry is small enough to be stored. */
  fits({ body }: Entry): boolean {
    return Buffer.byteLength(body) <= this.#options.maxEntryBytes
  }

  /** Takes an entry that was written into memory too. */
  noteKept(entryKey: EntryKey, entry: Entry, source: Source): void {
    const { clock } = this.#options
    // Without Redis, the write went to memory.
    if (source === 'memory' && this.#options.redis === undefined) return
    this.#learnUnknown(entryKey.tenant, entry.versions)
    this.#memory.hold(entryKey, entry, entry.deadAtMs - clock.now(), clock.monotonic(), this.#trust)
    if (source === 'memory') this.#outage.noteWritten(entryKey)
  }

  /** Tells other instances to drop their copies of an entry that was replaced. */
  tellReplaced({ tenant, name }: EntryKey): void {
    this.#invalidations?.tell({ tenant, versions: new Map(), names: [name] })
  }

  /** Ends the lease of a call that is over in the store that has it, or may have it; in Redis when that is back. */
  endLease(lease: OwedLease, heldBy: Source): void {
    if (heldBy === 'redis') return this.#outage.noteLease(lease, this.#options.clock.monotonic())
    void this.#memoryFlights.fail(lease.entryKey, lease.generation, givenUp)
  }

  /** Names of the tags' versions, hidden with `encrypt`, since tags may contain personal data. */
  versionNames(tenant: string, tags: readonly string[]): readonly string[] {
    const sealer = this.#sealer
    return sealer === undefined ? tags : tags.map((tag) => sealer.hideName(tenant, tag))
  }

  /** Sets new versions of a tenant (the empty name) or its tags (`versionNames`). Entries of the old ones end. */
  async invalidate(tenant: string, names: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const versions = new Map(names.map((name) => [name, randomUUID()]))
    this.#forget(tenant, versions, [])
    this.#outage.noteVersions(tenant, versions)
    const { source } = await this.#stores.run(({ entries }) => entries.invalidate(tenant, versions))
    // A look-up that began before may have put the old ones back into memory meanwhile.
    this.#forget(tenant, versions, [])
    if (source === 'redis') this.#outage.settleVersions(tenant, versions)
    this.#invalidations?.tell({ tenant, versions, names: [] })
    return versions
  }

  /** Returns how many entries there were. */
  async delete(tenant: string, names: readonly string[]): Promise<number> {
    const entryKeys = names.map((name) => ({ tenant, name }))
    for (const entryKey of entryKeys) this.calls?.void(entryKey)
    const { value, source } = await this.#stores.run(({ entries }) => entries.delete(entryKeys))
    this.#forget(tenant, noVersions, names)
    if (
      source === 'memory' &&
      this.#options.redis !== undefined &&
      !entryKeys.every((entryKey) => this.#outage.noteDeleted(entryKey))
    ) {
      await this.invalidate(tenant, [''])
    }
    this.#invalidations?.tell({ tenant, versions: noVersions, names })
    return value
  }

  /**
   * Deletes matching entries, and returns how many there were; calls under way for such names store nothing, unless
   * `isDoomed` is given. Several round trips for each page of names, of entries and of leases.
   */
  async sweep(tenant: string, options: SweepOptions): Promise<number> {
    const { pattern, model, isDoomed } = options
    if (isDoomed === undefined) await this.#voidSwept(tenant, { pattern, model })
    const { value } = await this.#stores.run(async ({ entries }) => {
      const found = new Set<string>()
      for await (const page of entries.names(tenant, pattern)) for (const name of page) found.add(name)
      return [...found]
    })
    let count = 0
    for (let at = 0; at < value.length; at += pageSize) {
      const page = value.slice(at, at + pageSize)
      const { value: doomed } = await this.#stores.run(({ entries }) =>
        doomedOf(entries, tenant, page, options),
      )
      if (doomed.length > 0) count += await this.delete(tenant, doomed)
    }
    return count
  }

  close(): void {
    this.#closed = true
    this.#invalidations?.close()
    this.#stores.close()
  }

  /** Finds an answer of an outage that Redis does not have yet. */
  #notHandedOver(entryKey: EntryKey): Entry | undefined {
    return this.#outage.hasWritten(entryKey) ? this.#memory.held(entryKey)?.entry : undefined
  }

  /** Whether a call with these versions began after all invalidations that this process knows of. */
  areCurrent(tenant: string, versions: readonly Version[]): boolean {
    return versions.every(({ name, value }) => {
      const known = this.#memory.version(tenant, name)
      return known === undefined || known === value
    })
  }

  #versionsHold(tenant: string, held: CachedEntry): boolean {
    const { versionsEpoch } = this.#memory
    if (held.versionsEpoch === versionsEpoch) return true
    for (const { name, value } of held.entry.versions) {
      if (this.#memory.version(tenant, name) !== value) return false
    }
    held.versionsEpoch = versionsEpoch
    return true
  }

  /** Whether these versions are the present ones. One round trip, or none if `present` has all of them. */
  async holds(tenant: string, versions: readonly Version[], present: readonly Version[]): Promise<boolean> {
    const unknown: Version[] = []
    for (const version of versions) {
      const now = present.find(({ name }) => name === version.name)
      if (now === undefined) unknown.push(version)
      else if (now.value !== version.value) return false
    }
    if (unknown.length === 0) return true
    const { value } = await this.#stores.run(({ entries }) =>
      entries.versions(
        tenant,
        unknown.map(({ name }) => name),
      ),
    )
    return unknown.every((version, index) => {
      const now = value[index]
      if (now !== undefined) this.#memory.setVersion(tenant, version.name, now)
      return now === version.value
    })
  }

  /** Puts Redis's reply into memory, unless something was invalidated since the question. */
  #learn(
    entryKey: EntryKey,
    entry: Entry | undefined,
    held: CachedEntry | undefined,
    versions: readonly Version[],
    heard: number,
  ): void {
    if (heard !== this.#heard) return this.#learnUnknown(entryKey.tenant, versions)
    for (const { name, value } of versions) this.#memory.setVersion(entryKey.tenant, name, value)
    const { clock } = this.#options
    const ttlMs = entry === undefined ? 0 : entry.deadAtMs - clock.now()
    if (entry === undefined || ttlMs <= 0) this.#memory.drop(entryKey)
    else if (held?.entry === entry) {
      held.checkedAt = clock.monotonic()
      held.trust = this.#trust
    } else this.#memory.hold(entryKey, entry, ttlMs, clock.monotonic(), this.#trust)
  }

  /** Learns only versions that memory lacks: if an outage begins now, they are the best that is known. */
  #learnUnknown(tenant: string, versions: readonly Version[]): void {
    for (const { name, value } of versions) {
      if (this.#memory.version(tenant, name) === undefined) this.#memory.setVersion(tenant, name, value)
    }
  }

  #forget(tenant: string, versions: ReadonlyMap<string, string>, names: readonly string[]): void {
    this.#heard++
    for (const [name, value] of versions) this.#memory.setVersion(tenant, name, value)
    for (const name of names) this.#memory.drop({ tenant, name })
  }

  #distrust(): void {
    this.#heard++
    this.#trust++
  }

  /** Called before the entries are searched, so that the entry of a call that ended before is found then. */
  async #voidSwept(tenant: string, swept: Sweep): Promise<void> {
    this.#voidMatching(tenant, swept)
    this.#invalidations?.tell({ tenant, versions: noVersions, names: [], swept })
    const { source } = await this.#stores.run(({ flights }) =>
      flights.void(tenant, swept.pattern, swept.model),
    )
    const isUnheard = source === 'memory' && this.#options.redis !== undefined
    if (isUnheard && !this.#outage.noteSwept(tenant, swept)) await this.invalidate(tenant, [''])
  }

  #voidMatching(tenant: string, { pattern, model }: Sweep): void {
    const matches = globMatcher(pattern)
    this.calls?.voidMatching(tenant, (name, own) => matches(name) && (model === undefined || own === model))
  }
}

const onlyTenant: readonly string[] = ['']
