import { type FailoverState, InvalidOptionError } from '@evenkeel/core'
import { checkSubject, option } from '@evenkeel/core/kit'
import { type CallOptions, CallScope, checkCallOptions, type Policy, policyOf } from './call-options.js'
import { type Clear, type ClearResult, clearing } from './clear.js'
import { type CacheContext, createContext } from './lookup/create-context.js'
import { type Codec, jsonCodec, textCodec, type ValueCodec } from './lookup/value-codec.js'
import { type Detailed, Values } from './lookup/values.js'
import { type CacheOptions, cacheOptionNames, resolveOptions } from './options.js'
import type { EntryKey } from './stores/port.js'
import type { CacheEvents } from './usage/events.js'
import type { CacheStats } from './usage/stats.js'

/** Kinds with their own default ttl. Any other name of letters, digits, `-` and `_` is possible. */
export type CacheKind = 'search-results' | 'model-metadata' | 'embeddings' | (string & {})

export interface ValueCacheOptions<V> extends CacheOptions {
  /** Name of the cache in keys and metrics, and in the variable of its default ttl: `CACHE_TTL_<KIND>` in seconds. */
  readonly kind: CacheKind
  /** Converts values to text and back. @default JSON, for plain values alone */
  readonly codec?: Codec<V> | undefined
  /**
   * What callers get from this process's copy of an entry: `copy` gives each caller a fresh copy; `frozen` gives all
   * callers the same deeply frozen value, without decoding it again. @default 'copy'
   */
  readonly share?: 'copy' | 'frozen' | undefined
}

const names: Readonly<Record<keyof ValueCacheOptions<unknown>, true>> = {
  ...cacheOptionNames,
  kind: true,
  codec: true,
  share: true,
}

type OnlyIfCached = CallOptions & { readonly onlyIfCached: true }

/** A cache of values. Each operation takes one round trip, or none if this process has the entry. */
export interface ValueCache<V> {
  /** Returns the stored value; `undefined` for a miss, since `load` is not called. */
  getOrSet(key: string, load: () => Promise<V>, options: OnlyIfCached): Promise<V | undefined>
  /** Returns the stored value, or calls `load`, once for all callers at the same time. Its errors are not stored. */
  getOrSet(key: string, load: () => Promise<V>, options?: CallOptions): Promise<V>
  detailed(key: string, load: () => Promise<V>, options: OnlyIfCached): Promise<Detailed<V | undefined>>
  /** Like {@link getOrSet}, and says how the value was obtained. */
  detailed(key: string, load: () => Promise<V>, options?: CallOptions): Promise<Detailed<V>>
  get(key: string, options?: CallOptions): Promise<V | undefined>
  /** Stores a value. Returns whether it was stored. Two round trips. */
  set(key: string, value: V, options?: CallOptions): Promise<boolean>
  /** Deletes an entry. Returns whether there was one. A call under way for it stores nothing. One round trip. */
  delete(key: string, options?: Pick<CallOptions, 'tenant'>): Promise<boolean>
  clear(what?: Clear): Promise<ClearResult>
  /** Makes all entries with one of these tags misses. O(1), one round trip. */
  invalidate(what: { readonly tags: readonly string[]; readonly tenant?: string }): Promise<void>
  with<T>(options: CallOptions, within: () => T): T
  stats(): CacheStats
  /** Like {@link ResponseCache.on}. */
  on<K extends keyof CacheEvents>(event: K, listener: CacheEvents[K]): () => void
  readonly state: FailoverState
  /** Ends background work and rejects calls that wait; the connection stays open. May be called again. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Creates a cache for values around models: search results, model metadata, tool results. It works like the response
 * cache: single-flight across instances, stale-while-revalidate, tags, two tiers, statistics.
 * @example
 * const search = createCache<Hit[]>({ redis, kind: 'search-results', ttl: '10m', staleWhileRevalidate: '1h' })
 * const hits = await search.getOrSet(query, () => searchEngine(query))
 */
export function createCache<V>(options: ValueCacheOptions<V>): ValueCache<V> {
  const { kind, codec, share = 'copy' } = options
  if (typeof kind !== 'string' || !/^[\w-]{1,64}$/.test(kind)) {
    throw new InvalidOptionError('kind', 'letters, digits, dashes and underscores', kind)
  }
  if (share !== 'copy' && share !== 'frozen')
    throw new InvalidOptionError('share', "'copy' or 'frozen'", share)
  option.members('', options, names)
  const resolved = resolveOptions(options, kind)
  const context = createContext(resolved, { kind, room: `llm-cache-${kind}` }, {}, new CallScope())
  return new ValueCacheOf(context, codec, share === 'frozen')
}

class ValueCacheOf<V> implements ValueCache<V> {
  readonly #context: CacheContext
  readonly #values: Values<V>
  readonly #isShared: boolean

  constructor(context: CacheContext, codec: ValueCacheOptions<V>['codec'], isShared: boolean) {
    this.#context = context
    this.#isShared = isShared
    const own = codec === undefined ? (jsonCodec as ValueCodec<V>) : textCodec(codec)
    this.#values = new Values<V>(context, own)
  }

  getOrSet(key: string, load: () => Promise<V>, options?: CallOptions): Promise<V> {
    try {
      const policy = this.#policy(options)
      return this.#values.get(this.#entryKey(key, policy), policy, load, this.#isShared)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async detailed(key: string, load: () => Promise<V>, options?: CallOptions): Promise<Detailed<V>> {
    const policy = this.#policy(options)
    return this.#values.detailed(this.#entryKey(key, policy), policy, load)
  }

  async get(key: string, options?: CallOptions): Promise<V | undefined> {
    const policy = this.#policy(options)
    return this.#values.peek(this.#entryKey(key, policy), policy)
  }

  async set(key: string, value: V, options?: CallOptions): Promise<boolean> {
    const policy = this.#policy(options)
    return this.#values.set(this.#entryKey(key, policy), policy, value)
  }

  async delete(key: string, options?: Pick<CallOptions, 'tenant'>): Promise<boolean> {
    const entryKey = this.#entryKey(key, this.#policy(options))
    return (await this.#context.tiers.delete(entryKey.tenant, [entryKey.name])) > 0
  }

  async clear(what: Clear = {}): Promise<ClearResult> {
    return clearing(this.#context, what)
  }

  async invalidate(what: { readonly tags: readonly string[]; readonly tenant?: string }): Promise<void> {
    const { tenant, tags } = this.#policy(what)
    const { tiers } = this.#context
    if (tags.length > 0) await tiers.invalidate(tenant, tiers.versionNames(tenant, tags))
  }

  with<T>(options: CallOptions, within: () => T): T {
    policyOf(this.#context.options.policy, options)
    return this.#context.scope.run(options, within)
  }

  stats(): CacheStats {
    return this.#context.stats.read()
  }

  on<K extends keyof CacheEvents>(event: K, listener: CacheEvents[K]): () => void {
    return this.#context.stats.events.on(event, listener)
  }

  get state(): FailoverState {
    return this.#context.tiers.state
  }

  close(): Promise<void> {
    return this.#context.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #policy(options: CallOptions | undefined): Policy {
    const { policy } = this.#context.options
    const { current } = this.#context.scope
    if (options === undefined && current === undefined) return policy
    return policyOf(policy, { ...current, ...(options && checkCallOptions(options)) })
  }

  #entryKey(key: string, { tenant }: Policy): EntryKey {
    return { tenant, name: this.#context.shown(tenant, checkSubject('key', key)) }
  }
}
