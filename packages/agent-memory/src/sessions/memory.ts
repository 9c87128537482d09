import { ByteBoundedLru, type Clock, systemClock } from '@evenkeel/core/kit'
import {
  destroyedMs,
  type ListedSession,
  type SessionPlace,
  type SessionRecord,
  type SessionStore,
  type SessionWrite,
  type SessionWritten,
} from './port.js'

interface Held extends SessionPlace {
  /** `undefined` once it was destroyed. */
  session: SessionRecord | undefined
  readonly tokens: string[]
  /** The end for good. */
  readonly ends: number
  endsAt: number
}

/** Sessions in this process, bounded: beyond it the least recently used are forgotten. */
export class MemorySessionStore implements SessionStore {
  readonly #sessions: ByteBoundedLru<Held>
  readonly #clock: Clock

  constructor({ maxSessions = 10_000, clock = systemClock }: { maxSessions?: number; clock?: Clock } = {}) {
    this.#clock = clock
    this.#sessions = new ByteBoundedLru({ maxEntries: maxSessions, sizeOf: bytesOf, clock })
  }

  get size(): number {
    return this.#sessions.size
  }

  async write(place: SessionPlace, write: SessionWrite): Promise<SessionWritten> {
    const { token, set, unset, create, user, version, ttlMs, absoluteMs } = write
    const held = this.#sessions.get(keyOf(place))
    if (held === undefined ? !create : held.session === undefined) return { status: 'gone' }
    const now = this.#clock.now()
    const known = held?.session
    if (held?.tokens.includes(token) && known) return { status: 'done', version: known.version }
    if (version !== undefined && version !== (known?.version ?? 0)) {
      return { status: 'conflict', version: known?.version ?? 0 }
    }
    const fields = new Map(known?.fields)
    for (const name of unset) fields.delete(name)
    for (const [name, json] of set) fields.set(name, json)
    const isChange = known === undefined || set.size + unset.length > 0
    const session: SessionRecord = {
      version: (known?.version ?? 0) + (isChange ? 1 : 0),
      createdAt: known?.createdAt ?? now,
      user: known === undefined ? user : known.user,
      fields,
    }
    const ends = held?.ends ?? now + (absoluteMs ?? Number.POSITIVE_INFINITY)
    const tokens = [...(held?.tokens ?? []).slice(-15), ...(isChange ? [token] : [])]
    this.#keep({ ...place, session, tokens, ends, endsAt: 0 }, ttlMs)
    return { status: 'done', version: session.version }
  }

  async read(place: SessionPlace, ttlMs: number | undefined): Promise<SessionRecord | undefined> {
    const held = this.#sessions.get(keyOf(place))
    if (held?.session !== undefined && ttlMs !== undefined) {
      const left = Math.max(1, Math.min(ttlMs, held.ends - this.#clock.now()))
      if (held.endsAt - this.#clock.now() < left * 0.9) this.#keep(held, ttlMs)
    }
    return held?.session
  }

  async rotate(from: SessionPlace, to: SessionPlace): Promise<boolean> {
    if (this.#sessions.get(keyOf(to))?.session !== undefined) return true
    const held = this.#sessions.get(keyOf(from))
    if (held?.session === undefined) return false
    this.#keep({ ...held, ...to }, held.endsAt - this.#clock.now())
    await this.destroy(from.group, [from.name])
    return true
  }

  async destroy(group: string, names: readonly string[]): Promise<number> {
    let destroyed = 0
    for (const name of names) {
      const key = keyOf({ group, name })
      if (this.#sessions.get(key)?.session !== undefined) destroyed++
      const note: Held = { group, name, session: undefined, tokens: [], ends: 0, endsAt: 0 }
      this.#sessions.set(key, note, destroyedMs)
    }
    return destroyed
  }

  async list(group: string): Promise<readonly ListedSession[]> {
    return [...this.#sessions.entries()]
      .map(([, held]) => held)
      .filter((held) => held.group === group && held.session?.user !== undefined)
      .map(({ name, endsAt }) => ({ name, endsAt }))
      .sort((one, other) => other.endsAt - one.endsAt || (one.name < other.name ? 1 : -1))
  }

  #keep(held: Held, ttlMs: number): void {
    const now = this.#clock.now()
    const left = Math.max(1, Math.min(ttlMs, held.ends - now))
    held.endsAt = now + left
    this.#sessions.set(keyOf(held), held, left)
  }
}

function keyOf({ group, name }: SessionPlace): string {
  return `${group} ${name}`
}

function bytesOf({ session }: Held): number {
  let bytes = 200
  for (const [name, json] of session?.fields ?? []) bytes += 2 * (name.length + json.length)
  return bytes
}
