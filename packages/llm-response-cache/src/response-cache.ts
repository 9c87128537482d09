import type { FailoverState } from '@evenkeel/core'
import { option } from '@evenkeel/core/kit'
import { type CallOptions, CallScope, policyOf } from './call-options.js'
import { type Clear, type ClearResult, clearing } from './clear.js'
import { Embeddings, type EmbeddingsOptions } from './embeddings.js'
import { cachedFetch } from './fetch/cached-fetch.js'
import type { Fetch, FetchOptions } from './fetch/options.js'
import type { ResponseContext } from './fetch/response-context.js'
import { tracedFetch } from './fetch/traced-fetch.js'
import { canonicalHash } from './key/canonical.js'
import { type Explanation, explain } from './key/explain.js'
import { contexts } from './lookup/adapter-context.js'
import { createContext } from './lookup/create-context.js'
import { SemanticSearch } from './lookup/semantic.js'
import {
  type ResponseCacheOptions as BaseOptions,
  resolveResponseOptions,
  responseCacheOptionNames,
} from './options.js'
import type { SemanticOptions } from './semantic/options.js'
import type { SemanticCache } from './semantic/semantic-cache.js'
import type { CacheEvents } from './usage/events.js'
import type { CacheStats } from './usage/stats.js'
import { type WrapOptions, type Wrapped, wrapFunction } from './wrap.js'

export interface ResponseCacheOptions extends BaseOptions {
  /**
   * Answers for the same question in other words, looked up in `fetch()` after the exact key has missed. Give the
   * options of `createSemanticCache`, or a cache that you made (to report wrong hits and read its statistics).
   */
  readonly semantic?: Omit<SemanticOptions, 'redis'> | Pick<SemanticCache, 'find'> | undefined
}

/** Infers the arguments from the function alone; a `key` with fewer parameters leaves them as they are. */
type Fixed<Args extends readonly unknown[]> = Args extends infer Own extends readonly unknown[] ? Own : never

