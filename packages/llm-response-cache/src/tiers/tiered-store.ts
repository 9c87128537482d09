import { randomUUID } from 'node:crypto'
import { createLog, type Failover, failover, type Source } from '@evenkeel/core'
import type { Compression } from '../entry/compression.js'
import type { Sealer } from '../entry/encryption.js'
import type { Entry, Stamp } from '../entry/entry.js'
import type { ResolvedOptions } from '../options.js'
import { createRedisStores, type Stores } from '../stores/create-redis-stores.js'
import { type Held, MemoryEntryStore } from '../stores/memory-entries.js'
import { MemoryFlightStore } from '../stores/memory-flights.js'
import type { EntryStore, Place } from '../stores/port.js'
import { Invalidations } from './invalidation.js'
import { OutageLog } from './outage-changes.js'

const log = createLog('llm-response-cache')

export interface Found {
  /** An entry whose stamps hold. Whether it is fresh is the reader's to judge. */
  readonly entry: Entry | undefined
  /** The id of what is there, of use or not; empty for nothing. */
  readonly id: string
  /** What to write under that is called for now. */
  readonly stamps: readonly Stamp[]
  readonly source: Source
}

/** Handing over after an outage: so many entries, then a pause. */
const handOver = { atOnce: 50, pauseMs: 50 }
const pageSize = 500

/**
 * Entries of all namespaces, found and kept at two levels: this process's memory, which is trusted for a
 * while, and Redis. While Redis is away, memory is all there is, and is trusted for as long as its entries live.
 */
export class Vault {
  readonly #options: ResolvedOptions
  readonly #memory: MemoryEntryStore
  readonly #sealer: Sealer | undefined
  readonly #stores: Failover<Stores>
  readonly #invalidations: Invalidations | undefined
  readonly #outage = new OutageLog()
  /** Raised when messages may have been missed: what was confirmed before is no longer trusted. */
  #trust = 1
  /** Raised with each invalidation, so that a look-up which began before it trusts nothing that it read. */
  #heard = 0
  #closed = false

