import { type Connection, connect, ManualClock } from '@evenkeel/core'
import express from 'express'
import session from 'express-session'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createSessionStore } from '../src/adapters/express-session.js'
import { createSessions, type Sessions } from '../src/index.js'
import { MemorySessionStore } from '../src/sessions/memory.js'
import type { SessionStore } from '../src/sessions/port.js'
import { RedisSessionStore } from '../src/sessions/redis.js'
import { useRedis } from './support.js'

const redis = useRedis()

describe.each(['memory', 'redis'])('sessions, in %s', (where) => {
  const make = async (options: { absoluteTtl?: string } = {}): Promise<Sessions> => {
    const own = where === 'memory' ? {} : { redis: (await redis.instance()).redis }
    const sessions = createSessions({ ...own, ...(options as object) })
    redis.atEnd(() => sessions.close())
    return sessions
  }

  it('keeps both of two requests that change different fields', async () => {
    const sessions = await make()
    const { id, data, version } = await sessions.create({ cart: ['a'], theme: 'dark' }, { user: 'u' })
    expect([data, version]).toEqual([{ cart: ['a'], theme: 'dark' }, 1])
    await Promise.all([
      sessions.patch(id, { cart: ['a', 'b'] }),
      sessions.patch(id, { theme: undefined, seen: 1 }),
    ])
    expect(await sessions.get(id)).toMatchObject({
      data: { cart: ['a', 'b'], seen: 1 },
      version: 3,
      user: 'u',
    })
    await expect(sessions.patch(id, { seen: 2 }, { ifVersion: 1 })).rejects.toMatchObject({
      code: 'VERSION_CONFLICT',
      version: 3,
    })
  })

  it('stays destroyed, whatever comes late', async () => {
    const sessions = await make()
    const { id } = await sessions.create({ a: 1 }, { user: 'u' })
    expect([await sessions.destroy(id), await sessions.destroy(id)]).toEqual([true, false])
    expect(await sessions.patch(id, { a: 2 })).toBeUndefined()
    expect(await sessions.patch(id, { a: 2 }, { create: true })).toBeUndefined()
    expect(await sessions.touch(id)).toBe(false)
    expect(await sessions.get(id)).toBeUndefined()
  })

  it('gives a session another id, lists a user’s sessions, and ends them all but one', async () => {
    const sessions = await make()
    const [first, second] = [
      await sessions.create({}, { user: 'u' }),
      await sessions.create({ n: 1 }, { user: 'u' }),
    ]
    await sessions.create({}, { user: 'other' })
    await sessions.create()
    const id = (await sessions.rotate(second.id)) ?? ''
    expect(await sessions.get(second.id)).toBeUndefined()
    expect(await sessions.get(id)).toMatchObject({ data: { n: 1 }, user: 'u' })
    expect(await sessions.rotate(second.id)).toBeUndefined()
    expect(await sessions.list('u')).toHaveLength(2)
    expect(await sessions.revokeAll('u', { except: id })).toBe(1)
    expect(await sessions.get(first.id)).toBeUndefined()
    const [listed] = await sessions.list('u')
    expect(JSON.stringify(listed)).not.toContain(id)
    expect(await sessions.revoke('u', listed?.handle ?? '')).toBe(true)
    expect(await sessions.list('u')).toEqual([])
    expect(await sessions.list('other')).toHaveLength(1)
  })

  it('refuses what is no session’s id, and what can’t be kept', async () => {
    const sessions = await make()
    for (const id of ['', 'x'.repeat(600), '\ud800']) {
      await expect(sessions.get(id)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    }
    await expect(sessions.create({ a: () => 1 })).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    expect(await sessions.get('unknown')).toBeUndefined()
  })
})

/** An answer without times, which differ by the time that the test takes. */
const withoutTime = (answer: unknown): unknown => {
  if (Array.isArray(answer)) {
    return answer
      .map(withoutTime)
      .toSorted((one, other) => (fc.stringify(one) < fc.stringify(other) ? -1 : 1))
  }
  if (typeof answer !== 'object' || answer === null || !('leftMs' in answer)) return answer
  return { ...answer, leftMs: Math.round(Number(answer.leftMs) / 1e5) }
}

it('sessions in Redis and in memory answer alike', async () => {
  // Not behind a proxy, nor with a short deadline: a busy machine is no outage here.
  const connection = await connect({ url: redis.server.url, commandTimeout: '10s' })
  redis.atEnd(() => connection.close())
  const name = fc.constantFrom('a', 'b')
  const field = fc.constantFrom('x', 'y')
  type Step = (store: SessionStore) => Promise<unknown>
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc
      .record({
        name,
        token: fc.constantFrom('one', 'two', 'three', 'four'),
        set: fc.dictionary(field, fc.json(), { maxKeys: 2 }).map((fields) => new Map(Object.entries(fields))),
        unset: fc.uniqueArray(field, { maxLength: 1 }),
        create: fc.constantFrom(true, false, 'anew' as const),
        replaces: fc.boolean(),
        user: fc.constantFrom(undefined, 'u'),
        version: fc.constantFrom(undefined, undefined, 1, 2),
        ttlMs: fc.constantFrom(1e6, 2e6),
        absoluteMs: fc.constantFrom(undefined, 3e6),
      })
      .map(
        ({ name: own, ...write }): Step =>
          Object.assign((store: SessionStore) => store.write({ group: 'g', name: own }, write), {
            // What a failure prints.
            toString: () => `write ${own} ${fc.stringify(write)}`,
          }),
      ),
    fc.record({ name, ttlMs: fc.constantFrom(undefined, 1e6) }).map(
      ({ name: own, ttlMs }): Step =>
        (store) =>
          store.read({ group: 'g', name: own }, ttlMs),
    ),
    name.map(
      (own): Step =>
        (store) =>
          store.destroy([{ group: 'g', name: own }]),
    ),
    fc.constant<Step>((store) => store.rotate({ group: 'g', name: 'a' }, { group: 'g', name: 'b' })),
    fc.constant<Step>((store) => store.list('u')),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      await redis.server.command('FLUSHALL')
      const clock = new ManualClock()
      const stores = [new MemorySessionStore({ clock }), new RedisSessionStore(connection, () => clock.now())]
      for (const act of steps) {
        const [inMemory, inRedis] = await Promise.all(stores.map((store) => act(store)))
        expect(withoutTime(inRedis)).toEqual(withoutTime(inMemory))
      }
    }),
    { numRuns: 150 },
  )
})