export interface ResponseCache {
  /**
   * Wraps a function with the cache: equal calls within the ttl get the first call's answer, and equal calls at the
   * same time, in all instances, share one. Errors are not stored. One round trip for a look-up, none if this process
   * has the answer; a miss takes two more.
   */
  wrap<Args extends readonly unknown[], T>(
    call: (...args: Args) => Promise<T>,
    options?: WrapOptions<Fixed<Args>, NoInfer<T>>,
  ): Wrapped<Args, T>
  /**
   * Returns a `fetch` for a provider's SDK. It stores answers of chat, responses, messages, completions and embeddings
   * calls, and streams if they ended properly; everything else passes through. With `optionsByHeader`, a request's
   * `cache-control` (`no-store`, `no-cache`, `max-age`, `only-if-cached`, `stale-while-revalidate`) and
   * `x-evenkeel-ttl`, `-tags` apply to that request. Responses have the header `x-evenkeel-cache: hit | miss |
   * coalesced | stale | bypass`; hits have their `age` in seconds.
   */
  fetch(options?: FetchOptions): Fetch
  /**
   * Returns the vectors of texts, in their order. Each text is one entry: if 97 texts of 100 are known, the provider
   * is asked for 3. Vectors have 32-bit numbers, from the first call on. @throws what `embed` throws
   */
  embeddings(texts: readonly string[], options: EmbeddingsOptions): Promise<Float32Array[]>
  /** Sets options for all calls within a function, however deep, if an SDK cannot pass them on. */
  with<T>(options: CallOptions, within: () => T): T
  /** Makes all entries with one of these tags misses, including calls under way. O(1), one round trip. */
  invalidate(what: { readonly tags: readonly string[]; readonly tenant?: string }): Promise<void>
  /**
   * Deletes all entries of the tenant, in O(1); calls that began before it are not served after it. With a model, a
   * tag or a pattern it deletes only those entries, and returns how many: it walks the names of the database.
   */
  clear(what?: Clear): Promise<ClearResult>
  /**
   * Compares two requests ("why was that a miss?"): the JSON paths that differ, never their values, and why a request
   * bypasses the cache. No round trip.
   * @param url where they go; by default what their fields look like
   */
  explain(
    a: string | Readonly<Record<string, unknown>>,
    b: string | Readonly<Record<string, unknown>>,
    url?: string,
  ): Explanation
  /** Counts of this process since the cache was created. No round trip. */
  stats(): CacheStats
  /**
   * Listens to hits, misses and other outcomes. Listeners are called synchronously when the outcome is counted; if one
   * throws, a warning says so and nothing else happens. Returns a function that removes the listener.
   * @example cache.on('hit', ({ model, tokensSaved }) => log.info({ model, tokensSaved }, 'answered from the cache'))
   */
  on<K extends keyof CacheEvents>(event: K, listener: CacheEvents[K]): () => void
  /** Counts of all instances, which expire 30 days after the last one. Two round trips. */
  sharedStats(): Promise<CacheStats>
  /** Size of what this process keeps in memory. */
  readonly held: { readonly entries: number; readonly bytes: number }
  /** Whether entries come from Redis at the moment. No round trip. */
  readonly state: FailoverState
  /** Ends background work and rejects calls that wait; the connection stays open. May be called again. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Creates a cache in front of LLM providers, which all instances share through Redis. While Redis is away, answers
 * that this process has seen are served from its memory, and all other calls go to the provider.
 * @example
 * const cache = createResponseCache({ redis, ttl: '1h' })
 * const openai = new OpenAI({ fetch: cache.fetch() })
 */
export function createResponseCache(options: ResponseCacheOptions = {}): ResponseCache {
  option.members('', options, { ...responseCacheOptionNames, semantic: true })
  const resolved = resolveResponseOptions(options)
  const parts = createContext(resolved, { kind, room: 'llm-cache' }, resolved.prices, new CallScope())
  const semantic = options.semantic && semanticCacheOf(options.semantic, options)
  const context: ResponseContext = {
    ...parts,
    options: resolved,
    semantic: semantic && new SemanticSearch(semantic.cache),
    nameOf: (tenant, provider, model, key) =>
      `${kind}:${provider}:${inName(model)}:${parts.shown(tenant, key)}`,
  }
  const embeddings = new Embeddings(parts, resolved.embeddingsTtlMs)
  const close = async () => {
    await Promise.all([parts.close(), semantic?.close()])
  }
  const cache: ResponseCache = {
    wrap: <Args extends readonly unknown[], T>(
      call: (...args: Args) => Promise<T>,
      wrapOptions: WrapOptions<Fixed<Args>, T> = {},
    ) => wrapFunction(parts, call, wrapOptions as WrapOptions<Args, T>),
    fetch: (fetchOptions = {}) => tracedFetch(parts.spans, cachedFetch(context, fetchOptions)),
    embeddings: (texts, embeddingsOptions) => embeddings.get(texts, embeddingsOptions),
    with: (callOptions, within) => {
      policyOf(resolved.policy, callOptions)
      return parts.scope.run(callOptions, within)
    },
    invalidate: async (what) => {
      const { tenant, tags } = policyOf(resolved.policy, what)
      if (tags.length > 0) await parts.tiers.invalidate(tenant, parts.tiers.versionNames(tenant, tags))
    },
    clear: async (what = {}) => clearing(parts, what),
    explain: (a, b, url) =>
      explain(a, b, { rules: resolved.keys, maxTemperature: resolved.maxTemperature, url }),
    stats: () => parts.stats.read(),
    on: (event, listener) => parts.stats.events.on(event, listener),
    sharedStats: () => parts.sharedStats.read(),
    get held() {
      return parts.tiers.held
    },
    get state() {
      return parts.tiers.state
    },
    close,
    [Symbol.asyncDispose]: close,
  }
  contexts.set(cache, parts)
  return cache
}

/** Longest model name in an entry's name; a longer one, which is a caller's text, is hashed. */
const maxModelInName = 128

function inName(model: string): string {
  return model.length <= maxModelInName ? model : canonicalHash(model)
}

const kind = 'llm_response'

/** Closes only a semantic cache that it created. The code is loaded with the first cache that needs it. */
function semanticCacheOf(
  semantic: NonNullable<ResponseCacheOptions['semantic']>,
  { redis, ttl, tenant, clock }: ResponseCacheOptions,
): { readonly cache: Promise<Pick<SemanticCache, 'find'>>; close(): Promise<void> } {
  if ('find' in semantic) return { cache: Promise.resolve(semantic), close: async () => {} }
  const cache = import('./semantic/index.js').then(({ createSemanticCache }) =>
    createSemanticCache({ redis, ttl, tenant, clock, ...semantic }),
  )
  cache.catch(() => {})
  return { cache, close: () => cache.then((made) => made.close()).catch(() => {}) }
}
