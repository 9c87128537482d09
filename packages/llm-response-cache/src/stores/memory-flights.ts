import { type Clock, systemClock } from '@evenkeel/core'
import type { Entry } from '../entry/entry.js'
import { placeId } from './entry-key.js'
import type { MemoryEntryStore } from './memory-entries.js'
import type {
  BeginOptions,
  CommitOutcome,
  FlightStore,
  LogRecord,
  LogView,
  Place,
  Role,
  WriteOptions,
} from './port.js'

interface Lease {
  readonly generation: string
  readonly owner: string
  expiresAt: number
  followers: number
}

/** Ended logs that are kept for those who still read them. */
const mostLogs = 1_000

/** Flights within one process: the port's meaning without Redis. */
export class MemoryFlightStore implements FlightStore {
  readonly #entries: MemoryEntryStore
  readonly #clock: Clock
  readonly #leases = new Map<string, Lease>()
  readonly #logs = new Map<string, LogRecord[]>()
  readonly #watchers = new Map<string, Set<() => void>>()
  readonly #summoned = new Map<string, Set<(place: Place) => void>>()

  constructor(entries: MemoryEntryStore, clock: Clock = systemClock) {
    this.#entries = entries
    this.#clock = clock
  }

  async begin(place: Place, options: BeginOptions): Promise<Role> {
    const { generation, owner, leaseMs, unlessId } = options
    const entry = this.#entries.held(place)?.entry
    if (entry !== undefined && entry.id !== unlessId) return { role: 'hit', entry }
    const lease = this.#lease(place)
    if (lease?.generation === generation) return { role: 'lead' }
    if (lease !== undefined) {
      lease.followers++
      return { role: 'follow', generation: lease.generation, owner: lease.owner }
    }
    this.#leases.set(placeId(place), {
      generation,
      owner,
      expiresAt: this.#clock.monotonic() + leaseMs,
      followers: 0,
    })
    return { role: 'lead' }
  }

  renew(place: Place, generation: string, leaseMs: number): Promise<number> {
    return this.append(place, generation, leaseMs, 0, [])
  }

  async append(
    place: Place,
    generation: string,
    leaseMs: number,
    from: number,
    records: readonly LogRecord[],
  ): Promise<number> {
    const lease = this.#lease(place)
    if (lease?.generation !== generation) return -1
    lease.expiresAt = this.#clock.monotonic() + leaseMs
    if (records.length > 0) {
      const known = this.#log(place, generation)
      known.push(...records.slice(known.length - from))
      this.#tell(place)
    }
    return lease.followers
  }

  async commit(
    place: Place,
    generation: string,
    entry: Entry | undefined,
    { ttlMs, admitWithinMs = 0, published }: WriteOptions & { readonly published: boolean },
  ): Promise<CommitOutcome> {
    const lease = this.#lease(place)
    if (lease?.generation !== generation) return 'fenced'
    const followed = lease.followers > 0
    const admitted = entry !== undefined && (followed || this.#entries.admits(place, admitWithinMs))
    if (followed && !admitted && !published) return 'publish'
    if (admitted) this.#entries.hold(place, entry, ttlMs)
    if (followed) {
      this.#log(place, generation).push({ type: 'end', data: Buffer.from(published ? '1' : '0') })
    }
    this.#leases.delete(placeId(place))
    this.#tell(place)
    return admitted ? 'kept' : 'released'
  }

  async fail(place: Place, generation: string, reason: Buffer): Promise<void> {
    const lease = this.#lease(place)
    if (lease?.generation !== generation) return
    if (lease.followers > 0) this.#log(place, generation).push({ type: 'failed', data: reason })
    this.#leases.delete(placeId(place))
    this.#tell(place)
  }

  async look(place: Place, generation: string, cursor: string): Promise<LogView> {
    const state = this.#lease(place)?.generation === generation ? 'live' : 'gone'
    const all = this.#logs.get(`${generation} ${placeId(place)}`) ?? []
    const records = all.slice(Number(cursor))
    return { state, records, cursor: String(Number(cursor) + records.length) }
  }

  async watch(place: Place, onNews: () => void): Promise<() => void> {
    return join(this.#watchers, placeId(place), onNews)
  }

  summon(owner: string, place: Place): void {
    for (const listener of this.#summoned.get(owner) ?? []) queueMicrotask(() => listener(place))
  }

  async onSummons(owner: string, listener: (place: Place) => void): Promise<() => void> {
    return join(this.#summoned, owner, listener)
  }

  #lease(place: Place): Lease | undefined {
    const lease = this.#leases.get(placeId(place))
    if (lease === undefined || lease.expiresAt > this.#clock.monotonic()) return lease
    this.#leases.delete(placeId(place))
    return undefined
  }

  #log(place: Place, generation: string): LogRecord[] {
    const id = `${generation} ${placeId(place)}`
    const known = this.#logs.get(id)
    if (known !== undefined) return known
    const [oldest] = this.#logs.keys()
    if (this.#logs.size >= mostLogs && oldest !== undefined) this.#logs.delete(oldest)
    const made: LogRecord[] = []
    this.#logs.set(id, made)
    return made
  }

  #tell(place: Place): void {
    for (const onNews of this.#watchers.get(placeId(place)) ?? []) queueMicrotask(onNews)
  }
}

function join<T>(groups: Map<string, Set<T>>, name: string, member: T): () => void {
  const group = groups.get(name) ?? new Set<T>()
  groups.set(name, group.add(member))
  return () => {
    group.delete(member)
    if (group.size === 0 && groups.get(name) === group) groups.delete(name)
  }
}
