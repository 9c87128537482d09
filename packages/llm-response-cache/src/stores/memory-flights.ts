import type { Clock } from '@evenkeel/core'
import { queueMicrotask, systemClock } from '@evenkeel/core/kit'
import type { Entry, Version } from '../entry/entry.js'
import { entryKeyId, entryKeyPrefix } from './entry-key.js'
import { globMatcher } from './glob.js'
import type { MemoryEntryStore } from './memory-entries.js'
import type {
  BeginOptions,
  CommitOutcome,
  EntryKey,
  FlightStore,
  LogRecord,
  LogView,
  Role,
  WriteOptions,
} from './port.js'

interface Lease {
  readonly generation: string
  readonly owner: string
  expiresAt: number
  followers: number
  /** The entry was deleted meanwhile: the answer is not stored. */
  isVoid: boolean
  readonly versions: readonly Version[]
  readonly model: string
}

/** Maximum number of logs; those that ended are kept for followers that still read them. */
const maxLogs = 1_000

/** Flights within one process, without Redis. */
export class MemoryFlightStore implements FlightStore {
  readonly #entries: MemoryEntryStore
  readonly #clock: Clock
  readonly #leases = new Map<string, Lease>()
  readonly #logs = new Map<string, LogRecord[]>()
  readonly #watchers = new Map<string, Set<() => void>>()
  readonly #notified = new Map<string, Set<(entryKey: EntryKey) => void>>()

  constructor(entries: MemoryEntryStore, clock: Clock = systemClock) {
    this.#entries = entries
    this.#clock = clock
    entries.onDelete = (entryKey) => {
      const lease = this.#lease(entryKey)
      if (lease !== undefined) lease.isVoid = true
    }
  }

  async begin(entryKey: EntryKey, options: BeginOptions): Promise<Role> {
    const { generation, owner, leaseMs, unlessId, versions = [], model = '' } = options
    const entry = this.#entries.held(entryKey)?.entry
    if (entry !== undefined && entry.id !== unlessId) return { role: 'hit', entry }
    const lease = this.#lease(entryKey)
    if (lease?.generation === generation) return { role: 'lead' }
    if (lease?.isVoid && lease.followers > 0) return { role: 'apart' }
    if (lease !== undefined && !lease.isVoid) {
      lease.followers++
      return { role: 'follow', generation: lease.generation, owner: lease.owner, versions: lease.versions }
    }
    this.#leases.set(entryKeyId(entryKey), {
      generation,
      owner,
      expiresAt: this.#clock.monotonic() + leaseMs,
      followers: 0,
      isVoid: false,
      versions,
      model,
    })
    return { role: 'lead' }
  }

  renew(entryKey: EntryKey, generation: string, leaseMs: number): Promise<number> {
    return this.append(entryKey, generation, leaseMs, 0, [])
  }

  async append(
    entryKey: EntryKey,
    generation: string,
    leaseMs: number,
    from: number,
    records: readonly LogRecord[],
  ): Promise<number> {
    const lease = this.#lease(entryKey)
    if (lease?.generation !== generation) return -1
    lease.expiresAt = this.#clock.monotonic() + leaseMs
    if (records.length > 0) {
      const known = this.#log(entryKey, generation)
      // Followers would read an answer with a gap.
      if (known.length < from) {
        this.#leases.delete(entryKeyId(entryKey))
        this.#logs.delete(logId(entryKey, generation))
        return -1
      }
      known.push(...records.slice(known.length - from))
      this.#tell(entryKey)
    }
    return lease.followers
  }

  async commit(
    entryKey: EntryKey,
    generation: string,
    entry: Entry | undefined,
    { ttlMs, admitWithinMs = 0, published }: WriteOptions & { readonly published: boolean },
  ): Promise<CommitOutcome> {
    const lease = this.#lease(entryKey)
    if (lease?.generation !== generation) return 'fenced'
    const followed = lease.followers > 0
    const admitted =
      entry !== undefined && !lease.isVoid && (followed || this.#entries.admits(entryKey, admitWithinMs))
    if (followed && !admitted && !published) return 'publish'
    if (admitted) this.#entries.hold(entryKey, entry, ttlMs)
    if (followed) {
      this.#log(entryKey, generation).push({ type: 'end', data: Buffer.from(published ? '1' : '0') })
    }
    this.#leases.delete(entryKeyId(entryKey))
    this.#tell(entryKey)
    return admitted ? 'kept' : 'released'
  }

  async fail(entryKey: EntryKey, generation: string, reason: Buffer): Promise<void> {
    const lease = this.#lease(entryKey)
    if (lease?.generation !== generation) return
    if (lease.followers > 0) this.#log(entryKey, generation).push({ type: 'failed', data: reason })
    this.#leases.delete(entryKeyId(entryKey))
    this.#tell(entryKey)
  }

  async void(tenant: string, pattern: string, model?: string): Promise<void> {
    const begin = entryKeyPrefix(tenant)
    const matches = globMatcher(pattern)
    for (const [id, lease] of this.#leases) {
      const isNamed = id.startsWith(begin) && matches(id.slice(begin.length))
      if (isNamed && (model === undefined || lease.model === model)) lease.isVoid = true
    }
  }

  async look(entryKey: EntryKey, generation: string, cursor: string): Promise<LogView> {
    const state = this.#lease(entryKey)?.generation === generation ? 'live' : 'gone'
    const all = this.#logs.get(logId(entryKey, generation)) ?? []
    const records = all.slice(Number(cursor))
    return { state, records, cursor: String(Number(cursor) + records.length) }
  }

  async watch(entryKey: EntryKey, onNews: () => void): Promise<() => void> {
    return join(this.#watchers, entryKeyId(entryKey), onNews)
  }

  notifyLeader(owner: string, entryKey: EntryKey): void {
    for (const listener of this.#notified.get(owner) ?? []) queueMicrotask(() => listener(entryKey))
  }

  async onNotified(owner: string, listener: (entryKey: EntryKey) => void): Promise<() => void> {
    return join(this.#notified, owner, listener)
  }

  #lease(entryKey: EntryKey): Lease | undefined {
    const lease = this.#leases.get(entryKeyId(entryKey))
    if (lease === undefined || lease.expiresAt > this.#clock.monotonic()) return lease
    this.#leases.delete(entryKeyId(entryKey))
    return undefined
  }

  #log(entryKey: EntryKey, generation: string): LogRecord[] {
    const id = logId(entryKey, generation)
    const known = this.#logs.get(id)
    if (known !== undefined) return known
    const [oldest] = this.#logs.keys()
    if (this.#logs.size >= maxLogs && oldest !== undefined) this.#logs.delete(oldest)
    const made: LogRecord[] = []
    this.#logs.set(id, made)
    return made
  }

  #tell(entryKey: EntryKey): void {
    for (const onNews of this.#watchers.get(entryKeyId(entryKey)) ?? []) queueMicrotask(onNews)
  }
}

function logId(entryKey: EntryKey, generation: string): string {
  return `${generation} ${entryKeyId(entryKey)}`
}

function join<T>(groups: Map<string, Set<T>>, name: string, member: T): () => void {
  const group = groups.get(name) ?? new Set<T>()
  groups.set(name, group.add(member))
  return () => {
    group.delete(member)
    if (group.size === 0 && groups.get(name) === group) groups.delete(name)
  }
}
