import type { Connection } from '../connection/connection.js'
import type { FailoverState } from '../connection/state.js'
import { InvalidInputError, InvalidOptionError } from '../errors.js'
import { type Failover, failover, type Source } from '../failover/failover.js'
import type { Clock } from '../kit/clock.js'
import { type Duration, durationMs } from '../kit/duration.js'
import { checkSubject } from '../kit/keys.js'
import { MemoryKeyValueStore } from './memory-store.js'
import { RedisKeyValueStore } from './redis-store.js'
import type { KeyValuePort } from './store.js'

/** How values become text. @default JSON */
export interface Codec<V> {
  encode(value: V): string
  decode(text: string): V
}

export interface KeyValueStoreOptions<V> {
  /** Left out, the values live in this process alone. */
  readonly redis?: Connection | undefined
  /** Names the store; part of every key. */
  readonly prefix: string
  /** How long a value lives, unless its `set` says otherwise. @default '1h' */
  readonly ttl?: Duration | undefined
  /** Of the memory side. @default 10_000 */
  readonly maxEntries?: number | undefined
  /** Of the memory side. @default 64 MiB */
  readonly maxBytes?: number | undefined
  readonly codec?: Codec<V> | undefined
  /**
   * After an outage, write back what memory holds newer, by compare. Without it Redis wins, and what was
   * written meanwhile is forgotten. @default false
   */
  readonly writeBack?: boolean | undefined
  readonly onOutage?: 'fallback' | 'throw' | undefined
  readonly clock?: Clock | undefined
}

export interface KeyValueStats {
  readonly hits: number
  readonly misses: number
  readonly writes: number
  readonly deletes: number
  /** Operations that memory answered. */
  readonly fromMemory: number
  readonly memoryEntries: number
  readonly memoryBytes: number
}

/** One round trip an operation unless said otherwise. */
export interface KeyValueStore<V> {
  get(key: string): Promise<V | undefined>
  /** {@link get}, with the store that answered. */
  lookUp(key: string): Promise<{ readonly value: V | undefined; readonly source: Source }>
  has(key: string): Promise<boolean>
  /** Says whether it was written; only `nx` (where there is none) can keep it from that. */
  set(key: string, value: V, options?: { readonly ttl?: Duration; readonly nx?: boolean }): Promise<boolean>
  delete(key: string): Promise<boolean>
  /** In the order of the keys, sent together. */
  getMany(keys: readonly string[]): Promise<readonly (V | undefined)[]>
  setMany(entries: Iterable<readonly [string, V]>, options?: { readonly ttl?: Duration }): Promise<void>
  /** Adds to a whole number, from 0 where there is none. Not idempotent: a retry after an unknown outcome counts again. */
  increment(key: string, by?: number): Promise<number>
  /** A new ttl; `false` where there is no value. */
  touch(key: string, ttl?: Duration): Promise<boolean>
  /** Removes what begins with the prefix, in batches, on every node; returns how many. */
  clear(prefix?: string): Promise<number>
  /** What begins with the prefix. Each at least once if it stays meanwhile, none that was never there. */
  entries(prefix?: string): AsyncIterable<readonly [string, V]>
  stats(): KeyValueStats
  readonly state: FailoverState
  close(): void
}

/**
 * Typed keys and values on Redis, in memory while it is away.
 * @example
 * const sessions = createKeyValueStore<Session>({ redis, prefix: 'session', ttl: '24h' })
 */
export function createKeyValueStore<V>(options: KeyValueStoreOptions<V>): KeyValueStore<V> {
  return new Store(options)
}

/** Deletions of an outage that are remembered; beyond it the oldest is forgotten. */
const maxDeleted = 10_000

const json: Codec<unknown> = { encode: (value) => JSON.stringify(value), decode: (text) => JSON.parse(text) }

class Store<V> implements KeyValueStore<V> {
  readonly #codec: Codec<V>
  readonly #ttlMs: number
  readonly #prefix: string
  readonly #memory: MemoryKeyValueStore
  readonly #stores: Failover<KeyValuePort>
  /** What was deleted in an outage. */
  readonly #deleted = new Set<string>()
  readonly #counts = { hits: 0, misses: 0, writes: 0, deletes: 0, fromMemory: 0 }

