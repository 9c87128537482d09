import { setImmediate } from '@evenkeel/core/kit'
import session, { type SessionData, Store } from 'express-session'
import { fromJson, toJson, withoutClasses } from '../messages/json.js'
import type { Sessions } from '../sessions/sessions.js'

type Loaded = ReadonlyMap<string, string>
type Request = Parameters<Store['createSession']>[0]

export interface SessionStoreOptions {
  /**
   * Returns the user of a session from its data, so that `revokeAll(user)` finds it. @default that of no one
   * @example (data) => data.passport?.user
   */
  readonly user?: ((data: SessionData) => string | undefined) | undefined
}

/**
 * A store for `express-session`. It writes only what a request changed, so that two requests of one session keep each
 * other's changes, and it writes nothing after a logout.
 * @example
 * app.use(session({ store: createSessionStore(createSessions({ redis })), secret, resave: false, saveUninitialized: false }))
 */
export function createSessionStore(sessions: Sessions, options: SessionStoreOptions = {}): Store {
  return new SessionStore(sessions, options)
}

class SessionStore extends Store {
  readonly #sessions: Sessions
  readonly #userOf: (data: SessionData) => string | undefined
  /** What a request found, field by field, to tell what it changed. */
  readonly #loaded = new WeakMap<object, Loaded>()

  constructor(sessions: Sessions, { user = () => undefined }: SessionStoreOptions) {
    super()
    this.#sessions = sessions
    this.#userOf = user
  }

  /** Prolongs nothing: express-session does that itself, at the end of a request, by `touch`. */
  override get = (sid: string, callback: (error: unknown, session?: SessionData | null) => void): void => {
    answer(this.#sessions.get(sid, { touch: false }), (error, found) => {
      if (found === undefined) return callback(error, null)
      // A session that was made elsewhere has no cookie, which express-session relies on.
      const data = { cookie: { originalMaxAge: null }, ...found.data } as unknown as SessionData
      this.#loaded.set(data, fieldsOf(found.data))
      callback(error, data)
    })
  }

  override createSession(request: Request, data: SessionData): session.Session & SessionData {
    const loaded = this.#loaded.get(data) ?? fieldsOf(data)
    const made = super.createSession(request, data)
    this.#loaded.set(made, loaded)
    return made
  }

  override set = (sid: string, data: SessionData, callback?: (error?: unknown) => void): void => {
    const done = (error: unknown) => callback?.(error ?? undefined)
    const ttl = ttlOf(data)
    if (ttl !== undefined && ttl <= 0) return answer(this.#sessions.destroy(sid), done)
    const loaded = this.#loaded.get(data)
    const now = fieldsOf(data)
    const changes = Object.fromEntries([
      ...[...(loaded?.keys() ?? [])].filter((name) => !now.has(name)).map((name) => [name, undefined]),
      ...[...now]
        .filter(([name, json]) => loaded?.get(name) !== json)
        .map(([name, json]) => [name, fromJson(json)]),
    ])
    const user = this.#userOf(data)
    const options =
      loaded === undefined
        ? // A new session, as it is: also under the id of one that was destroyed.
          { create: 'anew' as const, replace: true, ttl, user }
        : // What was loaded and is gone by now was destroyed, or is over: it stays so.
          { ttl, user }
    answer(this.#sessions.patch(sid, changes, options), (error) => {
      if (error === null) this.#loaded.set(data, now)
      done(error)
    })
  }

  override touch = (sid: string, data: SessionData, callback?: () => void): void => {
    const ttl = ttlOf(data)
    const done = (error: unknown) =>
      (callback as ((error?: unknown) => void) | undefined)?.(error ?? undefined)
    if (ttl !== undefined && ttl <= 0) return answer(this.#sessions.destroy(sid), done)
    answer(this.#sessions.patch(sid, { cookie: plainCookie(data) }, { ttl }), done)
  }

  override destroy = (sid: string, callback?: (error?: unknown) => void): void => {
    answer(this.#sessions.destroy(sid), (error) => callback?.(error ?? undefined))
  }
}

function answer<T>(promise: Promise<T>, callback: (error: unknown, value?: T) => void): void {
  // Outside of the promise, so that what a callback throws is the caller's.
  promise.then(
    (value) => setImmediate(callback, null, value),
    (error: unknown) => setImmediate(callback, error),
  )
}

/** Objects of classes are written as JSON, as express-session's other stores do: its own cookie is one. */
function fieldsOf(data: object): Loaded {
  const own = withoutClasses({ ...data, cookie: plainCookie(data) }, 'session') as Record<string, unknown>
  return new Map(Object.entries(own).map(([name, value]) => [name, toJson(name, value)]))
}

/** A cookie as plain JSON, its end as text, which express-session can read. */
function plainCookie({ cookie }: { readonly cookie?: unknown }): unknown {
  return cookie === undefined ? undefined : (JSON.parse(JSON.stringify(cookie)) as unknown)
}

/** A session lives as long as its cookie: ms, none or fewer for one that is over, `undefined` where it tells no end. */
function ttlOf({ cookie }: SessionData): number | undefined {
  const expires: unknown = cookie?.expires
  if (expires instanceof Date || typeof expires === 'string') {
    const left = new Date(expires).getTime() - Date.now()
    if (Number.isFinite(left)) return left
  }
  return cookie?.originalMaxAge ?? undefined
}
