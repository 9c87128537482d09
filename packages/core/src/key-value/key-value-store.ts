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

/** Converts values to text and back. @default JSON */
export interface Codec<V> {
  encode(value: V): string
  decode(text: string): V
}

export interface KeyValueStoreOptions<V> {
  /** The connection. Without it, the values are kept only in this process. */
  readonly redis?: Connection | undefined
  /** Names the store and is part of every key: letters, digits, dots, dashes and underscores. */
  readonly prefix: string
  /** How long a value lives, unless its `set` says otherwise; at least 1 ms. @default '1h' */
  readonly ttl?: Duration | undefined
  /** How many values memory may hold. @default 10_000 */
  readonly maxEntries?: number | undefined
  /** How many bytes memory may hold. @default 64 MiB */
  readonly maxBytes?: number | undefined
  readonly codec?: Codec<V> | undefined
  /**
   * After an outage, writes the values to Redis that this process set, deleted or touched during the outage. A key is
   * written only where Redis still holds what this process last knew; if another process has changed or deleted it,
   * Redis wins. Values that were only read are never written. With `false`, Redis always wins, and what was written
   * during the outage is forgotten. @default false
   */
  readonly writeBack?: boolean | undefined
  /** With `'throw'`, calls reject with an UnavailableError instead of using memory. @default 'fallback' */
  readonly onOutage?: 'fallback' | 'throw' | undefined
  /** What a loss of the values in Redis means; decides which alerts the store needs. @default 'disposable' */
  readonly durability?: Durability | undefined
  readonly clock?: Clock | undefined
}

export interface KeyValueStats {
  readonly hits: number
  readonly misses: number
  readonly writes: number
  readonly deletes: number
  /** Operations that were answered from memory. */
  readonly fromMemory: number
  readonly memoryEntries: number
  readonly memoryBytes: number
}

/**
 * One round trip for each operation, unless its comment says otherwise. While Redis is away, memory answers with what
 * this process has read and written, each value for the rest of its time to live. An operation on many keys has at most
 * 256 commands in flight, or fewer if the connection has less room.
 * @throws UnavailableError `OVERLOADED` if there is no room for a single command; memory does not answer then
 * @throws EvenkeelError `CLOSED` after {@link close}
 */
export interface KeyValueStore<V> extends AsyncDisposable {
  get(key: string): Promise<V | undefined>
  /** As {@link get}; also says which store answered. */
  lookUp(key: string): Promise<{ readonly value: V | undefined; readonly source: Source }>
  has(key: string): Promise<boolean>
  /** Resolves with whether the value was written. Only `nx` (write only if the key has no value) can prevent it. */
  set(key: string, value: V, options?: { readonly ttl?: Duration; readonly nx?: boolean }): Promise<boolean>
  delete(key: string): Promise<boolean>
  /** The values in the order of the keys. Pipelined, one command for each key. */
  getMany(keys: readonly string[]): Promise<readonly (V | undefined)[]>
  /** Pipelined, one command for each entry. Not atomic: if it rejects, some entries may have been written. */
  setMany(entries: Iterable<readonly [string, V]>, options?: { readonly ttl?: Duration }): Promise<void>
  /**
   * Adds `by` (1 by default) to a whole number, or to 0 if there is none. Resolves with the sum. Not idempotent: a
   * retry after an unknown outcome may count twice.
   * @throws EvenkeelError `REDIS_REPLY` if the value or the sum is not a whole number that JavaScript holds exactly
   */
  increment(key: string, by?: number): Promise<number>
  /** Sets a new ttl, the store's by default. Resolves with `false` if there is no value. */
  touch(key: string, ttl?: Duration): Promise<boolean>
  /**
   * Deletes all keys that begin with the prefix, in pages of about 500 keys, on all nodes. Resolves with how many. In
   * an outage it deletes the keys that memory holds.
   */
  clear(prefix?: string): Promise<number>
  /**
   * Yields the entries whose keys begin with the prefix, each once: every entry that stays during the walk, and none
   * that never existed. In an outage it yields what memory holds.
   * @throws UnavailableError if an outage begins or ends during the walk, because the result would be incomplete
   */
  entries(prefix?: string): AsyncIterable<readonly [string, V]>
  stats(): KeyValueStats
  readonly state: FailoverState
  /** Closes the store and leaves the connection open. May be called more than once. */
  close(): Promise<void>
}

/**
 * A store of typed values by key in Redis, which answers from memory while Redis is away.
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

  /** Does not pass on the codec's error, because JSON.parse repeats the text in its message. */
  #decode(text: string): V {
    try {
      return this.#codec.decode(text)
    } catch {
      throw new EvenkeelError('REDIS_REPLY', `The codec can't read a value of '${this.#prefix}'`)
    }
  }
}