describe('sessions while Redis is away', () => {
  it('are good for a while when seen here, are made anew, and reach Redis when it is back', async () => {
    const { redis: connection, proxy } = await redis.instance()
    const { redis: elsewhere } = await redis.instance()
    const [sessions, others] = [createSessions({ redis: connection }), createSessions({ redis: elsewhere })]
    const [seen, gone] = [await sessions.create({ a: 1 }), await sessions.create()]
    const unseen = await others.create()
    await proxy.refuse()
    await expect.poll(() => connection.state).toBe('down')
    expect(await sessions.get(seen.id)).toMatchObject({ data: { a: 1 }, source: 'memory' })
    await sessions.patch(seen.id, { b: 2 })
    expect(await sessions.destroy(gone.id)).toBe(true)
    expect(await sessions.get(gone.id)).toBeUndefined()
    const made = await sessions.create({ fresh: true })
    await expect(sessions.get(unseen.id)).rejects.toMatchObject({ code: 'CONNECTION_DOWN' })
    await others.patch(seen.id, { c: 3 })
    await proxy.restore()
    await expect.poll(async () => (await others.get(made.id))?.data).toEqual({ fresh: true })
    await expect.poll(async () => (await sessions.get(seen.id))?.source).toBe('redis')
    expect((await others.get(seen.id))?.data).toEqual({ a: 1, b: 2, c: 3 })
    expect(await others.get(gone.id)).toBeUndefined()
    await sessions.close()
    await others.close()
  })

  it('end with the outage: what Redis says afterwards holds in the next one', async () => {
    const { redis: connection, proxy } = await redis.instance()
    const sessions = createSessions({ redis: connection })
    const outage = async () => {
      await proxy.refuse()
      await expect.poll(() => connection.state).toBe('down')
    }
    const end = async () => {
      await proxy.restore()
      await expect.poll(() => sessions.state).toBe('primary')
    }
    const [admin, out, revoked] = [
      await sessions.create({ role: 'admin' }),
      await sessions.create({ n: 1 }),
      await sessions.create({}, { user: 'u' }),
    ]
    await outage()
    for (const { id } of [admin, out, revoked]) await sessions.get(id)
    await sessions.patch(out.id, { n: 2 })
    await end()
    await sessions.patch(admin.id, { role: 'user' })
    await sessions.destroy(out.id)
    expect(await sessions.revokeAll('u')).toBe(1)
    await outage()
    expect(await sessions.get(admin.id)).toMatchObject({ data: { role: 'user' } })
    for (const { id } of [out, revoked]) {
      await expect(sessions.get(id)).rejects.toMatchObject({ code: 'CONNECTION_DOWN' })
    }
    await end()
    await sessions.close()
  })

  it('are good for the grace and no longer, nor beyond their own end, however they are used', async () => {
    const { redis: connection, proxy } = await redis.instance()
    const clock = new ManualClock()
    const sessions = createSessions({ redis: connection, grace: '1m', clock })
    const [used, short] = [await sessions.create(), await sessions.create()]
    await sessions.touch(short.id, { ttl: '30s' })
    await proxy.refuse()
    await expect.poll(() => connection.state).toBe('down')
    clock.advance(29_000)
    expect(await sessions.get(used.id)).toBeDefined()
    expect(await sessions.get(short.id)).toBeDefined()
    clock.advance(2_000)
    await sessions.patch(used.id, { a: 1 })
    await expect(sessions.get(short.id)).rejects.toMatchObject({ code: 'CONNECTION_DOWN' })
    clock.advance(30_000)
    await expect(sessions.get(used.id)).rejects.toMatchObject({ code: 'CONNECTION_DOWN' })
    await expect(sessions.rotate(used.id)).rejects.toMatchObject({ code: 'CONNECTION_DOWN' })
    await sessions.close()
  })
})

