import type { FailoverState } from '@evenkeel/core'
import { cachedFetch, type Fetch, type FetchOptions } from './fetch.js'
import { type ResponseCacheOptions, resolveOptions } from './options.js'
import { type CacheStats, StatsCounter } from './stats.js'
import { Vault } from './vault.js'
import { type WrapOptions, type Wrapped, wrapFunction } from './wrap.js'

export interface ResponseCache {
  /**
   * The function, behind the cache: equal calls within the ttl get the first one's answer, and equal calls
   * at the same time share one. Errors are not kept. One round trip a look-up.
   */
  wrap<Args extends readonly unknown[], T>(
    call: (...args: Args) => Promise<T>,
    options?: WrapOptions<Args>,
  ): Wrapped<Args, T>
  /**
   * A `fetch` for a provider's SDK: answers of chat, responses, messages, completions and embeddings calls
   * are kept, streams too, once they ended properly; everything else passes through. `cache-control:
   * no-store` on a request passes it through, `no-cache` replaces the entry. Responses say
   * `x-evenkeel-cache: hit | miss | coalesced | bypass`, hits their `age` in seconds.
   */
  fetch(options?: FetchOptions): Fetch
  /** Forgets all answers of the namespace, in O(1); an answer begun before it is not served after it. */
  clear(): Promise<void>
  /** Counts of this process since it began. */
  stats(): CacheStats
  /** Whether entries come from Redis at the moment. */
  readonly state: FailoverState
  /** Ends what the cache began; the connection stays open. */
  close(): void
}

/**
 * A cache in front of LLM providers, shared by all instances through Redis. While Redis is away, answers
 * that this process has seen are served from its memory, and all other calls go on to the provider.
 * @example
 * const cache = createResponseCache({ redis, ttl: '1h' })
 * const openai = new OpenAI({ fetch: cache.fetch() })
 */
export function createResponseCache(options: ResponseCacheOptions = {}): ResponseCache {
  const resolved = resolveOptions(options)
  const parts = { options: resolved, vault: new Vault(resolved), stats: new StatsCounter() }
  return {
    wrap: (call, wrapOptions = {}) => wrapFunction(parts, call, wrapOptions),
    fetch: (fetchOptions = {}) => cachedFetch(parts, fetchOptions),
    clear: () => parts.vault.clear(),
    stats: () => parts.stats.read(),
    get state() {
      return parts.vault.state
    },
    close: () => parts.vault.close(),
  }
}
