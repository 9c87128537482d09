import { UnavailableError } from '@evenkeel/core'
import { ByteBoundedLru, type Clock } from '@evenkeel/core/kit'
import { MemorySessionStore } from './memory.js'
import type {
  ListedSession,
  SessionPlace,
  SessionRecord,
  SessionStore,
  SessionWrite,
  SessionWritten,
} from './port.js'

interface Seen {
  readonly record: SessionRecord
  /** On the monotonic clock. */
  readonly at: number
}

type Pending =
  | { readonly kind: 'write'; readonly place: SessionPlace; readonly write: SessionWrite }
  | { readonly kind: 'destroy'; readonly group: string; readonly names: readonly string[] }

/** Notes what is read and written in Redis, for {@link OutageSessions}. */
export class SeenSessions implements SessionStore {
  readonly seen: ByteBoundedLru<Seen>

  constructor(
    private readonly store: SessionStore,
    private readonly clock: Clock,
    maxSessions: number,
  ) {
    this.seen = new ByteBoundedLru({ maxEntries: maxSessions, sizeOf: ({ record }) => sizeOf(record), clock })
  }

  async write(place: SessionPlace, write: SessionWrite): Promise<SessionWritten> {
    const written = await this.store.write(place, write)
    const known = this.seen.get(textOf(place))?.record
    if (written.status !== 'done') this.seen.delete(textOf(place))
    else if (known !== undefined || write.create) this.#note(place, withWrite(known, write, this.clock.now()))
    return written
  }

  async read(place: SessionPlace, ttlMs: number | undefined): Promise<SessionRecord | undefined> {
    const record = await this.store.read(place, ttlMs)
    if (record === undefined) this.seen.delete(textOf(place))
    else this.#note(place, record)
    return record
  }

  async rotate(from: SessionPlace, to: SessionPlace): Promise<boolean> {
    this.seen.delete(textOf(from))
    return this.store.rotate(from, to)
  }

  async destroy(group: string, names: readonly string[]): Promise<number> {
    for (const name of names) this.seen.delete(textOf({ group, name }))
    return this.store.destroy(group, names)
  }

  list(group: string): Promise<readonly ListedSession[]> {
    return this.store.list(group)
  }

  #note(place: SessionPlace, record: SessionRecord): void {
    this.seen.set(textOf(place), { record, at: this.clock.monotonic() })
  }
}

/**
 * Sessions while Redis is away: one that was seen here lately is good for a while longer, a new one is good
 * at once, and what is written is sent to Redis when it is back. One that was never seen here can't be judged.
 */
export class OutageSessions implements SessionStore {
  readonly #known: SeenSessions
  readonly #own: MemorySessionStore
  readonly #clock: Clock
  readonly #graceMs: number
  readonly #mostPending: number
  #pending: Pending[] = []

  constructor(known: SeenSessions, options: { clock: Clock; graceMs: number; maxSessions: number }) {
    this.#known = known
    this.#clock = options.clock
    this.#graceMs = options.graceMs
    this.#mostPending = options.maxSessions
    this.#own = new MemorySessionStore(options)
  }

  get pending(): number {
    return this.#pending.length
  }

  async write(place: SessionPlace, write: SessionWrite): Promise<SessionWritten> {
    if (write.version !== undefined) throw unavailable('the version of a session can not be checked here')
    await this.#takeOver(place, write.ttlMs, write.create)
    const written = await this.#own.write(place, write)
    if (written.status === 'done') this.#add({ kind: 'write', place, write })
    return written
  }

  async read(place: SessionPlace, ttlMs: number | undefined): Promise<SessionRecord | undefined> {
    await this.#takeOver(place, ttlMs ?? this.#graceMs, false)
    return this.#own.read(place, undefined)
  }

  async rotate(): Promise<boolean> {
    throw unavailable('a session can not be given another id')
  }

  async destroy(group: string, names: readonly string[]): Promise<number> {
    for (const name of names) await this.#takeOver({ group, name }, this.#graceMs, true)
    this.#add({ kind: 'destroy', group, names })
    return this.#own.destroy(group, names)
  }

  async list(): Promise<readonly ListedSession[]> {
    throw unavailable('sessions can not be listed')
  }

  /** Sends what was written here, in order. Each may be sent again. */
  async replay(store: SessionStore, signal: AbortSignal, handOver: () => void): Promise<void> {
    for (let next = this.#pending[0]; next !== undefined; next = this.#pending[0]) {
      signal.throwIfAborted()
      if (next.kind === 'write') await store.write(next.place, next.write)
      else await store.destroy(next.group, next.names)
      if (this.#pending[0] === next) this.#pending.shift()
    }
    handOver()
  }

  /** What Redis said of a session before it went away. */
  async #takeOver(place: SessionPlace, ttlMs: number, create: boolean): Promise<void> {
    const own = await this.#own.read(place, undefined)
    if (own !== undefined || this.#isDestroyed(place)) return
    const seen = this.#known.seen.get(textOf(place))
    if (seen !== undefined && seen.at > this.#clock.monotonic() - this.#graceMs) {
      const { user, fields } = seen.record
      const write = { token: '', set: fields, unset: [], create: true, user, version: undefined }
      await this.#own.write(place, { ...write, ttlMs, absoluteMs: undefined })
    } else if (!create) throw unavailable('this session was not seen here lately')
  }

  #isDestroyed({ group, name }: SessionPlace): boolean {
    return this.#pending.some(
      (one) => one.kind === 'destroy' && one.group === group && one.names.includes(name),
    )
  }

  #add(pending: Pending): void {
    if (this.#pending.length >= this.#mostPending) throw unavailable('as many writes wait as may')
    this.#pending.push(pending)
  }
}

function withWrite(
  known: SessionRecord | undefined,
  { set, unset, user }: SessionWrite,
  now: number,
): SessionRecord {
  const fields = new Map(known?.fields)
  for (const name of unset) fields.delete(name)
  for (const [name, json] of set) fields.set(name, json)
  const { version = 0, createdAt = now } = known ?? {}
  return { version: version + 1, createdAt, user: known === undefined ? user : known.user, fields }
}

function textOf({ group, name }: SessionPlace): string {
  return `${group} ${name}`
}

function sizeOf({ fields }: SessionRecord): number {
  let bytes = 200
  for (const [name, json] of fields) bytes += 2 * (name.length + json.length)
  return bytes
}

function unavailable(why: string): UnavailableError {
  return new UnavailableError('CONNECTION_DOWN', `Redis is away, and ${why}`, 'not-sent')
}