  constructor(options: KeyValueStoreOptions<V>) {
    const { redis, prefix, maxEntries, maxBytes, clock, onOutage, writeBack = false } = options
    if (typeof prefix !== 'string' || !/^[\w.-]+$/.test(prefix)) {
      throw new InvalidOptionError('prefix', 'letters, digits, dots, dashes and underscores', prefix)
    }
    this.#codec = options.codec ?? (json as Codec<V>)
    this.#ttlMs = durationMs('ttl', options.ttl ?? '1h', { minMs: 1 })
    this.#prefix = `${redis?.namespace ?? ''}kv:${prefix}:`
    this.#memory = new MemoryKeyValueStore({ maxEntries, maxBytes, clock })
    this.#stores = failover<KeyValuePort>(redis, {
      name: 'key-value',
      primary: redis && new RedisKeyValueStore(redis),
      fallback: this.#memory,
      onOutage,
      recover: async ({ primary, signal }) => {
        if (writeBack) await this.#writeBack(primary, signal)
        this.#memory.clear()
        this.#deleted.clear()
      },
    })
  }

  get state(): FailoverState {
    return this.#stores.state
  }

  async get(key: string): Promise<V | undefined> {
    return (await this.lookUp(key)).value
  }

  async lookUp(key: string): Promise<{ value: V | undefined; source: Source }> {
    const { value: found, source } = await this.#run((store) => store.get(this.#key(key)))
    this.#counts[found === undefined ? 'misses' : 'hits']++
    if (found && source === 'redis') await this.#note(this.#key(key), found.value, found.version, this.#ttlMs)
    return { value: found && this.#codec.decode(found.value), source }
  }

  async has(key: string): Promise<boolean> {
    return (await this.#run((store) => store.get(this.#key(key)))).value !== undefined
  }

  async set(
    key: string,
    value: V,
    { ttl, nx = false }: { ttl?: Duration; nx?: boolean } = {},
  ): Promise<boolean> {
    const options = { ttlMs: this.#ttl(ttl), onlyIfAbsent: nx }
    const text = this.#encode(value)
    const name = this.#key(key)
    const { value: result, source } = await this.#run((store) => store.set(name, text, options))
    if (!result.written) return false
    this.#counts.writes++
    this.#deleted.delete(name)
    if (source === 'redis') await this.#note(name, text, result.version, options.ttlMs)
    return true
  }

  async delete(key: string): Promise<boolean> {
    const name = this.#key(key)
    const { value, source } = await this.#run((store) => store.delete(name))
    if (source === 'redis') await this.#memory.delete(name)
    else this.#rememberDeleted(name)
    if (value) this.#counts.deletes++
    return value
  }

  async getMany(keys: readonly string[]): Promise<readonly (V | undefined)[]> {
    const names = keys.map((key) => this.#key(key))
    const { value } = await this.#run((store) => store.getMany(names))
    for (const found of value) this.#counts[found === undefined ? 'misses' : 'hits']++
    return value.map((found) => found && this.#codec.decode(found.value))
  }

  async setMany(entries: Iterable<readonly [string, V]>, options: { ttl?: Duration } = {}): Promise<void> {
    await Promise.all([...entries].map(([key, value]) => this.set(key, value, options)))
  }

  async increment(key: string, by = 1): Promise<number> {
    if (!Number.isSafeInteger(by)) throw new InvalidInputError('by', 'a whole number', by)
    const name = this.#key(key)
    const { value, source } = await this.#run((store) => store.increment(name, by, this.#ttlMs))
    // Its version is not told, so what memory knows of it is out of date.
    if (source === 'redis') await this.#memory.delete(name)
    return value
  }

  async touch(key: string, ttl?: Duration): Promise<boolean> {
    const ttlMs = this.#ttl(ttl)
    return (await this.#run((store) => store.touch(this.#key(key), ttlMs))).value
  }

  async clear(prefix = ''): Promise<number> {
    const { value } = await this.#run(async (store) => {
      let count = 0
      for await (const page of store.keys(this.#prefix + prefix)) {
        const deleted = await Promise.all(page.map((key) => store.delete(key)))
        count += deleted.filter(Boolean).length
      }
      return count
    })
    return value
  }

  async *entries(prefix = ''): AsyncIterable<readonly [string, V]> {
    const { value: pages } = await this.#run(async (store) => {
      const all: string[] = []
      for await (const page of store.keys(this.#prefix + prefix)) all.push(...page)
      return [...new Set(all)]
    })
    for (let at = 0; at < pages.length; at += 100) {
      const names = pages.slice(at, at + 100)
      const { value } = await this.#run((store) => store.getMany(names))
      for (const [index, found] of value.entries()) {
        if (found) yield [(names[index] ?? '').slice(this.#prefix.length), this.#codec.decode(found.value)]
      }
    }
  }

  stats(): KeyValueStats {
    return { ...this.#counts, memoryEntries: this.#memory.entries, memoryBytes: this.#memory.bytes }
  }

  close(): void {
    this.#stores.close()
  }

  async #run<T>(operation: (store: KeyValuePort) => Promise<T>): Promise<{ value: T; source: Source }> {
    const answer = await this.#stores.run(operation)
    if (answer.source === 'memory') this.#counts.fromMemory++
    return answer
  }

  /** An outage begins with what was seen before it. */
  async #note(key: string, value: string, version: number, ttlMs: number): Promise<void> {
    await this.#memory.set(key, value, { ttlMs, version })
  }

  #rememberDeleted(key: string): void {
    this.#deleted.add(key)
    const [oldest] = this.#deleted
    if (this.#deleted.size > maxDeleted && oldest !== undefined) this.#deleted.delete(oldest)
  }

  /** What memory wrote is newer than what Redis had then; whether it still is, the versions say. */
  async #writeBack(primary: KeyValuePort, signal: AbortSignal): Promise<void> {
    for (const key of [...this.#deleted]) {
      signal.throwIfAborted()
      await primary.delete(key)
      this.#deleted.delete(key)
    }
    for (const { key, value, version, ttlMs } of [...this.#memory.held()]) {
      signal.throwIfAborted()
      await primary.set(key, value, { ttlMs: Math.max(1, ttlMs), version })
    }
  }

  #key(key: string): string {
    return this.#prefix + checkSubject('key', key)
  }

  #ttl(ttl: Duration | undefined): number {
    return ttl === undefined ? this.#ttlMs : durationMs('ttl', ttl, { minMs: 1 })
  }

  #encode(value: V): string {
    const text = this.#codec.encode(value)
    if (typeof text !== 'string')
      throw new InvalidInputError('value', 'something that the codec makes text of', value)
    return text
  }
}
