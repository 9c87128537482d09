import { createHash, randomBytes } from 'node:crypto'
import {
  type Connection,
  type Failover,
  type FailoverState,
  failover,
  InvalidInputError,
  type Source,
  type TelemetryOptions,
} from '@evenkeel/core'
import {
  type Clock,
  checkSubject,
  createSpans,
  type Duration,
  durationMs,
  option,
  resolveTelemetry,
  systemClock,
  traceMethods,
  wholeNumber,
} from '@evenkeel/core/kit'
import { SessionTooLargeError, VersionConflictError } from '../errors.js'
import { newId } from '../messages/ids.js'
import { fromJson, toJson } from '../messages/json.js'
import { ttlOption } from '../options.js'
import { MemorySessionStore } from './memory.js'
import { OutageSessions, SeenSessions } from './outage.js'
import type { SessionBounds, SessionPlace, SessionStore } from './port.js'
import { RedisSessionStore } from './redis.js'

export interface SessionsOptions {
  /** Connection to the Redis that stores the sessions. Without it, sessions live only in this process. */
  readonly redis?: Connection | undefined
  /** Time to live after the last use. @default CACHE_TTL_SESSIONS of the environment in seconds, else '24h' */
  readonly ttl?: Duration | undefined
  /** Maximum lifetime of a session, however often it is used. @default no bound */
  readonly absoluteTtl?: Duration | undefined
  /** How long a session stays valid while Redis is away, after this process last saw it there. @default '5m' */
  readonly grace?: Duration | undefined
  /** Sessions that this process keeps in memory: for outages and, without `redis`, all of them. @default 10_000 */
  readonly maxSessions?: number | undefined
  /** Maximum number of fields in a session. @default 1_000 */
  readonly maxFields?: number | undefined
  /** Maximum size of a session's field names and values, as JSON. @default 1 MiB */
  readonly maxBytes?: number | undefined
  readonly clock?: Clock | undefined
  /** With `spans: true`, one span for each call. Sessions have no metrics. @default no spans */
  readonly telemetry?: boolean | TelemetryOptions | undefined
}

export type SessionData = { readonly [field: string]: unknown }

export interface Session {
  /** Secret: whoever has the id acts as the user. Redis stores only a hash of it. */
  readonly id: string
  readonly user: string | undefined
  readonly data: SessionData
  /** Rises with each write of the session. */
  readonly version: number
  /** When the session was created, in ms since 1970. */
  readonly createdAt: number
  readonly source: Source
}

export interface SessionWriteOptions {
  /** Writes only if the session has this version. @throws VersionConflictError */
  readonly ifVersion?: number | undefined
  /** How long the session lives after this write. @default that of all sessions */
  readonly ttl?: Duration | undefined
  /** Creates the session if it does not exist; `anew` does so even if it was destroyed. @default false */
  readonly create?: boolean | 'anew' | undefined
  /** Makes the session this user's, as after a login. @default it stays */
  readonly user?: string | undefined
  /** Removes all fields that are not given. @default false */
  readonly replace?: boolean | undefined
}

export interface SessionReadOptions {
  /** Prolongs the session. @default true */
  readonly touch?: boolean | undefined
}

/** A session in a list, without its id, which is secret. */
export interface ListedSession {
  readonly handle: string
  /** When the session ends unless it is used, in ms since 1970. */
  readonly endsAt: number
}

/**
 * Sessions of a web or agent application. If two requests change different fields of one session, both changes are
 * kept, and a request that is still running after a logout does not restore the session.
 */
