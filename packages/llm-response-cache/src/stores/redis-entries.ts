import { randomUUID } from 'node:crypto'
import { type Connection, defineScript, type Reply } from '@evenkeel/core'
import { ByteBoundedLru, isPromiseLike } from '@evenkeel/core/kit'
import { type EntryCodec, idOf } from '../entry/codec.js'
import type { Entry } from '../entry/entry.js'
import deleteLua from '../scripts/delete.lua'
import versionsLua from '../scripts/versions.lua'
import writeLua from '../scripts/write.lua'
import { deletionMs, type EntryKey, type EntryStore, type Reading, type WriteOptions } from './port.js'
import type { RedisKeys } from './redis-keys.js'
import { TurnReads } from './turn-reads.js'

const versionsScript = defineScript({ name: 'llm-cache.versions', lua: versionsLua })
const deleteScript = defineScript({ name: 'llm-cache.delete', lua: deleteLua })
const writeScript = defineScript({ name: 'llm-cache.write', lua: writeLua })

/** Entries that all instances share: each is one string, and its own hash tag spreads entries over a Cluster. */
export class RedisEntryStore implements EntryStore {
  readonly #redis: Connection
  readonly #keys: RedisKeys
  readonly #codec: EntryCodec
  readonly #reads: TurnReads
  /** Keys of versions whose expiry was renewed within the last day. */
  readonly #renewals = new ByteBoundedLru<true>({ maxEntries: maxRenewals, sizeOf: () => 1 })

  constructor(redis: Connection, keys: RedisKeys, codec: EntryCodec) {
    this.#redis = redis
    this.#keys = keys
    this.#codec = codec
    this.#reads = new TurnReads(redis)
  }

  async read(entryKey: EntryKey, versions: readonly string[], known?: Entry): Promise<Reading> {
    const key = this.#keys.entry(entryKey)
    const { tenant } = entryKey
    const { value, others } = await this.#reads.read(
      key,
      versions.map((name) => this.#keys.version(tenant, name)),
    )
    const present = others.map((version) => version?.toString('latin1'))
    for (const name of versions) this.#renew(this.#keys.version(tenant, name))
    const complete = present.every((version) => version !== undefined)
    const id = value === undefined ? '' : idOf(value)
    // Each write of an entry has an id of its own, so a copy with the stored id need not be decoded again.
    const isKnown = known !== undefined && known.id === id
    const found = isKnown || value === undefined ? known : this.#codec.decode(tenant, key, value)
    return {
      entry: value === undefined ? undefined : isPromiseLike(found) ? await found : found,
      id,
      versions: complete ? (present as readonly string[]) : await this.versions(tenant, versions),
    }
  }

  /** Not awaited: a version that is not renewed expires within 30 days, which only causes misses. */
  #renew(key: string): void {
    if (this.#renewals.get(key) !== undefined) return
    this.#renewals.set(key, true, renewEveryMs)
    this.#redis.command(['PEXPIRE', key, String(versionLifeMs)], { key }).catch(() => {})
  }

  async write(entryKey: EntryKey, entry: Entry, options: WriteOptions): Promise<boolean> {
    const { ttlMs, onlyIfAbsent = false, unlessDeleted = false, admitWithinMs = 0 } = options
    const key = this.#keys.entry(entryKey)
    const bytes = await this.#codec.encode(entryKey.tenant, key, entry)
    const px = wholeMs(ttlMs)
    if (admitWithinMs === 0 && !unlessDeleted) {
      const only = onlyIfAbsent ? ['NX'] : []
      return (await this.#redis.command(['SET', key, bytes, 'PX', px, ...only], { key })) !== null
    }
    const span = String(Math.ceil(admitWithinMs))
    const args = [bytes, px, onlyIfAbsent ? '1' : '0', span, unlessDeleted ? '1' : '0']
    const keys = [key, this.#keys.seen(entryKey), this.#keys.deleted(entryKey)]
    return (await this.#redis.run(writeScript, keys, args)) === 1
  }

  async delete(entryKeys: readonly EntryKey[]): Promise<number> {
    const counts = await Promise.all(
      entryKeys.map((entryKey) =>
        this.#redis.run(
          deleteScript,
          [this.#keys.entry(entryKey), this.#keys.lease(entryKey), this.#keys.deleted(entryKey)],
          [String(deletionMs)],
        ),
      ),
    )
    return counts.reduce<number>((sum, count) => sum + Number(count), 0)
  }

  async wereDeleted(entryKeys: readonly EntryKey[]): Promise<readonly boolean[]> {
    const marks = entryKeys.map((entryKey) => this.#keys.deleted(entryKey))
    const found = await Promise.all(marks.map((key) => this.#redis.command(['EXISTS', key], { key })))
    return found.map((count) => Number(count) === 1)
  }

  async versions(tenant: string, names: readonly string[]): Promise<readonly string[]> {
    const keys = names.map((name) => this.#keys.version(tenant, name))
    const reply = await this.#redis.run(
      versionsScript,
      keys,
      names.flatMap(() => ['0', randomUUID(), String(versionLifeMs)]),
    )
    return texts(reply)
  }

  async invalidate(tenant: string, versions: ReadonlyMap<string, string>): Promise<void> {
    const keys = [...versions.keys()].map((name) => this.#keys.version(tenant, name))
    await this.#redis.run(
      versionsScript,
      keys,
      [...versions].flatMap(([, value]) => ['1', value, String(versionLifeMs)]),
    )
  }

  async *names(tenant: string, pattern: string): AsyncIterable<readonly string[]> {
    for await (const page of this.#redis.scan(this.#keys.pattern(tenant, pattern), 1_000)) {
      if (page.length > 0) yield page.map((key) => this.#keys.nameOf(tenant, key))
    }
  }
}

export function wholeMs(ms: number): string {
  return String(Math.max(1, Math.ceil(ms)))
}

/**
 * Milliseconds until the version of a tenant or tag expires, since tenants and tags come and go. A version that is read
 * is renewed once a day; one that has expired only causes misses.
 */
const versionLifeMs = 30 * 86_400_000
const renewEveryMs = 86_400_000
const maxRenewals = 50_000

function texts(reply: Reply): string[] {
  return Array.isArray(reply) ? reply.map(String) : []
}
