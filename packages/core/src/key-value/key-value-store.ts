import type { Connection } from '../connection/connection.js'
import type { Durability, FailoverState } from '../connection/state.js'
import { EvenkeelError, InvalidInputError, InvalidOptionError, UnavailableError } from '../errors.js'
import { type Failover, failover, type Source } from '../failover/failover.js'
import type { Clock } from '../kit/clock.js'
import { type Duration, durationMs } from '../kit/duration.js'
import { checkSubject } from '../kit/keys.js'
import { mapBounded } from '../kit/map-bounded.js'
import { input, option } from '../kit/validate.js'
import { OutageKeyValueStore } from './outage-store.js'
import type { KeyValuePort } from './port.js'
import { maxAtOnce, RedisKeyValueStore } from './redis-store.js'

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
   * After an outage, write back what was set, deleted and touched here meanwhile, each key where Redis still holds
   * what this process knew of it; where another process has changed or deleted it, Redis wins. What was only read
   * is never written. Without it Redis wins always, and what was written meanwhile is forgotten. @default false
   */
  readonly writeBack?: boolean | undefined
  /** `'throw'` rejects with an UnavailableError instead of answering from memory. @default 'fallback' */
  readonly onOutage?: 'fallback' | 'throw' | undefined
  /** What it means when Redis loses the values, for alerts of eviction and of a missing append-only file. @default 'disposable' */
  readonly durability?: Durability | undefined
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

/**
 * One round trip an operation unless said otherwise. While Redis is away memory answers with what this process has
 * seen and written, each value for the time that it had left. What many keys need is sent with at most 256 commands
 * in flight; where the connection has room for fewer, fewer.
 * @throws UnavailableError `OVERLOADED` when there is no room for one command: memory does not answer then
 * @throws EvenkeelError `CLOSED` after {@link close}
 */
export interface KeyValueStore<V> extends AsyncDisposable {
  get(key: string): Promise<V | undefined>
  /** {@link get}, with the store that answered. */
  lookUp(key: string): Promise<{ readonly value: V | undefined; readonly source: Source }>
  has(key: string): Promise<boolean>
  /** Says whether it was written; only `nx` (where there is none) can keep it from that. */
  set(key: string, value: V, options?: { readonly ttl?: Duration; readonly nx?: boolean }): Promise<boolean>
  delete(key: string): Promise<boolean>
  /** In the order of the keys; one command a key, pipelined. */
  getMany(keys: readonly string[]): Promise<readonly (V | undefined)[]>
  /** One command an entry, pipelined; not atomic. Where it rejects, some may be written. */
  setMany(entries: Iterable<readonly [string, V]>, options?: { readonly ttl?: Duration }): Promise<void>
  /**
   * Adds to a whole number, from 0 where there is none. Not idempotent: a retry after an unknown outcome counts again.
   * @throws EvenkeelError `REDIS_REPLY` where the value, or the sum, is no whole number that JavaScript holds exactly
   */
  increment(key: string, by?: number): Promise<number>
  /** A new ttl; `false` where there is no value. */
  touch(key: string, ttl?: Duration): Promise<boolean>
  /**
   * Removes what begins with the prefix, in pages of about 500 keys, on every node; returns how many. In an outage
   * it removes what memory holds.
   */
  clear(prefix?: string): Promise<number>
  /**
   * What begins with the prefix, once each: all that stays meanwhile, and nothing that was never there. In an outage
   * it is what memory holds. @throws UnavailableError when the outage begins or ends meanwhile: a part is not the whole
   */
  entries(prefix?: string): AsyncIterable<readonly [string, V]>
  stats(): KeyValueStats
  readonly state: FailoverState
  /** Ends the store; the connection stays. May be called again. */
  close(): Promise<void>
}

/**
 * Typed keys and values on Redis, in memory while it is away.
 * @example
 * const sessions = createKeyValueStore<Session>({ redis, prefix: 'session', ttl: '24h' })
 */