export interface Sessions {
  create(data?: SessionData, options?: { readonly user?: string | undefined }): Promise<Session>
  /** Reads and prolongs. One round trip. @throws UnavailableError in an outage, if it was not seen here lately */
  get(id: string, options?: SessionReadOptions): Promise<Session | undefined>
  /**
   * Writes only the given fields; `undefined` removes a field. Returns the new version, or `undefined` if the session
   * no longer exists. One round trip, two with a `user`. @throws SessionTooLargeError
   */
  patch(id: string, fields: SessionData, options?: SessionWriteOptions): Promise<number | undefined>
  /** Prolongs a session. Returns whether it exists. One round trip. */
  touch(id: string, options?: { readonly ttl?: Duration | undefined }): Promise<boolean>
  /** Gives a session a new id, as advised at every login. Two or three round trips. Not possible in an outage. */
  rotate(id: string): Promise<string | undefined>
  /** Destroys a session. Returns whether it existed, as far as known. One round trip. */
  destroy(id: string): Promise<boolean>
  /** Lists a user's sessions, the one that ends last first. Not possible in an outage. */
  list(user: string): Promise<readonly ListedSession[]>
  /** Destroys the session that has this handle in {@link list}. */
  revoke(user: string, handle: string): Promise<boolean>
  /** Destroys all sessions of a user except `except`. Returns how many there were. */
  revokeAll(user: string, options?: { readonly except?: string | undefined }): Promise<number>
  readonly state: FailoverState
  /** Stops background work; the connection stays open. May be called again. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

export function createSessions(options: SessionsOptions = {}): Sessions {
  return new SessionHandles(options)
}

class SessionHandles implements Sessions {
  readonly #stores: Failover<SessionStore>
  readonly #ttlMs: number
  readonly #absoluteMs: number | undefined
  readonly #bounds: SessionBounds

  constructor(options: SessionsOptions) {
    option.members('', options, optionNames)
    const { redis, absoluteTtl, clock = systemClock } = options
    this.#ttlMs = ttlOption(options.ttl, { variable: 'CACHE_TTL_SESSIONS', otherwise: '24h' })
    this.#absoluteMs =
      absoluteTtl === undefined ? undefined : durationMs('absoluteTtl', absoluteTtl, { minMs: 1 })
    this.#bounds = {
      fields: wholeNumber('maxFields', options.maxFields ?? 1_000),
      bytes: wholeNumber('maxBytes', options.maxBytes ?? 1 << 20),
    }
    const maxSessions = wholeNumber('maxSessions', options.maxSessions ?? 10_000)
    const graceMs = durationMs('grace', options.grace ?? '5m')
    const seen = redis && new SeenSessions(new RedisSessionStore(redis), clock, maxSessions)
    const outage = seen && new OutageSessions(seen, { clock, graceMs, maxSessions })
    this.#stores = failover<SessionStore>(redis, {
      name: 'agent-memory.sessions',
      durability: 'durable',
      primary: seen,
      fallback: outage ?? new MemorySessionStore({ maxSessions, clock }),
      recover: async (context) => outage?.replay(context),
    })
    const spans = createSpans('@evenkeel/agent-memory', resolveTelemetry(options.telemetry ?? false))
    traceMethods(spans, this as Sessions, tracedMethods)
  }

  get state(): FailoverState {
    return this.#stores.state
  }

  async create(data: SessionData = {}, { user }: { user?: string | undefined } = {}): Promise<Session> {
    if (user !== undefined) checkSubject('user', user)
    const id = `${newId()}.${randomBytes(32).toString('base64url')}`
    const version = await this.#write(id, data, { create: true, user })
    const session = await this.get(id)
    if (version === undefined || session === undefined) throw new TypeError('A new session was not kept')
    return session
  }

  async get(id: string, { touch = true }: SessionReadOptions = {}): Promise<Session | undefined> {
    const place = placeOf(id)
    const ttlMs = touch ? this.#ttlMs : undefined
    const { value, source } = await this.#stores.run((store) => store.read(place, ttlMs))
    if (value === undefined) return undefined
    const { version, createdAt, user, fields } = value
    const data = Object.fromEntries([...fields].map(([name, json]) => [name, fromJson(json)]))
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
    return this.#destroy([placeOf(id)]).then((destroyed) => destroyed > 0)
  }

  async list(user: string): Promise<readonly ListedSession[]> {
    const now = Date.now()
    const listed = await this.#list(user)
    return listed.map(({ group, name, leftMs }) => ({ handle: `${group}.${name}`, endsAt: now + leftMs }))
  }

  async revoke(user: string, handle: string): Promise<boolean> {
    checkSubject('handle', handle, 200)
    const own = (await this.#list(user)).filter(({ group, name }) => handle === `${group}.${name}`)
    return (await this.#destroy(own)) > 0
  }

  async revokeAll(user: string, { except }: { except?: string | undefined } = {}): Promise<number> {
    const kept = except === undefined ? undefined : placeOf(except).name
    return this.#destroy((await this.#list(user)).filter(({ name }) => name !== kept))
  }

  async close(): Promise<void> {
    this.#stores.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #list(user: string) {
    checkSubject('user', user)
    return (await this.#stores.run((store) => store.list(user))).value
  }

  async #destroy(places: readonly SessionPlace[]): Promise<number> {
    if (places.length === 0) return 0
    return (await this.#stores.run((store) => store.destroy(places))).value
  }

  async #write(id: string, data: SessionData, options: SessionWriteOptions): Promise<number | undefined> {
    const { create = false, user, ifVersion, ttl, replace = false } = options
    if (user !== undefined) checkSubject('user', user)
    const set = new Map<string, string>()
    const unset: string[] = []
    for (const [name, value] of Object.entries(data)) {
      if (value === undefined) unset.push(checkSubject('field', name, maxFieldLength))
      else set.set(checkSubject('field', name, maxFieldLength), toJson(name, value))
    }
    const write = {
      token: newId(),
      set,
      unset,
      replaces: replace,
      create,
      user,
      bounds: this.#bounds,
      version: ifVersion,
      ttlMs: ttl === undefined ? this.#ttlMs : durationMs('ttl', ttl),
      absoluteMs: this.#absoluteMs,
    }
    const { value } = await this.#stores.run((store) => store.write(placeOf(id), write))
    if (value.status === 'full') throw new SessionTooLargeError()
    if (value.status === 'conflict') throw new VersionConflictError('The session', value.version)
    return value.status === 'gone' ? undefined : value.version
  }
}

const maxFieldLength = 8_192

const optionNames = {
  redis: true,
  ttl: true,
  absoluteTtl: true,
  grace: true,
  maxSessions: true,
  maxFields: true,
  maxBytes: true,
  clock: true,
  telemetry: true,
} as const

const tracedMethods = {
  create: 'agent_memory sessions.create',
  get: 'agent_memory sessions.get',
  patch: 'agent_memory sessions.patch',
  touch: 'agent_memory sessions.touch',
  rotate: 'agent_memory sessions.rotate',
  destroy: 'agent_memory sessions.destroy',
  list: 'agent_memory sessions.list',
  revoke: 'agent_memory sessions.revoke',
  revokeAll: 'agent_memory sessions.revoke_all',
} as const

/** Our ids begin with a group that stays the same when they are rotated; any other id is a group by itself. */
function placeOf(id: string): SessionPlace {
  if (typeof id !== 'string' || id === '' || id.length > 512 || !id.isWellFormed()) {
    throw new InvalidInputError('id', 'the id of a session', id)
  }
  const [, group] = /^([\w-]{22})\.[\w-]{43}$/.exec(id) ?? []
  const name = createHash('sha256').update(id).digest('base64url')
  return { group: group ?? name.slice(0, 22), name }
}