  constructor(options: ResolvedOptions, room: string, sealer: Sealer | undefined, compression: Compression) {
    const { redis, maxEntries, maxBytes, clock } = options
    this.#options = options
    this.#sealer = sealer
    this.#memory = new MemoryEntryStore({ maxEntries, maxBytes, clock })
    this.#invalidations =
      redis &&
      new Invalidations(
        redis,
        room,
        ({ namespace, stamps, names }) => this.#forget(namespace, stamps, names),
        () => this.#distrust(),
      )
    this.#stores = failover<Stores>(redis, {
      name: 'llm-response-cache',
      primary: redis && createRedisStores(redis, { sealer, compression, room }),
      fallback: { entries: this.#memory, flights: new MemoryFlightStore(this.#memory, clock) },
      held: () => ({ entries: this.#memory.entries, bytes: this.#memory.bytes }),
      recover: async ({ primary, signal }) => {
        await this.#makeUpFor(primary.entries, signal)
        this.#distrust()
        setImmediate(() => void this.#handOver())
      },
    })
  }

  get state(): Failover<Stores>['state'] {
    return this.#stores.state
  }

  get held(): { readonly entries: number; readonly bytes: number } {
    return { entries: this.#memory.entries, bytes: this.#memory.bytes }
  }

  /** Entries and flights on whichever store is there. */
  run<T>(operation: (stores: Stores) => Promise<T>): Promise<{ readonly value: T; readonly source: Source }> {
    return this.#stores.run(operation)
  }

  /** What memory may answer by itself, now. No round trip, no promise. */
  local(place: Place): Held | undefined {
    const { clock, l1TtlMs } = this.#options
    const isShared = this.#stores.state === 'primary'
    if (isShared && (l1TtlMs === 0 || this.#invalidations?.listening !== true)) return undefined
    const held = this.#memory.held(place)
    if (held === undefined || !this.#stampsHold(place.namespace, held)) return undefined
    if (!isShared) return held
    const isTrusted = held.trust === this.#trust && clock.monotonic() - held.checkedAt < l1TtlMs
    return isTrusted ? held : undefined
  }

  /** One round trip; two for an entry with tags that the reader did not name. */
  async find(place: Place, tags: readonly string[]): Promise<Found> {
    const { namespace } = place
    const names = tags.length === 0 ? onlyNamespace : ['', ...this.stampNames(namespace, tags)]
    const heard = this.#heard
    const held = this.#memory.held(place)
    const { value, source } = await this.#stores.run(({ entries }) => entries.read(place, names, held?.entry))
    const stamps = names.map((name, index) => ({ name, value: value.stamps[index] ?? '' }))
    const { id } = value
    const entry = value.entry ?? this.#notHandedOver(place)
    const holds = entry !== undefined && (await this.#holds(namespace, entry, stamps))
    if (source === 'redis') this.#learn(place, holds ? entry : undefined, held, stamps, heard)
    return { entry: holds ? entry : undefined, id, stamps, source }
  }

  /** Keeps an answer that was begun without a lease. Never rejects: an answer must not fail because it can't be kept. */
  async keep(place: Place, entry: Entry): Promise<boolean> {
    const ttlMs = entry.deadAtMs - this.#options.clock.now()
    if (!this.fits(entry) || ttlMs <= 0) return false
    const { admitWithinMs } = this.#options
    try {
      const { value, source } = await this.#stores.run(({ entries }) =>
        entries.write(place, entry, { ttlMs, admitWithinMs }),
      )
      if (value) this.noteKept(place, entry, source)
      return value
    } catch (error) {
      log('an answer could not be kept: %s', error)
      return false
    }
  }

  /** Whether an entry is small enough to be kept. */
  fits({ body }: Entry): boolean {
    return body.length <= this.#options.maxEntryBytes
  }

  /** An entry was written; memory has it too from now on. */
  noteKept(place: Place, entry: Entry, source: Source): void {
    const { clock } = this.#options
    this.#learnUnknown(place.namespace, entry.stamps)
    this.#memory.hold(place, entry, entry.deadAtMs - clock.now(), clock.monotonic(), this.#trust)
    if (source === 'memory' && this.#options.redis !== undefined) this.#outage.noteWritten(place)
  }

  /** An entry was replaced: others' copies of the old one go. */
  tellReplaced({ namespace, name }: Place): void {
    this.#invalidations?.tell({ namespace, stamps: new Map(), names: [name] })
  }

  /** How tags are named in stamps: they are a host's words, which may be a customer's. */
  stampNames(namespace: string, tags: readonly string[]): readonly string[] {
    const sealer = this.#sealer
    return sealer === undefined ? tags : tags.map((tag) => sealer.hideName(namespace, tag))
  }

  /** New stamps for a namespace (the empty name) or tags of it, by their stamps' names; what was begun under the old ones is over. */
  async restamp(namespace: string, names: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const stamps = new Map(names.map((name) => [name, randomUUID()]))
    this.#forget(namespace, stamps, [])
    this.#outage.noteStamps(namespace, stamps)
    const { source } = await this.#stores.run(({ entries }) => entries.restamp(namespace, stamps))
    // A look-up that began before may have brought the old ones meanwhile.
    this.#forget(namespace, stamps, [])
    if (source === 'redis') this.#outage.settleStamps(namespace, stamps)
    this.#invalidations?.tell({ namespace, stamps, names: [] })
    return stamps
  }

  /** How many there were. */
  async delete(namespace: string, names: readonly string[]): Promise<number> {
    const places = names.map((name) => ({ namespace, name }))
    const { value, source } = await this.#stores.run(({ entries }) => entries.delete(places))
    this.#forget(namespace, noStamps, names)
    if (
      source === 'memory' &&
      this.#options.redis !== undefined &&
      !places.every((place) => this.#outage.noteDeleted(place))
    ) {
      await this.restamp(namespace, [''])
    }
    this.#invalidations?.tell({ namespace, stamps: noStamps, names })
    return value
  }

  /** Deletes what matches a glob and, where given, a condition. Round trips: two a page of some hundred names. */
  async sweep(namespace: string, pattern: string, condition?: (entry: Entry) => boolean): Promise<number> {
    const { value } = await this.#stores.run(async ({ entries }) => {
      const found = new Set<string>()
      for await (const page of entries.names(namespace, pattern)) for (const name of page) found.add(name)
      return [...found]
    })
    let count = 0
    for (let at = 0; at < value.length; at += pageSize) {
      const page = value.slice(at, at + pageSize)
      const doomed = condition === undefined ? page : await this.#thoseThat(namespace, page, condition)
      if (doomed.length > 0) count += await this.delete(namespace, doomed)
    }
    return count
  }

  close(): void {
    this.#closed = true
    this.#invalidations?.close()
    this.#stores.close()
  }

  async #thoseThat(
    namespace: string,
    names: readonly string[],
    condition: (entry: Entry) => boolean,
  ): Promise<readonly string[]> {
    const { value: readings } = await this.#stores.run(({ entries }) =>
      Promise.all(names.map((name) => entries.read({ namespace, name }, []))),
    )
    return names.filter((_, index) => {
      const entry = readings[index]?.entry
      return entry !== undefined && condition(entry)
    })
  }

  /** What was answered in an outage is an answer, although Redis has not heard of it yet. */
  #notHandedOver(place: Place): Entry | undefined {
    return this.#outage.hasWritten(place) ? this.#memory.held(place)?.entry : undefined
  }

  #stampsHold(namespace: string, held: Held): boolean {
    const { stampsVersion } = this.#memory
    if (held.stampsVersion === stampsVersion) return true
    for (const { name, value } of held.entry.stamps) {
      if (this.#memory.stamp(namespace, name) !== value) return false
    }
    held.stampsVersion = stampsVersion
    return true
  }

  /** Whether all stamps of an entry are the present ones. */
  async #holds(namespace: string, entry: Entry, present: readonly Stamp[]): Promise<boolean> {
    const unknown: Stamp[] = []
    for (const stamp of entry.stamps) {
      const now = present.find(({ name }) => name === stamp.name)
      if (now === undefined) unknown.push(stamp)
      else if (now.value !== stamp.value) return false
    }
    if (unknown.length === 0) return true
    const { value } = await this.#stores.run(({ entries }) =>
      entries.stamps(
        namespace,
        unknown.map(({ name }) => name),
      ),
    )
    return unknown.every((stamp, index) => {
      const now = value[index]
      if (now !== undefined) this.#memory.setStamp(namespace, stamp.name, now)
      return now === stamp.value
    })
  }

  /** Memory takes part in what Redis said, unless something was invalidated since it was asked. */
  #learn(
    place: Place,
    entry: Entry | undefined,
    held: Held | undefined,
    stamps: readonly Stamp[],
    heard: number,
  ): void {
    if (heard !== this.#heard) return this.#learnUnknown(place.namespace, stamps)
    for (const { name, value } of stamps) this.#memory.setStamp(place.namespace, name, value)
    const { clock } = this.#options
    const ttlMs = entry === undefined ? 0 : entry.deadAtMs - clock.now()
    if (entry === undefined || ttlMs <= 0) this.#memory.drop(place)
    else if (held?.entry === entry) {
      held.checkedAt = clock.monotonic()
      held.trust = this.#trust
    } else this.#memory.hold(place, entry, ttlMs, clock.monotonic(), this.#trust)
  }

  /** An outage may begin before a look-up that nothing disturbed: then this is the best that is known. */
  #learnUnknown(namespace: string, stamps: readonly Stamp[]): void {
    for (const { name, value } of stamps) {
      if (this.#memory.stamp(namespace, name) === undefined) this.#memory.setStamp(namespace, name, value)
    }
  }

  #forget(namespace: string, stamps: ReadonlyMap<string, string>, names: readonly string[]): void {
    this.#heard++
    for (const [name, value] of stamps) this.#memory.setStamp(namespace, name, value)
    for (const name of names) this.#memory.drop({ namespace, name })
  }

