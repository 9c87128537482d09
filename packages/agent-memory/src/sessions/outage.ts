import { type RecoverContext, UnavailableError } from '@evenkeel/core'
import { ByteBoundedLru, type Clock } from '@evenkeel/core/kit'
import { MemorySessionStore, withWrites } from './memory.js'
import type {
  ListedSession,
  SessionPlace,
  SessionRecord,
  SessionStore,
  SessionWrite,
  SessionWritten,
} from './port.js'

interface SeenSession {
  readonly record: SessionRecord
  /** On the monotonic clock. */
  readonly at: number
}

type Pending =
  | { readonly kind: 'write'; readonly place: SessionPlace; readonly write: SessionWrite }
  | { readonly kind: 'destroy'; readonly places: readonly SessionPlace[] }

/** Remembers what is read and written in Redis, for {@link OutageSessions}. */
export class SeenSessions implements SessionStore {
  readonly seen: ByteBoundedLru<SeenSession>

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
    if (written.status === 'gone') this.seen.delete(textOf(place))
    else if (written.status === 'done' && (known !== undefined || write.create !== false)) {
      const { version, leftMs } = written
      const { createdAt = this.clock.now(), user } = known ?? {}
      const fields = withWrites(known?.fields, write)
      this.#note(place, { version, createdAt, user: write.user ?? user, fields, leftMs })
    }
    return written
  }

  async read(place: SessionPlace, ttlMs: number | undefined): Promise<SessionRecord | undefined> {
    const record = await this.store.read(place, ttlMs)
    if (record === undefined) this.seen.delete(textOf(place))
    else this.#note(place, record)
    return record
  }

  async rotate(from: SessionPlace, to: SessionPlace): Promise<boolean> {
    const rotated = await this.store.rotate(from, to)
    this.seen.delete(textOf(from))
    return rotated
  }

  async destroy(places: readonly SessionPlace[]): Promise<number> {
    for (const place of places) this.seen.delete(textOf(place))
    return this.store.destroy(places)
  }

  list(user: string): Promise<readonly ListedSession[]> {
    return this.store.list(user)
  }

  #note(place: SessionPlace, record: SessionRecord): void {
    this.seen.set(textOf(place), { record, at: this.clock.monotonic() }, record.leftMs)
  }
}

/**
 * Sessions in an outage. A session that this process saw in Redis lately is valid until the grace is over or it ends; a
 * new one is valid at once. Writes are sent to Redis when it is back. Whether a session that this process has not seen
 * is valid is unknown. After the outage, only Redis counts.
 */
export class OutageSessions implements SessionStore {
  readonly #known: SeenSessions
  readonly #own: MemorySessionStore
  readonly #clock: Clock
  readonly #graceMs: number
  readonly #maxPending: number
  #pending: Pending[] = []
  /** Until when sessions from before the outage are valid, on the monotonic clock. */
  readonly #goodUntil = new Map<string, number>()
  readonly #destroyed = new Set<string>()

  constructor(known: SeenSessions, options: { clock: Clock; graceMs: number; maxSessions: number }) {
    this.#known = known
    this.#clock = options.clock
    this.#graceMs = options.graceMs
    this.#maxPending = options.maxSessions
    this.#own = new MemorySessionStore(options)
  }

  get pending(): number {
    return this.#pending.length
  }

  async write(place: SessionPlace, write: SessionWrite): Promise<SessionWritten> {
    if (write.version !== undefined) throw unavailable('the version of a session can not be checked here')
    await this.#takeOver(place, write.create !== false)
    const written = await this.#own.write(place, write)
    if (write.create === 'anew' && written.status === 'done') this.#destroyed.delete(textOf(place))
    if (written.status === 'done') this.#add({ kind: 'write', place, write })
    return written
  }

  async read(place: SessionPlace): Promise<SessionRecord | undefined> {
    await this.#takeOver(place, false)
    return this.#own.read(place, undefined)
  }

  async rotate(): Promise<boolean> {
    throw unavailable('a session can not be given another id')
  }

  async destroy(places: readonly SessionPlace[]): Promise<number> {
    for (const place of places) await this.#takeOver(place, true)
    this.#add({ kind: 'destroy', places })
    for (const place of places) {
      this.#destroyed.add(textOf(place))
      this.#known.seen.delete(textOf(place))
    }
    return this.#own.destroy(places)
  }

  async list(): Promise<readonly ListedSession[]> {
    throw unavailable('sessions can not be listed')
  }

  /** Sends the writes of the outage, in order. Each may be sent again. */
  async replay({ primary, signal, progress, handOver }: RecoverContext<SessionStore>): Promise<void> {
    for (let next = this.#pending[0]; next !== undefined; next = this.#pending[0]) {
      signal.throwIfAborted()
      if (next.kind === 'write') await primary.write(next.place, next.write)
      else await primary.destroy(next.places)
      if (this.#pending[0] === next) this.#pending.shift()
      progress()
    }
    handOver()
    this.#own.clear()
    this.#goodUntil.clear()
    this.#destroyed.clear()
  }

  /** Takes over what Redis had of a session before the outage, while that is still trusted. */
  async #takeOver(place: SessionPlace, create: boolean): Promise<void> {
    const key = textOf(place)
    if (this.#destroyed.has(key)) return
    const until = this.#goodUntil.get(key)
    const now = this.#clock.monotonic()
    if (until !== undefined ? now < until : (await this.#own.read(place, undefined)) !== undefined) return
    const seen = until === undefined ? this.#known.seen.peek(key) : undefined
    const graceMs = this.#graceMs
    if (seen !== undefined && seen.at + graceMs > now) {
      const { user, fields, leftMs } = seen.record
      const endsMs = seen.at + Math.min(graceMs, leftMs) - now
      const write = { token: '', set: fields, unset: [], create: true, user, version: undefined }
      await this.#own.write(place, { ...write, ttlMs: Math.max(1, endsMs), absoluteMs: Math.max(1, endsMs) })
      this.#goodUntil.set(key, now + endsMs)
    } else if (!create || until !== undefined) throw unavailable('this session was not seen here lately')
  }

  #add(pending: Pending): void {
    if (this.#pending.length >= this.#maxPending) throw unavailable('as many writes wait as may')
    this.#pending.push(pending)
  }
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
