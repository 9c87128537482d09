import { createKeyValueStore, InvalidOptionError, type KeyValueStore } from '@evenkeel/core'
import { FunctionNames } from '../key/function-names.js'
import { type Finding, SemanticLookup } from './lookup.js'
import { observeSemantic } from './metrics.js'
import { resolveSemanticOptions, type SemanticOptions } from './options.js'
import type { Question } from './question.js'
import type { SemanticStats } from './stats.js'
import { type AnswerStore, type SemanticWrapOptions, type SemanticWrapped, wrapWithMeaning } from './wrap.js'

export interface SemanticCache {
  /**
   * Wraps a function with the cache: a question that was asked before gets its answer, in the same words or in others
   * that are proved to mean the same. Errors are not stored.
   */
  wrap<Args extends readonly unknown[], T>(
    call: (...args: Args) => Promise<T>,
    options?: SemanticWrapOptions<Args>,
  ): SemanticWrapped<Args, T>
  /**
   * For a cache of your own: looks up a question whose exact `key` has missed. `read` returns the answer stored under
   * another key. After a miss, call the provider, store the answer under the key, and call `learn`.
   */
  find<A>(question: Question, key: string, read: (key: string) => Promise<A | undefined>): Promise<Finding<A>>
  /** Reports a wrong hit: it is not served again for questions as far apart, or farther. @throws InvalidInputError */
  reportWrong(hitId: string): Promise<void>
  /** Counts of this process, and what all instances have learned. No round trip. */
  stats(): SemanticStats
  /** Resolves when all learning in the background is done. */
  settled(): Promise<void>
  /** Ends background work; the connection stays open. */
  close(): void
}

export interface SemanticCacheOptions extends SemanticOptions {
  /** Where answers are stored. @default core's key-value store on the same connection */
  readonly answers?: AnswerStore | undefined
}

/**
 * Creates a cache that answers questions in other words, with a bound on how often that is wrong. It begins in shadow
 * mode: it serves nothing until audits of fresh answers have proved, with the required confidence, that at most
 * `maxErrorRate` of the served answers would be wrong. The bound holds while the questions stay of the kind that was
 * audited. Audits go on, and if errors become more frequent, nothing is served until the bound is proved again.
 * @example
 * const semantic = createSemanticCache({ redis, embed, model: 'text-embedding-3-small', maxErrorRate: 0.02 })
 * const ask = semantic.wrap(callModel)
 */
export function createSemanticCache(options: SemanticCacheOptions): SemanticCache {
  const resolved = resolveSemanticOptions(options)
  const finder = new SemanticLookup(resolved)
  const functionNames = new FunctionNames()
  const stopMetrics = observeSemantic(resolved.telemetry, () => finder.stats())
  const kept = options.answers === undefined ? keyValueAnswers(options, resolved.tenant) : undefined
  const answers = options.answers ?? kept?.answers
  if (answers === undefined) throw new InvalidOptionError('answers', 'a store of answers', answers)
  return {
    wrap: (call, wrapOptions = {}) =>
      wrapWithMeaning({ finder, answers, functionNames, ttlMs: resolved.ttlMs }, call, wrapOptions),
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