describe.each(['memory', 'redis'])('a session’s user and bounds, in %s', (where) => {
  const make = async (options: object = {}) => {
    const own = where === 'memory' ? {} : { redis: (await redis.instance()).redis }
    const sessions = createSessions({ ...own, ...options })
    redis.atEnd(() => sessions.close())
    return sessions
  }

  it('is found by its user, who came later, under every id that it has', async () => {
    const sessions = await make()
    const { id } = await sessions.create({ cart: [] })
    await sessions.patch(id, {}, { user: 'alice' })
    const rotated = (await sessions.rotate(id)) ?? ''
    expect(await sessions.get(rotated)).toMatchObject({ user: 'alice' })
    expect(await sessions.list('alice')).toHaveLength(1)
    expect(await sessions.revokeAll('alice')).toBe(1)
    expect(await sessions.get(rotated)).toBeUndefined()
    const first = await sessions.create({}, { user: 'alice' })
    const second = await sessions.create({}, { user: 'alice' })
    expect(first.id.slice(0, 22)).not.toBe(second.id.slice(0, 22))
  })

  it('holds no more than it may, and takes less of what it has', async () => {
    const sessions = await make({ maxFields: 3, maxBytes: 100 })
    const { id } = await sessions.create({ a: 1, b: 2, c: 3 })
    await expect(sessions.patch(id, { d: 4 })).rejects.toMatchObject({ code: 'SESSION_TOO_LARGE' })
    await expect(sessions.patch(id, { a: 'x'.repeat(200) })).rejects.toMatchObject({
      code: 'SESSION_TOO_LARGE',
    })
    await sessions.patch(id, { a: undefined, d: 4 })
    expect((await sessions.get(id))?.data).toEqual({ b: 2, c: 3, d: 4 })
  })
})

it('refuses options that it does not know, and reads the ttl that operators set', async () => {
  expect(() => createSessions({ graec: '1s' } as never)).toThrow(/did you mean 'grace'/)
  process.env.CACHE_TTL_SESSIONS = '120'
  try {
    const sessions = createSessions()
    const { id } = await sessions.create({}, { user: 'u' })
    const [listed] = await sessions.list('u')
    expect(Math.round(((listed?.endsAt ?? 0) - Date.now()) / 1_000)).toBe(120)
    expect(await sessions.destroy(id)).toBe(true)
  } finally {
    delete process.env.CACHE_TTL_SESSIONS
  }
})

