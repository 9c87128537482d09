import type { Reply } from '../clients/port.js'
import type { Connection } from '../connection/connection.js'
import { defineScript } from '../connection/scripts.js'
import { escapeGlob } from '../kit/keys.js'
import incrementLua from '../scripts/kv-increment.lua'
import setLua from '../scripts/kv-set.lua'
import type { KeyValuePort, SetOptions, Versioned } from './store.js'

const setScript = defineScript({ name: 'key-value.set', lua: setLua })
const incrementScript = defineScript({ name: 'key-value.increment', lua: incrementLua })

/** Values in Redis, a small hash each. One round trip an operation; `getMany` sends all at once. */
export class RedisKeyValueStore implements KeyValuePort {
  readonly #redis: Connection

  constructor(redis: Connection) {
    this.#redis = redis
  }

  async get(key: string): Promise<Versioned | undefined> {
    return readVersioned(await this.#redis.command(['HMGET', key, 'v', 'n'], { key, readOnly: false }))
  }

  getMany(keys: readonly string[]): Promise<readonly (Versioned | undefined)[]> {
    return Promise.all(keys.map((key) => this.get(key)))
  }

  async set(key: string, value: string, options: SetOptions): Promise<{ written: boolean; version: number }> {
    const { ttlMs, onlyIfAbsent = false, version = '' } = options
    const args = [value, String(Math.ceil(ttlMs)), onlyIfAbsent ? '1' : '0', String(version)]
    const reply = await this.#redis.run(setScript, [key], args)
    const [written, newVersion = 0] = Array.isArray(reply) ? reply.map(Number) : []
    return { written: written === 1, version: newVersion }
  }

  async delete(key: string): Promise<boolean> {
    return (await this.#redis.command(['UNLINK', key], { key })) === 1
  }

  async increment(key: string, by: number, ttlMs: number): Promise<number> {
    return Number(await this.#redis.run(incrementScript, [key], [String(by), String(Math.ceil(ttlMs))]))
  }

  async touch(key: string, ttlMs: number): Promise<boolean> {
    return (await this.#redis.command(['PEXPIRE', key, String(Math.ceil(ttlMs))], { key })) === 1
  }

  keys(prefix: string): AsyncIterable<readonly string[]> {
    return this.#redis.scan(`${escapeGlob(prefix)}*`)
  }
}

function readVersioned(reply: Reply): Versioned | undefined {
  if (!Array.isArray(reply)) return undefined
  const [value, version] = reply
  return value === null || value === undefined
    ? undefined
    : { value: String(value), version: Number(version) }
}
