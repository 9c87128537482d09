import { randomUUID } from 'node:crypto'
import type { Clock } from '@evenkeel/core'
import { ByteBoundedLru, systemClock } from '@evenkeel/core/kit'
import { type Entry, sizeOf } from '../entry/entry.js'
import { entryKeyId, entryKeyPrefix } from './entry-key.js'
import { globMatcher } from './glob.js'
import { deletionMs, type EntryKey, type EntryStore, type Reading, type WriteOptions } from './port.js'

export interface MemoryEntryStoreOptions {
  /** @default 10_000 */
  readonly maxEntries?: number | undefined
  /** @default 64 MiB */
  readonly maxBytes?: number | undefined
  readonly clock?: Clock | undefined
}

/** An entry in this process, with the notes of the tier that keeps it. */
export interface CachedEntry {
  readonly entry: Entry
  /** When Redis last confirmed it, and in which generation of trust; see the tiered store. */
  checkedAt: number
  trust: number
  /** The store's `versionsEpoch` when the entry's versions were last compared with the present ones. */
  versionsEpoch: number
  /** The value, parsed once, for callers that share it. */
  frozen: unknown
}

const maxVersions = 50_000

/** Answers in this process, bounded in entries and bytes. */
export class MemoryEntryStore implements EntryStore {
  readonly #entries: ByteBoundedLru<CachedEntry>
  readonly #versions: ByteBoundedLru<string>
  /** Grows when a version changes: until then, an earlier comparison of versions stays valid. */
  versionsEpoch = 0
  /** The version that was set last, which is most often set next too: that of a tenant that is not cleared. */
  #lastVersion: { readonly tenant: string; readonly name: string; readonly value: string } | undefined
  #lastTenant = ''
  #lastPrefix = entryKeyPrefix('')
  /** Keys that were requested once (`admit: 'second-sight'`). */
  readonly #seen: ByteBoundedLru<true>
  /** Keys that were deleted within the last `deletionMs`. */
  readonly #deleted: ByteBoundedLru<true>

  constructor({ maxEntries, maxBytes, clock = systemClock }: MemoryEntryStoreOptions = {}) {
    this.#entries = new ByteBoundedLru({ maxEntries, maxBytes, clock, sizeOf: ({ entry }) => sizeOf(entry) })
    this.#versions = new ByteBoundedLru({
      maxEntries: maxVersions,
      clock,
      sizeOf: (version) => version.length,
    })
    this.#seen = new ByteBoundedLru({ maxEntries: maxVersions, clock, sizeOf: () => 1 })
    this.#deleted = new ByteBoundedLru({ maxEntries: maxVersions, clock, sizeOf: () => 1 })
  }

  get entries(): number {
    return this.#entries.size
  }

  get bytes(): number {
    return this.#entries.bytes
  }

  /** Called with each key that a user deletes; set by the flight store of this entry store. */
  onDelete: ((entryKey: EntryKey) => void) | undefined

  /** Returns an entry synchronously. */
  held(entryKey: EntryKey): CachedEntry | undefined {
    return this.#entries.get(this.#id(entryKey))
  }

  hold(entryKey: EntryKey, entry: Entry, ttlMs: number, checkedAt = 0, trust = 0): CachedEntry {
    const held: CachedEntry = { entry, checkedAt, trust, versionsEpoch: -1, frozen: undefined }
    this.#entries.set(this.#id(entryKey), held, ttlMs)
    return held
  }

  drop(entryKey: EntryKey): boolean {
    return this.#entries.delete(this.#id(entryKey))
  }

  /** Returns a version without creating one. */
  version(tenant: string, name: string): string | undefined {
    return this.#versions.get(entryKeyId({ tenant, name }))
  }

  setVersion(tenant: string, name: string, value: string): void {
    const last = this.#lastVersion
    if (last?.value === value && last.tenant === tenant && last.name === name) return
    this.#lastVersion = { tenant, name, value }
    const id = entryKeyId({ tenant, name })
    if (this.#versions.get(id) === value) return
    this.#versions.set(id, value)
    this.versionsEpoch++
  }

  async read(entryKey: EntryKey, versions: readonly string[]): Promise<Reading> {
    const entry = this.held(entryKey)?.entry
    return { entry, id: entry?.id ?? '', versions: this.#present(entryKey.tenant, versions) }
  }

  async write(
    entryKey: EntryKey,
    entry: Entry,
    { ttlMs, onlyIfAbsent = false, unlessDeleted = false, admitWithinMs = 0 }: WriteOptions,
  ): Promise<boolean> {
    if (onlyIfAbsent && this.held(entryKey) !== undefined) return false
    if (unlessDeleted && this.#deleted.get(entryKeyId(entryKey)) === true) return false
    if (!this.admits(entryKey, admitWithinMs)) return false
    this.hold(entryKey, entry, ttlMs)
    return true
  }

  /** Whether to store an entry: from the second time within `withinMs` on. Remembers the first time. */
  admits(entryKey: EntryKey, withinMs: number): boolean {
    if (withinMs === 0 || this.#seen.get(entryKeyId(entryKey)) === true || this.held(entryKey) !== undefined)
      return true
    this.#seen.set(entryKeyId(entryKey), true, withinMs)
    return false
  }

  async delete(entryKeys: readonly EntryKey[]): Promise<number> {
    for (const entryKey of entryKeys) {
      this.onDelete?.(entryKey)
      this.#deleted.set(entryKeyId(entryKey), true, deletionMs)
    }
    return entryKeys.filter((entryKey) => this.held(entryKey) !== undefined && this.drop(entryKey)).length
  }

  async wereDeleted(entryKeys: readonly EntryKey[]): Promise<readonly boolean[]> {
    return entryKeys.map((entryKey) => this.#deleted.get(entryKeyId(entryKey)) === true)
  }

  async versions(tenant: string, names: readonly string[]): Promise<readonly string[]> {
    return this.#present(tenant, names)
  }

  async invalidate(tenant: string, versions: ReadonlyMap<string, string>): Promise<void> {
    for (const [name, value] of versions) this.setVersion(tenant, name, value)
  }

  async *names(tenant: string, pattern: string): AsyncIterable<readonly string[]> {
    const matches = globMatcher(pattern)
    const begin = entryKeyId({ tenant, name: '' })
    const names = [...this.#entries.entries()]
      .filter(([id]) => id.startsWith(begin))
      .map(([id]) => id.slice(begin.length))
    yield names.filter(matches)
  }

  /** Keeps the last tenant's prefix, since most look-ups have the same tenant as the one before. */
  #id({ tenant, name }: EntryKey): string {
    if (tenant !== this.#lastTenant) {
      this.#lastTenant = tenant
      this.#lastPrefix = entryKeyPrefix(tenant)
    }
    return this.#lastPrefix + name
  }

  #present(tenant: string, names: readonly string[]): readonly string[] {
    return names.map((name) => {
      const known = this.version(tenant, name)
      if (known !== undefined) return known
      const made = randomUUID()
      this.setVersion(tenant, name, made)
      return made
    })
  }
}
