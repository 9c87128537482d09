import type { Connection } from '@evenkeel/core'
import { createKeyspace, defineScript, type Keyspace } from '@evenkeel/core/kit'
import destroyLua from '../scripts/sessions/destroy.lua'
import listLua from '../scripts/sessions/list.lua'
import readLua from '../scripts/sessions/read.lua'
import rotateLua from '../scripts/sessions/rotate.lua'
import writeLua from '../scripts/sessions/write.lua'
import { asList } from '../stores/replies.js'
import {
  destroyedMs,
  type ListedSession,
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
  list: script('list', listLua),
}

/** Sessions of all instances: one hash each, beside the others of its user. */
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
    const { token, set, unset, create, user = '', version, ttlMs, absoluteMs } = write
    const head = [this.#now(), String(Math.ceil(ttlMs)), String(absoluteMs ?? ''), create ? '1' : '0']
    const own = [String(version ?? ''), user, place.name, token]
    const removed = [String(unset.length), ...unset.map(encodeURIComponent)]
    const fields = [...set].flatMap(([name, json]) => [encodeURIComponent(name), json])
    const keys = [this.#key(place), this.#index(place.group)]
    const args = [...head, ...own, ...removed, ...fields]
    const [status, now] = asList(await this.#redis.run(scripts.write, keys, args))
    if (status === 'gone') return { status }
    return { status: status === 'conflict' ? 'conflict' : 'done', version: Number(now) }
  }

  async read(place: SessionPlace, ttlMs: number | undefined): Promise<SessionRecord | undefined> {
    const keys = [this.#key(place), this.#index(place.group)]
    const args = [this.#now(), String(ttlMs ?? ''), place.name]
    const flat = asList(await this.#redis.run(scripts.read, keys, args)).map(String)
    if (flat.length === 0) return undefined
    const all = new Map<string, string>()
    for (let index = 0; index < flat.length; index += 2) all.set(flat[index] ?? '', flat[index + 1] ?? '')
    const fields = [...all].filter(([name]) => name.startsWith('$'))
    return {
      version: Number(all.get('_v')),
      createdAt: Number(all.get('_c')),
      user: all.get('_u'),
      fields: new Map(fields.map(([name, json]) => [decodeURIComponent(name.slice(1)), json])),
    }
  }

  async rotate(from: SessionPlace, to: SessionPlace): Promise<boolean> {
    const keys = [this.#key(from), this.#key(to), this.#index(from.group)]
    return (await this.#redis.run(scripts.rotate, keys, [from.name, to.name, String(destroyedMs)])) === 1
  }

  async destroy(group: string, names: readonly string[]): Promise<number> {
    const keys = [this.#index(group), ...names.map((name) => this.#key({ group, name }))]
    return Number(await this.#redis.run(scripts.destroy, keys, [String(destroyedMs), ...names]))
  }

  async list(group: string): Promise<readonly ListedSession[]> {
    const flat = asList(await this.#redis.run(scripts.list, [this.#index(group)], [this.#now()])).map(String)
    const listed: ListedSession[] = []
    for (let index = 0; index < flat.length; index += 2) {
      listed.push({ name: flat[index] ?? '', endsAt: Number(flat[index + 1]) })
    }
    return listed
  }

  #key({ group, name }: SessionPlace): string {
    return this.#keys.key(group, 's', name)
  }

  #index(group: string): string {
    return this.#keys.key(group, 'i')
  }
}