describe('express-session', () => {
  async function serve(connection: Connection) {
    const sessions = createSessions({ redis: connection })
    const app = express()
    const store = createSessionStore(sessions)
    app.use(
      session({ store, secret: 's', resave: false, saveUninitialized: false, cookie: { maxAge: 60_000 } }),
    )
    const waiting: (() => void)[] = []
    app.get('/set/:field/:value', async (request, response) => {
      if (request.query.slow !== undefined) await new Promise<void>((resolve) => waiting.push(resolve))
      const { field, value } = request.params
      Object.assign(request.session, { [field]: value })
      response.send('ok')
    })
    app.get('/unset/:field', (request, response) => {
      delete (request.session as unknown as Record<string, unknown>)[request.params.field]
      response.send('ok')
    })
    app.get('/all', (request, response) => {
      const { cookie: _, ...data } = request.session as unknown as Record<string, unknown>
      response.json(data)
    })
    app.get('/logout', (request, response) => request.session.destroy(() => response.send('bye')))
    app.get('/login', (request, response) =>
      request.session.regenerate(() => {
        Object.assign(request.session, { user: 'u' })
        response.send('ok')
      }),
    )
    const server = app.listen(0)
    await new Promise((resolve) => server.once('listening', resolve))
    redis.atEnd(async () => {
      server.close()
      await sessions.close()
    })
    const address = server.address()
    const base = `http://127.0.0.1:${typeof address === 'object' && address?.port}`
    let cookie = ''
    return {
      waiting,
      async ask(path: string) {
        const response = await fetch(base + path, { headers: { cookie } })
        cookie = response.headers.get('set-cookie')?.split(';')[0] ?? cookie
        return response.text()
      },
    }
  }

  it('keeps what two requests of one session change at the same time', async () => {
    const { ask, waiting } = await serve((await redis.instance()).redis)
    await ask('/set/a/0')
    const slow = ask('/set/a/1?slow')
    await expect.poll(() => waiting.length).toBe(1)
    await ask('/set/b/2')
    waiting[0]?.()
    await slow
    expect(JSON.parse(await ask('/all'))).toEqual({ a: '1', b: '2' })
    await ask('/unset/a')
    expect(JSON.parse(await ask('/all'))).toEqual({ b: '2' })
  })

  it('stays logged out when a slow request ends after the logout', async () => {
    const { ask, waiting } = await serve((await redis.instance()).redis)
    await ask('/set/user/u')
    const slow = ask('/set/seen/1?slow')
    await expect.poll(() => waiting.length).toBe(1)
    await ask('/logout')
    waiting[0]?.()
    await slow
    expect(JSON.parse(await ask('/all'))).toEqual({})
  })

  it('gives a new session at login, as long as its cookie', async () => {
    const { ask } = await serve((await redis.instance()).redis)
    await ask('/set/before/1')
    await ask('/login')
    expect(JSON.parse(await ask('/all'))).toEqual({ user: 'u' })
    const keys = (await redis.server.command('KEYS', '*')) as string[]
    const left = await Promise.all(keys.map(async (key) => Number(await redis.server.command('PTTL', key))))
    expect(left.some((ms) => ms > 50_000 && ms <= 60_000)).toBe(true)
  })
})

describe('a store of express-session', () => {
  const setUp = async (options?: Parameters<typeof createSessionStore>[1]) => {
    const sessions = createSessions({ redis: (await redis.instance()).redis })
    redis.atEnd(() => sessions.close())
    const store = createSessionStore(sessions, options)
    const call = <T>(work: (done: (error: unknown, value?: T) => void) => void) =>
      new Promise<T | undefined>((resolve, reject) =>
        work((error, value) => (error ? reject(error) : resolve(value))),
      )
    const cookie = (ms: number) => ({ originalMaxAge: ms, expires: new Date(Date.now() + ms) })
    return {
      sessions,
      cookie,
      get: (sid: string) => call<session.SessionData | null>((done) => store.get(sid, done as never)),
      set: (sid: string, data: object) => call((done) => store.set(sid, data as never, done)),
      destroy: (sid: string) => call((done) => store.destroy(sid, done)),
    }
  }
  const left = async () => {
    const [key = ''] = ((await redis.server.command('KEYS', '*:s:*')) as string[]).filter(Boolean)
    return Number(await redis.server.command('PTTL', key))
  }

  it('prolongs nothing by a look, and ends what is over', async () => {
    const { get, set, cookie } = await setUp()
    await set('a', { cookie: cookie(60_000), n: 1 })
    await get('a')
    expect(await left()).toBeLessThanOrEqual(60_000)
    await set('a', { cookie: cookie(-1_000), n: 1 })
    expect(await get('a')).toBeNull()
    await set('b', { cookie: { originalMaxAge: 0, expires: new Date(Date.now() - 1) } })
    expect(await get('b')).toBeNull()
  })

  it('keeps a session as it is set: without a field that was taken away, with a long name, anew after its end', async () => {
    const { get, set, destroy, cookie } = await setUp()
    const name = 'n'.repeat(1_000)
    await set('a', { cookie: cookie(60_000), x: 1, [name]: 2 })
    const data = (await get('a')) as unknown as Record<string, unknown>
    delete data.x
    await set('a', data)
    expect(Object.keys((await get('a')) ?? {}).toSorted()).toEqual(['cookie', name])
    await set('a', { cookie: cookie(60_000), whole: true })
    expect(Object.keys((await get('a')) ?? {}).toSorted()).toEqual(['cookie', 'whole'])
    await destroy('a')
    await set('a', { cookie: cookie(60_000), n: 1 })
    expect(await get('a')).toMatchObject({ n: 1 })
  })

  it('takes a session that was made elsewhere, and one is revoked by its user', async () => {
    const { get, set, sessions, cookie } = await setUp({
      user: (data) => (data as { userId?: string }).userId,
    })
    const made = await sessions.create({ a: 1 })
    expect(await get(made.id)).toMatchObject({ a: 1, cookie: { originalMaxAge: null } })
    await set('b', { cookie: cookie(60_000), userId: 'alice' })
    expect(await sessions.revokeAll('alice')).toBe(1)
    expect(await get('b')).toBeNull()
  })
})