  #distrust(): void {
    this.#heard++
    this.#trust++
  }

  /** Before Redis is read again it hears what was invalidated without it. */
  async #makeUpFor(entries: EntryStore, signal: AbortSignal): Promise<void> {
    for (const [namespace, pending] of [...this.#outage.stamps]) {
      signal.throwIfAborted()
      const stamps = new Map(pending)
      await entries.restamp(namespace, stamps)
      this.#outage.settleStamps(namespace, stamps)
      this.#invalidations?.tell({ namespace, stamps, names: [] })
    }
    const deleted = [...this.#outage.deleted]
    for (let at = 0; at < deleted.length; at += pageSize) {
      signal.throwIfAborted()
      const page = deleted.slice(at, at + pageSize)
      await entries.delete(page.map(([, place]) => place))
      for (const [id, place] of page) {
        this.#outage.deleted.delete(id)
        this.#invalidations?.tell({ ...place, stamps: noStamps, names: [place.name] })
      }
    }
  }

  /** What was answered meanwhile is of use to others too, where they have nothing themselves. */
  async #handOver(): Promise<void> {
    while (this.#outage.written.size > 0 && this.#stores.state === 'primary' && !this.#closed) {
      const some = [...this.#outage.written].slice(0, handOver.atOnce)
      const now = this.#options.clock.now()
      await Promise.all(
        some.map(async ([id, place]) => {
          this.#outage.written.delete(id)
          const entry = this.#memory.held(place)?.entry
          if (entry === undefined || entry.deadAtMs <= now) return
          const options = { ttlMs: entry.deadAtMs - now, onlyIfAbsent: true }
          const { source } = await this.#stores.run(({ entries }) => entries.write(place, entry, options))
          if (source === 'memory') this.#outage.noteWritten(place)
        }),
      ).catch((error: unknown) => log('an answer could not be handed over: %s', error))
      await new Promise<void>((resolve) => setTimeout(resolve, handOver.pauseMs).unref())
    }
  }
}

const onlyNamespace: readonly string[] = ['']
const noStamps: ReadonlyMap<string, string> = new Map()
