import session, { type SessionData, Store } from 'express-session'
import type { Sessions } from '../sessions/sessions.js'

type Loaded = ReadonlyMap<string, string>
type Request = Parameters<Store['createSession']>[0]

/**
 * A store for `express-session`. Only what a request changed is written, so that two requests of one session
 * keep each other's changes, and nothing is written after a logout.
 * @example
 * app.use(session({ store: createSessionStore(createSessions({ redis })), secret, resave: false, saveUninitialized: false }))
 */
export function createSessionStore(sessions: Sessions): Store {
  return new SessionStore(sessions)
}

class SessionStore extends Store {
  readonly #sessions: Sessions
  /** What a request found, field by field, to tell what it changed. */
  readonly #loaded = new WeakMap<object, Loaded>()

  constructor(sessions: Sessions) {
    super()
    this.#sessions = sessions
  }

  override get = (sid: string, callback: (error: unknown, session?: SessionData | null) => void): void => {
    answer(this.#sessions.get(sid), (error, found) =>
      callback(error, found === undefined ? null : ({ ...found.data } as unknown as SessionData)),
    )
  }

  override createSession(request: Request, data: SessionData): session.Session & SessionData {
    const loaded = fieldsOf(data)
    const made = super.createSession(request, data)
    this.#loaded.set(made, loaded)
    return made
  }

  override set = (sid: string, data: SessionData, callback?: (error?: unknown) => void): void => {
    const loaded = this.#loaded.get(data)
    const now = fieldsOf(data)
    const changes = Object.fromEntries([
      ...[...(loaded?.keys() ?? [])].filter((name) => !now.has(name)).map((name) => [name, undefined]),
      ...[...now]
        .filter(([name, json]) => loaded?.get(name) !== json)
        .map(([name, json]) => [name, JSON.parse(json)]),
    ])
    // What was loaded and is gone by now was destroyed, or is over: it stays so.
    const options = { create: loaded === undefined, ttl: ttlOf(data) }
    answer(this.#sessions.patch(sid, changes, options), (error) => {
      if (error === null) this.#loaded.set(data, now)
      callback?.(error ?? undefined)
    })
  }

  override touch = (sid: string, data: SessionData, callback?: () => void): void => {
    answer(this.#sessions.patch(sid, { cookie: data.cookie }, { ttl: ttlOf(data) }), () => callback?.())
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

function fieldsOf(data: object): Loaded {
  const plain = JSON.parse(JSON.stringify(data)) as Record<string, unknown>
  return new Map(Object.entries(plain).map(([name, value]) => [name, JSON.stringify(value)]))
}

/** A session lives as long as its cookie. */
function ttlOf({ cookie }: SessionData): number | undefined {
  const left = cookie?.originalMaxAge ?? undefined
  return left !== undefined && left >= 1 ? left : undefined
}
