import type { Reply } from '../clients/port.js'
import type { Connection } from '../connection/connection.js'
import { defineScript } from '../connection/scripts.js'
import { escapeGlob } from '../kit/keys.js'
import { mapBounded } from '../kit/map-bounded.js'
import { integerOf, listOf, textOf } from '../kit/replies.js'
import deleteLua from '../scripts/kv-delete.lua'
import getLua from '../scripts/kv-get.lua'
import incrementLua from '../scripts/kv-increment.lua'
import setLua from '../scripts/kv-set.lua'
import { noWholeNumber } from './errors.js'
import type { Expected, KeyValuePort, SetOptions, SetResult, Versioned } from './port.js'

const getScript = defineScript({ name: 'key-value.get', lua: getLua })
const setScript = defineScript({ name: 'key-value.set', lua: setLua })
const deleteScript = defineScript({ name: 'key-value.delete', lua: deleteLua })
const incrementScript = defineScript({ name: 'key-value.increment', lua: incrementLua })

/** How many commands of one operation on many keys may be in flight. */
export const maxAtOnce = 256

/** A store in Redis; each value is a small hash. One round trip per operation. `getMany` pipelines its commands. */
export class RedisKeyValueStore implements KeyValuePort {
  readonly #redis: Connection

  constructor(redis: Connection) {
    this.#redis = redis
  }

  async get(key: string): Promise<Versioned | undefined> {
    const reply = await this.#redis.run(getScript, [key], [])
    return reply === null ? undefined : readVersioned(getScript.name, reply)
  }

  getMany(keys: readonly string[]): Promise<readonly (Versioned | undefined)[]> {
    return mapBounded(keys, maxAtOnce, (key) => this.get(key))
  }

  async set(key: string, value: string, options: SetOptions): Promise<SetResult> {
    const { ttlMs, onlyIfAbsent = false, expected } = options
    const { version, orAbsent, orDigest } = expectedArgs(onlyIfAbsent ? { version: 0 } : expected)
    const args = [value, wholeMs(ttlMs), version, orAbsent, orDigest]
    const reply = listOf(setScript.name, await this.#redis.run(setScript, [key], args))
    return {
      written: integerOf(setScript.name, reply[0]) === 1,
      version: integerOf(setScript.name, reply[1]),
    }
  }

  async delete(key: string, expected?: Expected): Promise<boolean> {
    const { version, orDigest } = expectedArgs(expected)
    const reply = await this.#redis.run(deleteScript, [key], [version, orDigest])
    return integerOf(deleteScript.name, reply) === 1
  }

  async increment(key: string, by: number, ttlMs: number): Promise<Versioned> {
    const { name } = incrementScript
    const reply = listOf(name, await this.#redis.run(incrementScript, [key], [String(by), wholeMs(ttlMs)]))
    const [isDone, ...sum] = reply
    if (integerOf(name, isDone) !== 1) throw noWholeNumber()
    return readVersioned(name, sum)
  }

  async touch(key: string, ttlMs: number): Promise<boolean> {
    return integerOf('PEXPIRE', await this.#redis.command(['PEXPIRE', key, wholeMs(ttlMs)], { key })) === 1
  }

  keys(prefix: string): AsyncIterable<readonly string[]> {
    return this.#redis.scan(`${escapeGlob(prefix)}*`)
  }
}

/** This store never writes a key without an expiry; if a key has none, its value has none here either. */
function readVersioned(name: string, reply: Reply): Versioned {
  const [value, version, leftMs] = listOf(name, reply)
  const ttlMs = integerOf(name, leftMs)
  return {
    value: textOf(name, typeof value === 'number' ? String(value) : value) ?? '',
    version: integerOf(name, version),
    ttlMs: ttlMs < 0 ? Number.POSITIVE_INFINITY : ttlMs,
  }
}

function expectedArgs(expected: Expected | undefined) {
  const { version, orAbsent = false, orDigest = '' } = expected ?? {}
  return {
    version: version === undefined ? '' : String(version),
    orAbsent: orAbsent ? '1' : '0',
    orDigest,
  }
}

function wholeMs(ttlMs: number): string {
  return String(Math.max(1, Math.ceil(ttlMs)))
}
