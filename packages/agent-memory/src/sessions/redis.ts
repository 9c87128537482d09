import { createHash } from 'node:crypto'
import type { Connection, Reply } from '@evenkeel/core'
import {
  createKeyspace,
  defineScript,
  integerOf,
  type Keyspace,
  listOf,
  mapOf,
  textOf,
} from '@evenkeel/core/kit'
import destroyLua from '../scripts/sessions/destroy.lua'
import linkLua from '../scripts/sessions/link.lua'
import readLua from '../scripts/sessions/read.lua'
import rotateLua from '../scripts/sessions/rotate.lua'
import writeLua from '../scripts/sessions/write.lua'
import {
  destroyedMs,
  type ListedSession,
  noBounds,
  type SessionPlace,
  type SessionRecord,
  type SessionStore,
  type SessionWrite,
  type SessionWritten,
} from './port.js'

const script = (name: string, lua: string) => defineScript({ name: `agent-memory.session-${name}`, lua })
const scripts = {
  write: script('write', writeLua),
  read: script('read', readLua),
  rotate: script('rotate', rotateLua),
  destroy: script('destroy', destroyLua),
  link: script('link', linkLua),
}

/** Number of sessions that are read together. */
const atOnce = 100

/** Sessions of all instances: one hash each, and a list of each user's. */
export class RedisSessionStore implements SessionStore {
  readonly #redis: Connection
  readonly #keys: Keyspace
  readonly #now: () => string

  /** @param now stands in for the server's clock, in tests that compare two stores */
  constructor(redis: Connection, now?: () => number) {
    this.#redis = redis
    this.#keys = createKeyspace(redis.namespace, 'agent-memory.sessions')
    this.#now = now === undefined ? () => '' : () => String(now())
  }

  async write(place: SessionPlace, write: SessionWrite): Promise<SessionWritten> {
    const { token, set, unset, create, user, version, ttlMs, absoluteMs, bounds = noBounds } = write
    const creates = create === 'anew' ? '2' : create ? '1' : '0'
    const head = [this.#now(), String(Math.ceil(ttlMs)), String(absoluteMs ?? ''), creates]
    const own = [String(version ?? ''), user ?? '', write.replaces === true ? '1' : '0', token]
    const limits = [String(bounds.fields), String(bounds.bytes)]
    const removed = [String(unset.length), ...unset.map(encodeURIComponent)]
    const fields = [...set].flatMap(([name, json]) => [encodeURIComponent(name), json])
    const args = [...head, ...own, ...limits, ...removed, ...fields]
    // First the user's list: a session that `list` can't find must never exist.
    if (create !== false && user !== undefined) await this.#link(place, user, ttlMs)
    const reply = listOf('session-write', await this.#redis.run(scripts.write, [this.#key(place)], args))
    const status = textOf('session-write', reply[0])
    if (status === 'gone' || status === 'full') return { status }
    const now = integerOf('session-write', reply[1])
    if (status === 'conflict') return { status, version: now }
    const leftMs = integerOf('session-write', reply[2])
    const moved = textOf('session-write', reply[3]) ?? ''
    if (moved !== '' && create === false) await this.#link(place, moved, leftMs)
    return { status: 'done', version: now, leftMs }
  }

  async read(place: SessionPlace, ttlMs: number | undefined): Promise<SessionRecord | undefined> {
    const args = [this.#now(), ttlMs === undefined ? '' : String(Math.ceil(ttlMs))]
    const reply = listOf('session-read', await this.#redis.run(scripts.read, [this.#key(place)], args))
    if (reply.length === 0) return undefined
    const [left, moved, ...flat] = reply
    const all = mapOf('session-read', flat as Reply[])
    const user = textOf('session-read', all.get('_u'))
    const leftMs = integerOf('session-read', left)
    if (integerOf('session-read', moved) === 1 && user !== undefined) await this.#link(place, user, leftMs)
    const fields = [...all].filter(([name]) => name.startsWith('$'))
    return {
      version: integerOf('session-read', all.get('_v')),
      createdAt: integerOf('session-read', all.get('_c')),
      user,
      fields: new Map(
        fields.map(([name, json]) => [decodeURIComponent(name.slice(1)), textOf('session-read', json) ?? '']),
      ),
      leftMs,
    }
  }

  async rotate(from: SessionPlace, to: SessionPlace): Promise<boolean> {
    const record = await this.read(from, undefined)
    // Before the session gets its new name, so that it can be found at every moment.
    if (record?.user !== undefined) await this.#link(to, record.user, record.leftMs)
    const keys = [this.#key(from), this.#key(to)]
    const reply = await this.#redis.run(scripts.rotate, keys, [String(destroyedMs)])
    return integerOf('session-rotate', reply) === 1
  }

  async destroy(places: readonly SessionPlace[]): Promise<number> {
    let destroyed = 0
    for (let from = 0; from < places.length; from += atOnce) {
      const some = places.slice(from, from + atOnce).map(async (place) => {
        const reply = await this.#redis.run(scripts.destroy, [this.#key(place)], [String(destroyedMs)])
        destroyed += integerOf('session-destroy', reply)
      })
      await Promise.all(some)
    }
    return destroyed
  }

  async list(user: string): Promise<readonly ListedSession[]> {
    const key = this.#index(user)
    const names = listOf('ZRANGE', await this.#redis.command(['ZRANGE', key, '0', '-1'], { key }))
    const places = names.map((name) => {
      const [group = '', own = ''] = (textOf('ZRANGE', name) ?? '').split(' ')
      return { group, name: own }
    })
    const listed: ListedSession[] = []
    const gone: string[] = []
    for (let from = 0; from < places.length; from += atOnce) {
      const some = places.slice(from, from + atOnce).map(async (place) => {
        const record = await this.read(place, undefined)
        if (record?.user === user) listed.push({ ...place, leftMs: record.leftMs })
        // It may be about to be made.
        else if (record !== undefined) gone.push(nameOf(place))
      })
      await Promise.all(some)
    }
    const over = ['ZREMRANGEBYSCORE', key, '-inf', String(Date.now() - destroyedMs)]
    await this.#redis.command(over, { key })
    if (gone.length > 0) await this.#redis.command(['ZREM', key, ...gone], { key })
    return listed.sort(byEnd)
  }

  async #link(place: SessionPlace, user: string, leftMs: number): Promise<void> {
    const args = [nameOf(place), String(Math.ceil(leftMs))]
    await this.#redis.run(scripts.link, [this.#index(user)], args)
  }

  #key({ group, name }: SessionPlace): string {
    return this.#keys.key(group, 's', name)
  }

  #index(user: string): string {
    return this.#keys.key(createHash('sha256').update(`user ${user}`).digest('base64url').slice(0, 22), 'i')
  }
}

export function byEnd(one: ListedSession, other: ListedSession): number {
  return other.leftMs - one.leftMs || (one.name < other.name ? 1 : -1)
}

function nameOf({ group, name }: SessionPlace): string {
  return `${group} ${name}`
}
