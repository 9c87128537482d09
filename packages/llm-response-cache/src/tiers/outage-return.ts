import type { RecoverContext, Source } from '@evenkeel/core'
import { type Clock, createLog } from '@evenkeel/core/kit'
import type { Stores } from '../stores/create-redis-stores.js'
import type { MemoryEntryStore } from '../stores/memory-entries.js'
import { deletionMs, type EntryStore, type FlightStore, givenUp } from '../stores/port.js'
import { type InvalidationBus, noVersions, type Sweep } from './invalidation.js'
import type { OutageChanges, OutageWrite } from './outage-changes.js'
import { doomedOf } from './sweep.js'

const log = createLog('llm-response-cache')

/** Older entries are not handed over: Redis may have forgotten by then that they were deleted. */
const maxHandOverAgeMs = deletionMs - 60_000
/** How many entries are handed over before each pause. */
const handOver = { atOnce: 50, pauseMs: 50 }
const leasesAtOnce = 100
/** Entries per round trip. */
export const pageSize = 500

export interface OutageReturnHost {
  readonly clock: Clock
  readonly leaseMs: number
  readonly memory: MemoryEntryStore
  readonly invalidations: InvalidationBus | undefined
  run<T>(operation: (stores: Stores) => Promise<T>): Promise<{ readonly value: T; readonly source: Source }>
  /** Whether Redis is in use, and this cache open. */
  isShared(): boolean
  /** Called when something was invalidated: a look-up that began before must not keep what it read. */
  heard(): void
}

/** The part of a recovery's context that its steps need. */
type Turn = Pick<RecoverContext<Stores>, 'signal' | 'progress'>
export type ReturnContext = Turn & Pick<RecoverContext<Stores>, 'primary'>

/** Applies the changes and answers of an outage to Redis when it is back. */
export class OutageReturn {
  readonly #host: OutageReturnHost
  readonly #changes: OutageChanges

  constructor(host: OutageReturnHost, changes: OutageChanges) {
    this.#host = host
    this.#changes = changes
  }

  /** Before Redis is read again: sends it the invalidations of the outage, and drops here what others deleted. */
  async makeUpFor({ primary, signal, progress }: ReturnContext): Promise<void> {
    const { entries, flights } = primary
    const turn = { signal, progress }
    await this.#endLeases(flights, turn)
    for (const [tenant, pending] of [...this.#changes.versions]) {
      signal.throwIfAborted()
      const versions = new Map(pending)
      await entries.invalidate(tenant, versions)
      this.#changes.settleVersions(tenant, versions)
      this.#host.invalidations?.tell({ tenant, versions, names: [] })
      progress()
    }
    for (const [id, { tenant, ...swept }] of [...this.#changes.swept]) {
      await flights.void(tenant, swept.pattern, swept.model)
      await this.#sweepStore(entries, tenant, swept, turn)
      this.#changes.swept.delete(id)
    }
    await this.#dropDeleted(entries, turn)
    const deleted = [...this.#changes.deleted]
    for (let at = 0; at < deleted.length; at += pageSize) {
      signal.throwIfAborted()
      const page = deleted.slice(at, at + pageSize)
      await entries.delete(page.map(([, entryKey]) => entryKey))
      for (const [id, entryKey] of page) {
        this.#changes.deleted.delete(id)
        this.#host.invalidations?.tell({ ...entryKey, versions: noVersions, names: [entryKey.name] })
      }
      progress()
    }
  }

  /** Instances that kept Redis may follow calls that are over here, and would do so until the leases expire. */
  async #endLeases(flights: FlightStore, { signal, progress }: Turn): Promise<void> {
    const since = this.#host.clock.monotonic() - this.#host.leaseMs
    const owed = [...this.#changes.leases]
    for (let at = 0; at < owed.length; at += leasesAtOnce) {
      signal.throwIfAborted()
      await Promise.all(
        owed.slice(at, at + leasesAtOnce).map(async ([lease, notedAt]) => {
          const { entryKey, generation, records } = lease
          if (notedAt > since) await flights.fail(entryKey, generation, givenUp, records)
          this.#changes.leases.delete(lease)
        }),
      )
      progress()
    }
  }

  /** Deletes in Redis what was swept in the outage. */
  async #sweepStore(
    entries: EntryStore,
    tenant: string,
    swept: Sweep,
    { signal, progress }: Turn,
  ): Promise<void> {
    for await (const page of entries.names(tenant, swept.pattern)) {
      signal.throwIfAborted()
      const names = await doomedOf(entries, tenant, page, swept)
      await entries.delete(names.map((name) => ({ tenant, name })))
      this.#host.heard()
      this.#host.invalidations?.tell({ tenant, versions: noVersions, names })
      progress()
    }
  }

  /** Drops answers of the outage that another instance deleted: their calls may have begun before the deletion. */
  async #dropDeleted(entries: EntryStore, { signal, progress }: Turn): Promise<void> {
    const written = [...this.#changes.written].filter(([, { isAfterDeletion }]) => !isAfterDeletion)
    const oldest = this.#host.clock.now() - maxHandOverAgeMs
    for (let at = 0; at < written.length; at += pageSize) {
      signal.throwIfAborted()
      const page = written.slice(at, at + pageSize)
      const wereDeleted = await entries.wereDeleted(page.map(([, { entryKey }]) => entryKey))
      for (const [index, [id, { entryKey }]] of page.entries()) {
        const entry = this.#host.memory.held(entryKey)?.entry
        if (wereDeleted[index] !== true && entry !== undefined && entry.createdAtMs > oldest) continue
        this.#changes.written.delete(id)
        this.#host.memory.drop(entryKey)
      }
      progress()
    }
  }

  /** Writes the answers of the outage to Redis for other instances, if it has none under their keys. */
  async handOver(): Promise<void> {
    while (this.#changes.written.size > 0 && this.#host.isShared()) {
      const some = [...this.#changes.written].slice(0, handOver.atOnce)
      const now = this.#host.clock.now()
      await Promise.all(
        some.map(([id, write]) => {
          this.#changes.written.delete(id)
          return this.#handOverOne(write, now)
        }),
      ).catch((error: unknown) => log('an answer could not be handed over: %s', error))
      await new Promise<void>((resolve) => setTimeout(resolve, handOver.pauseMs).unref())
    }
  }

  async #handOverOne({ entryKey, isAfterDeletion }: OutageWrite, now: number): Promise<void> {
    const entry = this.#host.memory.held(entryKey)?.entry
    if (entry === undefined || entry.deadAtMs <= now) return
    const options = {
      ttlMs: entry.deadAtMs - now,
      onlyIfAbsent: true,
      unlessDeleted: !isAfterDeletion,
    }
    const { source } = await this.#host.run(({ entries }) => entries.write(entryKey, entry, options))
    if (source === 'memory') this.#changes.noteWritten(entryKey)
  }
}
