import { createHash, randomBytes } from 'node:crypto'
import { type Connection, type Failover, failover, InvalidInputError, type Source } from '@evenkeel/core'
import {
  type Clock,
  checkSubject,
  type Duration,
  durationMs,
  systemClock,
  wholeNumber,
} from '@evenkeel/core/kit'
import { VersionConflictError } from '../errors.js'
import { newId } from '../messages/ids.js'
import { toJson } from '../messages/json.js'
import { MemorySessionStore } from './memory.js'
import { OutageSessions, SeenSessions } from './outage.js'
import type { SessionPlace, SessionStore } from './port.js'
import { RedisSessionStore } from './redis.js'

export interface SessionsOptions {
  /** Where sessions live; left out, they live in this process alone. */
  readonly redis?: Connection | undefined
  /** How long a session lives after it was last used. @default '24h' */
  readonly ttl?: Duration | undefined
  /** How long it lives at most, however it is used. @default no bound */
  readonly absoluteTtl?: Duration | undefined
  /** How long a session that was seen here is good while Redis is away. @default '5m' */
  readonly grace?: Duration | undefined
  /** Sessions that this process keeps: for outages, and without `redis` all there are. @default 10_000 */
  readonly maxSessions?: number | undefined
  readonly clock?: Clock | undefined
}

export type SessionData = { readonly [field: string]: unknown }

export interface Session {
  /** Secret: whoever has it is the user. Redis holds a hash of it. */
  readonly id: string
  readonly user: string | undefined
  readonly data: SessionData
  /** Rises with each write. */
  readonly version: number
  /** ms since 1970. */
  readonly createdAt: number
  readonly source: Source
}

export interface SessionWriteOptions {
  /** Writes only if the session has this version. @throws VersionConflictError */
  readonly ifVersion?: number | undefined
  /** @default that of all sessions */
  readonly ttl?: Duration | undefined
  /** Makes the session when there is none, unless it was destroyed. @default false */
  readonly create?: boolean | undefined
}

/** A session in a list: told without its id, which is secret. */
export interface ListedSession {
  readonly handle: string
  /** When it ends unless it is used, ms since 1970. */
  readonly endsAt: number
}

/**
 * Sessions of a web or agent application, 24 hours long. Two requests that change different fields of one
 * session both keep their change, and a request that outlives a logout does not undo it.
 */
export interface Sessions {
  create(data?: SessionData, options?: { readonly user?: string | undefined }): Promise<Session>
  /** Reads, and prolongs. One round trip. @throws UnavailableError in an outage, when it was not seen here lately */
  get(id: string): Promise<Session | undefined>
  /**
   * Writes the given fields and no others; `undefined` removes one. Says the new version, or `undefined` when
   * there is no such session any more. One round trip.
   */
  patch(id: string, fields: SessionData, options?: SessionWriteOptions): Promise<number | undefined>
  /** Prolongs; says whether it is there. One round trip. */
  touch(id: string, options?: { readonly ttl?: Duration | undefined }): Promise<boolean>
  /** Another id for the same session, as one should give at every login. Not possible in an outage. */
  rotate(id: string): Promise<string | undefined>
  /** Says whether it was there, as far as is known. One round trip. */
  destroy(id: string): Promise<boolean>
  /** A user's sessions. Not possible in an outage. */
  list(user: string): Promise<readonly ListedSession[]>
  /** Destroys the session of a handle of {@link list}. */
  revoke(user: string, handle: string): Promise<boolean>
  /** Destroys all sessions of a user but `except`; says how many. */
  revokeAll(user: string, options?: { readonly except?: string | undefined }): Promise<number>
  close(): void
}

export function createSessions(options: SessionsOptions = {}): Sessions {
  return new SessionHandles(options)
}

class SessionHandles implements Sessions {
  readonly #stores: Failover<SessionStore>
  readonly #ttlMs: number
  readonly #absoluteMs: number | undefined

