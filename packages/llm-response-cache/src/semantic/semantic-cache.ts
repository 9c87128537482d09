import { createKeyValueStore, InvalidOptionError, type KeyValueStore } from '@evenkeel/core'
import { type Finding, SemanticLookup } from './lookup.js'
import { observeSemantic } from './metrics.js'
import { resolveSemanticOptions, type SemanticOptions } from './options.js'
import type { Question } from './question.js'
import type { SemanticStats } from './stats.js'
import { type AnswerStore, type SemanticWrapOptions, type SemanticWrapped, wrapWithMeaning } from './wrap.js'

export interface SemanticCache {
  /**
   * The function behind the cache: a question asked before gets its answer, in the same words or in others
   * that are proved to mean the same. Errors are not kept.
   */
  wrap<Args extends readonly unknown[], T>(
    call: (...args: Args) => Promise<T>,
    options?: SemanticWrapOptions<Args>,
  ): SemanticWrapped<Args, T>
  /**
   * For a cache of your own: looks a question up whose exact `key` has missed. `read` gives the answer of
   * another key. After a miss call the provider, keep the answer under the key, and tell `learn`.
   */
  find<A>(question: Question, key: string, read: (key: string) => Promise<A | undefined>): Promise<Finding<A>>
  /** A hit was wrong, say your users: it is not served again for questions as far. @throws InvalidInputError */
  reportWrong(hitId: string): Promise<void>
  /** Counts of this process, and what all have learned. No round trip. */
  stats(): SemanticStats
  /** Resolves when what is being learned in the background has been. */
  settled(): Promise<void>
  /** Ends what the cache began; the connection stays open. */
  close(): void
}

export interface SemanticCacheOptions extends SemanticOptions {
  /** @default core's key-value store on the same connection */
  readonly answers?: AnswerStore | undefined
}

/**
 * Answers questions in other words, with a bound on how often that is wrong. It begins in the shadow:
 * nothing is served before fresh answers have proved, with the wanted confidence, that at most
 * `maxErrorRate` of what would be served is wrong. The bound holds while questions go on to be of the kind
 * that was audited; audits go on, and when errors become more frequent nothing is served until it is
 * proved anew.
 * @example
 * const semantic = createSemanticCache({ redis, embed, model: 'text-embedding-3-small', maxErrorRate: 0.02 })
 * const ask = semantic.wrap(callModel)
 */
export function createSemanticCache(options: SemanticCacheOptions): SemanticCache {
  const resolved = resolveSemanticOptions(options)
  const finder = new SemanticLookup(resolved)
  const stopMetrics = observeSemantic(resolved.telemetry, () => finder.stats())
  const kept = options.answers === undefined ? keyValueAnswers(options, resolved.tenant) : undefined
  const answers = options.answers ?? kept?.answers
  if (answers === undefined) throw new InvalidOptionError('answers', 'a store of answers', answers)
  return {
    wrap: (call, wrapOptions = {}) =>
      wrapWithMeaning({ finder, answers, ttlMs: resolved.ttlMs }, call, wrapOptions),
    find: (question, key, read) => finder.find(question, key, read),
    reportWrong: (hitId) => finder.reportWrong(hitId),
    stats: () => finder.stats(),
    settled: () => finder.settled(),
    close: () => {
      stopMetrics()
      finder.close()
      void kept?.store.close()
    },
  }
}

function keyValueAnswers(
  { redis, maxBytes, clock }: SemanticCacheOptions,
  tenant: string,
): { readonly answers: AnswerStore; readonly store: KeyValueStore<unknown> } {
  const store = createKeyValueStore<unknown>({ redis, prefix: 'llm-answers', maxBytes, clock })
  const name = (key: string) => `${encodeURIComponent(tenant)}/${key}`
  const answers: AnswerStore = {
    get: (key) => store.get(name(key)),
    set: async (key, answer, ttlMs) => {
      await store.set(name(key), answer, { ttl: ttlMs })
    },
  }
  return { answers, store }
}
