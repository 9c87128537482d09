import { randomUUID } from 'node:crypto'
import { ByteBoundedLru, type Clock, systemClock } from '@evenkeel/core'
import { type Entry, sizeOf } from '../entry/entry.js'
import { placeId, placePrefix } from './entry-key.js'
import { globToRegExp } from './glob.js'
import type { EntryStore, Place, Reading, WriteOptions } from './port.js'

export interface MemoryEntryStoreOptions {
  /** @default 10_000 */
  readonly maxEntries?: number | undefined
  /** @default 64 MiB */
  readonly maxBytes?: number | undefined
  readonly clock?: Clock | undefined
}

/** An entry in this process, with what its holder notes about it. */
export interface Held {
  readonly entry: Entry
  /** When Redis last confirmed it, and in which generation of trust; see the vault. */
  checkedAt: number
  trust: number
  /** When its stamps were last compared with the present ones; see `stampsVersion`. */
  stampsVersion: number
  /** The value, parsed once, for callers who share it. */
  frozen: unknown
}

const maxStamps = 50_000

/** Answers in this process, bounded in entries and bytes. */
export class MemoryEntryStore implements EntryStore {
  readonly #entries: ByteBoundedLru<Held>
  readonly #stamps: ByteBoundedLru<string>
  /** Raised when a stamp changes: while it stays, what held then holds now. */
  stampsVersion = 0
  /** What was set last is most often what is set next: the stamp of a namespace that nobody clears. */
  #lastStamp: { readonly namespace: string; readonly name: string; readonly value: string } | undefined
  #lastNamespace = ''
  #lastPrefix = placePrefix('')
  /** Asked for once. */
  readonly #seen: ByteBoundedLru<true>

  constructor({ maxEntries, maxBytes, clock = systemClock }: MemoryEntryStoreOptions = {}) {
    this.#entries = new ByteBoundedLru({ maxEntries, maxBytes, clock, sizeOf: ({ entry }) => sizeOf(entry) })
    this.#stamps = new ByteBoundedLru({ maxEntries: maxStamps, clock, sizeOf: (stamp) => stamp.length })
    this.#seen = new ByteBoundedLru({ maxEntries: maxStamps, clock, sizeOf: () => 1 })
  }

  get entries(): number {
    return this.#entries.size
  }

  get bytes(): number {
    return this.#entries.bytes
  }

  /** What is held, without a promise. */
  held(place: Place): Held | undefined {
    return this.#entries.get(this.#id(place))
  }

  hold(place: Place, entry: Entry, ttlMs: number, checkedAt = 0, trust = 0): Held {
    const held: Held = { entry, checkedAt, trust, stampsVersion: -1, frozen: undefined }
    this.#entries.set(this.#id(place), held, ttlMs)
    return held
  }

  drop(place: Place): boolean {
    return this.#entries.delete(this.#id(place))
  }

  /** A stamp that is known, without making one. */
  stamp(namespace: string, name: string): string | undefined {
    return this.#stamps.get(placeId({ namespace, name }))
  }

  setStamp(namespace: string, name: string, value: string): void {
    const last = this.#lastStamp
    if (last?.value === value && last.namespace === namespace && last.name === name) return
    this.#lastStamp = { namespace, name, value }
    const id = placeId({ namespace, name })
    if (this.#stamps.get(id) === value) return
    this.#stamps.set(id, value)
    this.stampsVersion++
  }

  async read(place: Place, stamps: readonly string[]): Promise<Reading> {
    const entry = this.held(place)?.entry
    return { entry, id: entry?.id ?? '', stamps: this.#present(place.namespace, stamps) }
  }

  async write(
    place: Place,
    entry: Entry,
    { ttlMs, onlyIfAbsent = false, admitWithinMs = 0 }: WriteOptions,
  ): Promise<boolean> {
    if (onlyIfAbsent && this.held(place) !== undefined) return false
    if (!this.admits(place, admitWithinMs)) return false
    this.hold(place, entry, ttlMs)
    return true
  }

  /** Whether this is the second time within the span; notes the first. */
  admits(place: Place, withinMs: number): boolean {
    if (withinMs === 0 || this.#seen.get(placeId(place)) === true || this.held(place) !== undefined)
      return true
    this.#seen.set(placeId(place), true, withinMs)
    return false
  }

  async delete(places: readonly Place[]): Promise<number> {
    return places.filter((place) => this.held(place) !== undefined && this.drop(place)).length
  }

  async stamps(namespace: string, names: readonly string[]): Promise<readonly string[]> {
    return this.#present(namespace, names)
  }

  async restamp(namespace: string, stamps: ReadonlyMap<string, string>): Promise<void> {
    for (const [name, value] of stamps) this.setStamp(namespace, name, value)
  }

  async *names(namespace: string, pattern: string): AsyncIterable<readonly string[]> {
    const matches = globToRegExp(pattern)
    const begin = placeId({ namespace, name: '' })
    const names = [...this.#entries.entries()]
      .filter(([id]) => id.startsWith(begin))
      .map(([id]) => id.slice(begin.length))
    yield names.filter((name) => matches.test(name))
  }

  /** Most look-ups are of the namespace of the one before. */
  #id({ namespace, name }: Place): string {
    if (namespace !== this.#lastNamespace) {
      this.#lastNamespace = namespace
      this.#lastPrefix = placePrefix(namespace)
    }
    return this.#lastPrefix + name
  }

  #present(namespace: string, names: readonly string[]): readonly string[] {
    return names.map((name) => {
      const known = this.stamp(namespace, name)
      if (known !== undefined) return known
      const made = randomUUID()
      this.setStamp(namespace, name, made)
      return made
    })
  }
}