  constructor(options: SessionsOptions) {
    const { redis, absoluteTtl, clock = systemClock } = options
    this.#ttlMs = durationMs('ttl', options.ttl ?? '24h', { minMs: 1_000 })
    this.#absoluteMs = absoluteTtl === undefined ? undefined : durationMs('absoluteTtl', absoluteTtl)
    const maxSessions = wholeNumber('maxSessions', options.maxSessions ?? 10_000)
    const graceMs = durationMs('grace', options.grace ?? '5m')
    const seen = redis && new SeenSessions(new RedisSessionStore(redis), clock, maxSessions)
    const outage = seen && new OutageSessions(seen, { clock, graceMs, maxSessions })
    this.#stores = failover<SessionStore>(redis, {
      name: 'agent-memory.sessions',
      durability: 'durable',
      primary: seen,
      fallback: outage ?? new MemorySessionStore({ maxSessions, clock }),
      recover: async ({ primary, signal, handOver }) => outage?.replay(primary, signal, handOver),
    })
  }

  async create(data: SessionData = {}, { user }: { user?: string | undefined } = {}): Promise<Session> {
    if (user !== undefined) checkSubject('user', user)
    const id = `${groupOf(user)}.${randomBytes(32).toString('base64url')}`
    const version = await this.#write(id, data, { create: true, user })
    const session = await this.get(id)
    if (version === undefined || session === undefined) throw new TypeError('A new session was not kept')
    return session
  }

  async get(id: string): Promise<Session | undefined> {
    const place = placeOf(id)
    const { value, source } = await this.#stores.run((store) => store.read(place, this.#ttlMs))
    if (value === undefined) return undefined
    const { version, createdAt, user, fields } = value
    const data = Object.fromEntries([...fields].map(([name, json]) => [name, JSON.parse(json)]))
    return { id, user, data, version, createdAt, source }
  }

  patch(id: string, fields: SessionData, options: SessionWriteOptions = {}): Promise<number | undefined> {
    return this.#write(id, fields, options)
  }

  async touch(id: string, { ttl }: { ttl?: Duration | undefined } = {}): Promise<boolean> {
    return (await this.#write(id, {}, { ttl })) !== undefined
  }

  async rotate(id: string): Promise<string | undefined> {
    const next = `${placeOf(id).group}.${randomBytes(32).toString('base64url')}`
    const { value } = await this.#stores.run((store) => store.rotate(placeOf(id), placeOf(next)))
    return value ? next : undefined
  }

  async destroy(id: string): Promise<boolean> {
    const { group, name } = placeOf(id)
    return (await this.#stores.run((store) => store.destroy(group, [name]))).value > 0
  }

  async list(user: string): Promise<readonly ListedSession[]> {
    const group = groupOf(checkSubject('user', user))
    const { value } = await this.#stores.run((store) => store.list(group))
    return value.map(({ name, endsAt }) => ({ handle: name, endsAt }))
  }

  async revoke(user: string, handle: string): Promise<boolean> {
    const group = groupOf(checkSubject('user', user))
    checkSubject('handle', handle, 100)
    return (await this.#stores.run((store) => store.destroy(group, [handle]))).value > 0
  }

  async revokeAll(user: string, { except }: { except?: string | undefined } = {}): Promise<number> {
    const group = groupOf(checkSubject('user', user))
    const kept = except === undefined ? undefined : placeOf(except).name
    let revoked = 0
    for (;;) {
      const listed = (await this.#stores.run((store) => store.list(group))).value
      const names = listed.map(({ name }) => name).filter((name) => name !== kept)
      if (names.length === 0) return revoked
      revoked += (await this.#stores.run((store) => store.destroy(group, names))).value
    }
  }

  close(): void {
    this.#stores.close()
  }

  async #write(
    id: string,
    data: SessionData,
    options: SessionWriteOptions & { readonly user?: string | undefined },
  ): Promise<number | undefined> {
    const { create = false, user, ifVersion, ttl } = options
    const set = new Map<string, string>()
    const unset: string[] = []
    for (const [name, value] of Object.entries(data)) {
      if (value === undefined) unset.push(checkSubject('field', name, 256))
      else set.set(checkSubject('field', name, 256), toJson(name, value))
    }
    const write = {
      token: newId(),
      set,
      unset,
      create,
      user,
      version: ifVersion,
      ttlMs: ttl === undefined ? this.#ttlMs : durationMs('ttl', ttl),
      absoluteMs: this.#absoluteMs,
    }
    const { value } = await this.#stores.run((store) => store.write(placeOf(id), write))
    if (value.status === 'conflict') throw new VersionConflictError('The session', value.version)
    return value.status === 'gone' ? undefined : value.version
  }
}

/** An id of ours names its user's group; one of another maker is a group of its own. */
function placeOf(id: string): SessionPlace {
  if (typeof id !== 'string' || id === '' || id.length > 512 || !id.isWellFormed()) {
    throw new InvalidInputError('id', 'the id of a session', id)
  }
  const [, group] = /^([\w-]{22})\.[\w-]{43}$/.exec(id) ?? []
  const name = createHash('sha256').update(id).digest('base64url')
  return { group: group ?? name.slice(0, 22), name }
}

function groupOf(user: string | undefined): string {
  if (user === undefined) return newId()
  return createHash('sha256').update(`user ${user}`).digest('base64url').slice(0, 22)
}