export function createKeyValueStore<V>(options: KeyValueStoreOptions<V>): KeyValueStore<V> {
  return new Store(options)
}

const json: Codec<unknown> = { encode: (value) => JSON.stringify(value), decode: (text) => JSON.parse(text) }

const optionNames = {
  redis: true,
  prefix: true,
  ttl: true,
  maxEntries: true,
  maxBytes: true,
  codec: true,
  writeBack: true,
  onOutage: true,
  durability: true,
  clock: true,
} as const

class Store<V> implements KeyValueStore<V> {
  readonly #codec: Codec<V>
  readonly #ttlMs: number
  readonly #prefix: string
  readonly #memory: OutageKeyValueStore
  readonly #stores: Failover<KeyValuePort>
  readonly #counts = { hits: 0, misses: 0, writes: 0, deletes: 0, fromMemory: 0 }
  #isClosed = false

  constructor(options: KeyValueStoreOptions<V>) {
    option.members('', options, optionNames)
    const { redis, prefix, maxEntries, maxBytes, clock, onOutage, durability, writeBack = false } = options
    if (typeof prefix !== 'string' || !/^[\w.-]+$/.test(prefix)) {
      throw new InvalidOptionError('prefix', 'letters, digits, dots, dashes and underscores', prefix)
    }
    option.flag('writeBack', writeBack)
    this.#codec = options.codec ?? (json as Codec<V>)
    this.#ttlMs = durationMs('ttl', options.ttl ?? '1h', { minMs: 1 })
    this.#prefix = `${redis?.namespace ?? ''}kv:${prefix}:`
    this.#memory = new OutageKeyValueStore({
      maxEntries,
      maxBytes,
      clock,
      writesBack: writeBack && redis !== undefined,
    })
    this.#stores = failover<KeyValuePort>(redis, {
      name: 'key-value',
      durability,
      primary: redis && new RedisKeyValueStore(redis),
      fallback: this.#memory,
      onOutage,
      held: () => ({ entries: this.#memory.entries, bytes: this.#memory.bytes }),
      recover: (context) => this.#memory.handOver(context),
    })
  }

  get state(): FailoverState {
    return this.#stores.state
  }

  async get(key: string): Promise<V | undefined> {
    return (await this.lookUp(key)).value
  }

  async lookUp(key: string): Promise<{ value: V | undefined; source: Source }> {
    const name = this.#key(key)
    const { value: found, source } = await this.#run((store) => store.get(name))
    this.#counts[found === undefined ? 'misses' : 'hits']++
    if (source === 'redis') this.#memory.note(name, found)
    return { value: found && this.#decode(found.value), source }
  }

  async has(key: string): Promise<boolean> {
    const name = this.#key(key)
    const { value: found, source } = await this.#run((store) => store.get(name))
    if (source === 'redis') this.#memory.note(name, found)
    return found !== undefined
  }

  async set(
    key: string,
    value: V,
    options: { readonly ttl?: Duration; readonly nx?: boolean } = {},
  ): Promise<boolean> {
    const { ttl, nx = false } = input.members('options', options, { ttl: true, nx: true })
    const ttlMs = this.#ttl(ttl)
    const text = this.#encode(value)
    const name = this.#key(key)
    const { value: result, source } = await this.#run((store) =>
      store.set(name, text, { ttlMs, onlyIfAbsent: input.flag('nx', nx) }),
    )
    if (!result.written) return false
    this.#counts.writes++
    if (source === 'redis') this.#memory.note(name, { value: text, version: result.version, ttlMs })
    return true
  }

  async delete(key: string): Promise<boolean> {
    const name = this.#key(key)
    const { value, source } = await this.#run((store) => store.delete(name))
    if (source === 'redis') this.#memory.forget(name)
    if (value) this.#counts.deletes++
    return value
  }

  async getMany(keys: readonly string[]): Promise<readonly (V | undefined)[]> {
    const names = keys.map((key) => this.#key(key))
    const { value: found, source } = await this.#run((store) => store.getMany(names))
    for (const [index, name] of names.entries()) {
      this.#counts[found[index] === undefined ? 'misses' : 'hits']++
      if (source === 'redis') this.#memory.note(name, found[index])
    }
    return found.map((one) => one && this.#decode(one.value))
  }

  async setMany(
    entries: Iterable<readonly [string, V]>,
    options: { readonly ttl?: Duration } = {},
  ): Promise<void> {
    input.members('options', options, { ttl: true })
    await mapBounded([...entries], maxAtOnce, ([key, value]) => this.set(key, value, options))
  }

  async increment(key: string, by = 1): Promise<number> {
    if (!Number.isSafeInteger(by)) throw new InvalidInputError('by', 'a whole number', by)
    const name = this.#key(key)
    const { value: sum, source } = await this.#run((store) => store.increment(name, by, this.#ttlMs))
    if (source === 'redis') this.#memory.note(name, sum)
    return Number(sum.value)
  }

  async touch(key: string, ttl?: Duration): Promise<boolean> {
    const ttlMs = this.#ttl(ttl)
    const name = this.#key(key)
    const { value: isThere, source } = await this.#run((store) => store.touch(name, ttlMs))
    if (source === 'redis') {
      if (isThere) this.#memory.noteTtl(name, ttlMs)
      else this.#memory.forget(name)
    }
    return isThere
  }

  async clear(prefix = ''): Promise<number> {
    const { value } = await this.#run(async (store) => {
      let count = 0
      for await (const page of store.keys(this.#prefix + prefix)) {
        const deleted = await mapBounded(page, maxAtOnce, (key) => store.delete(key))
        for (const key of page) if (store !== this.#memory) this.#memory.forget(key)
        count += deleted.filter(Boolean).length
      }
      return count
    })
    return value
  }

  async *entries(prefix = ''): AsyncIterable<readonly [string, V]> {
    const listed = await this.#run(async (store) => {
      const all = new Set<string>()
      for await (const page of store.keys(this.#prefix + prefix)) for (const key of page) all.add(key)
      return [...all]
    })
    for (let at = 0; at < listed.value.length; at += maxAtOnce) {
      const names = listed.value.slice(at, at + maxAtOnce)
      const { value, source } = await this.#run((store) => store.getMany(names))
      if (source !== listed.source) {
        const change = source === 'redis' ? 'came back' : 'went away'
        throw new UnavailableError('CONNECTION_DOWN', `Redis ${change} during entries()`, 'not-sent')
      }
      for (const [index, found] of value.entries()) {
        if (found) yield [(names[index] ?? '').slice(this.#prefix.length), this.#decode(found.value)]
      }
    }
  }

  stats(): KeyValueStats {
    return { ...this.#counts, memoryEntries: this.#memory.entries, memoryBytes: this.#memory.bytes }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#stores.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #run<T>(operation: (store: KeyValuePort) => Promise<T>): Promise<{ value: T; source: Source }> {
    if (this.#isClosed) throw new EvenkeelError('CLOSED', 'The key-value store was closed')
    const answer = await this.#stores.run(operation)
    if (answer.source === 'memory') this.#counts.fromMemory++
    return answer
  }

  #key(key: string): string {
    return this.#prefix + checkSubject('key', key)
  }

  #ttl(ttl: Duration | undefined): number {
    return ttl === undefined ? this.#ttlMs : durationMs('ttl', ttl, { minMs: 1 }, InvalidInputError)
  }

  #encode(value: V): string {
    const text = this.#codec.encode(value)
    if (typeof text !== 'string')
      throw new InvalidInputError('value', 'something that the codec makes text of', value)
    return text
  }

  /** What the codec says is not passed on: JSON.parse repeats the text. */
  #decode(text: string): V {
    try {
      return this.#codec.decode(text)
    } catch {
      throw new EvenkeelError('REDIS_REPLY', `The codec can't read a value of '${this.#prefix}'`)
    }
  }
}
