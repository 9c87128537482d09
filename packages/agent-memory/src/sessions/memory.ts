import { ByteBoundedLru, type Clock, systemClock } from '@evenkeel/core/kit'
import {
  destroyedMs,
  type ListedSession,
  noBounds,
  type SessionBounds,
  type SessionPlace,
  type SessionRecord,
  type SessionStore,
  type SessionWrite,
  type SessionWritten,
} from './port.js'
import { byEnd } from './redis.js'

interface StoredSession extends SessionPlace {
  /** `undefined` once it was destroyed. */
  session: Omit<SessionRecord, 'leftMs'> | undefined
  readonly tokens: string[]
  /** The latest possible end, from `absoluteTtl`. */
  readonly ends: number
  endsAt: number
}

/** Sessions in this process, bounded: beyond the bound the least recently used ones are dropped. */
export class MemorySessionStore implements SessionStore {
  readonly #sessions: ByteBoundedLru<StoredSession>
  readonly #clock: Clock

  constructor({ maxSessions = 10_000, clock = systemClock }: { maxSessions?: number; clock?: Clock } = {}) {
    this.#clock = clock
    this.#sessions = new ByteBoundedLru({ maxEntries: maxSessions, sizeOf: bytesOf, clock })
  }

  get size(): number {
    return this.#sessions.size
  }

  async write(place: SessionPlace, write: SessionWrite): Promise<SessionWritten> {
    const { token, create, user, version, ttlMs, absoluteMs, bounds = noBounds } = write
    let stored = this.#sessions.get(keyOf(place))
    if (stored !== undefined && stored.session === undefined && create === 'anew') stored = undefined
    if (stored === undefined ? create === false : stored.session === undefined) return { status: 'gone' }
    const now = this.#clock.now()
    const known = stored?.session
    if (stored?.tokens.includes(token) && known) {
      return { status: 'done', version: known.version, leftMs: Math.max(1, stored.endsAt - now) }
    }
    if (version !== undefined && version !== (known?.version ?? 0)) {
      return { status: 'conflict', version: known?.version ?? 0 }
    }
    const fields = withWrites(known?.fields, write)
    if (isOver(fields, known?.fields, bounds)) return { status: 'full' }
    const isOther = user !== undefined && user !== known?.user
    const wrote = write.set.size + write.unset.length > 0 || fields.size !== (known?.fields.size ?? 0)
    const isChange = known === undefined || wrote || isOther
    const session = {
      version: (known?.version ?? 0) + (isChange ? 1 : 0),
      createdAt: known?.createdAt ?? now,
      user: user ?? known?.user,
      fields,
    }
    const ends = stored?.ends ?? now + (absoluteMs ?? Number.POSITIVE_INFINITY)
    const tokens = [...(stored?.tokens ?? []).slice(-15), ...(isChange ? [token] : [])]
    const leftMs = this.#keep({ ...place, session, tokens, ends, endsAt: 0 }, ttlMs)
    return { status: 'done', version: session.version, leftMs }
  }

  async read(place: SessionPlace, ttlMs: number | undefined): Promise<SessionRecord | undefined> {
    const stored = this.#sessions.get(keyOf(place))
    if (stored?.session === undefined) return undefined
    const now = this.#clock.now()
    if (ttlMs !== undefined) {
      const left = Math.max(1, Math.min(ttlMs, stored.ends - now))
      if (stored.endsAt - now < left * 0.9) this.#keep(stored, ttlMs)
    }
    return { ...stored.session, leftMs: stored.endsAt - now }
  }

  async rotate(from: SessionPlace, to: SessionPlace): Promise<boolean> {
    if (this.#sessions.get(keyOf(to))?.session !== undefined) return true
    const stored = this.#sessions.get(keyOf(from))
    if (stored?.session === undefined) return false
    this.#keep({ ...stored, ...to }, stored.endsAt - this.#clock.now())
    await this.destroy([from])
    return true
  }

  async destroy(places: readonly SessionPlace[]): Promise<number> {
    let destroyed = 0
    for (const place of places) {
      if (this.#sessions.get(keyOf(place))?.session !== undefined) destroyed++
      const note: StoredSession = { ...place, session: undefined, tokens: [], ends: 0, endsAt: 0 }
      this.#sessions.set(keyOf(place), note, destroyedMs)
    }
    return destroyed
  }

  async list(user: string): Promise<readonly ListedSession[]> {
    const now = this.#clock.now()
    return [...this.#sessions.entries()]
      .map(([, stored]) => stored)
      .filter(({ session }) => session?.user === user)
      .map(({ group, name, endsAt }) => ({ group, name, leftMs: endsAt - now }))
      .sort(byEnd)
  }

  clear(): void {
    this.#sessions.clear()
  }

  #keep(stored: StoredSession, ttlMs: number): number {
    const now = this.#clock.now()
    const left = Math.max(1, Math.min(ttlMs, stored.ends - now))
    stored.endsAt = now + left
    this.#sessions.set(keyOf(stored), stored, left)
    return left
  }
}

/** The fields after a write. */
export function withWrites(
  known: ReadonlyMap<string, string> | undefined,
  { set, unset, replaces }: Pick<SessionWrite, 'set' | 'unset' | 'replaces'>,
): ReadonlyMap<string, string> {
  if (replaces === true) return new Map(set)
  const fields = new Map(known)
  for (const name of unset) fields.delete(name)
  for (const [name, json] of set) fields.set(name, json)
  return fields
}

function isOver(
  fields: ReadonlyMap<string, string>,
  before: ReadonlyMap<string, string> | undefined,
  bounds: SessionBounds,
): boolean {
  const [bytes, bytesBefore] = [sizeOf(fields), before === undefined ? 0 : sizeOf(before)]
  const isMore = fields.size > (before?.size ?? 0)
  return (isMore && fields.size > bounds.fields) || (bytes > bounds.bytes && bytes > bytesBefore)
}

/** Bytes of names and values, counted as in Redis. */
function sizeOf(fields: ReadonlyMap<string, string>): number {
  let bytes = 0
  for (const [name, json] of fields) bytes += encodeURIComponent(name).length + 1 + Buffer.byteLength(json)
  return bytes
}

function keyOf({ group, name }: SessionPlace): string {
  return `${group} ${name}`
}

function bytesOf({ session }: StoredSession): number {
  return 200 + (session === undefined ? 0 : 2 * sizeOf(session.fields))
}
