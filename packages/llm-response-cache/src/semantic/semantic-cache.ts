import {
  createKeyValueStore,
  type Duration,
  durationMs,
  InvalidOptionError,
  type KeyValueStore,
} from '@evenkeel/core'
import { Finder, type Finding } from './finder.js'
import { resolveSemanticOptions, type SemanticOptions } from './options.js'
import { type Question, questionOf, scopeOf } from './question.js'
import type { SemanticStats } from './stats.js'

/** Where answers are kept by their exact key. */
export interface AnswerStore {
  get(key: string): Promise<unknown>
  set(key: string, answer: unknown, ttlMs: number): Promise<void>
}

export interface SemanticWrapOptions<Args extends readonly unknown[]> {
  /** Names the function in keys. @default its own name */
  readonly name?: string | undefined
  /**
   * What is asked: the text that is compared by meaning, and everything else that the answer depends on.
   * Nothing for a call that is not to be cached. @default takes apart the first argument, see `questionOf`
   */
  readonly question?: ((...args: Args) => Question | undefined) | undefined
  /** @default the cache's */
  readonly ttl?: Duration | undefined
}

export interface SemanticAnswer<T> {
  readonly value: T
  /** Whether the function was not called for this answer. */
  readonly cached: boolean
  readonly outcome: 'hit' | 'semantic' | 'coalesced' | 'miss' | 'bypass'
  /** Of a semantic hit. */
  readonly semantic?:
    | { readonly similarity: number; readonly confidence: number; readonly hitId: string }
    | undefined
}

export interface SemanticWrapped<Args extends readonly unknown[], T> {
  (...args: Args): Promise<T>
  detailed(...args: Args): Promise<SemanticAnswer<T>>
}

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
  const finder = new Finder(resolved)
  const kept = options.answers === undefined ? keyValueAnswers(options, resolved.namespace) : undefined
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
      finder.close()
      kept?.store.close()
    },
  }
}

function keyValueAnswers(
  { redis, maxBytes, clock }: SemanticCacheOptions,
  namespace: string,
): { readonly answers: AnswerStore; readonly store: KeyValueStore<unknown> } {
  const store = createKeyValueStore<unknown>({ redis, prefix: 'llm-answers', maxBytes, clock })
  const name = (key: string) => `${encodeURIComponent(namespace)}/${key}`
  const answers: AnswerStore = {
    get: (key) => store.get(name(key)),
    set: async (key, answer, ttlMs) => {
      await store.set(name(key), answer, { ttl: ttlMs })
    },
  }
  return { answers, store }
}

interface Parts {
  readonly finder: Finder
  readonly answers: AnswerStore
  readonly ttlMs: number
}

/** An answer as it is kept, so that one that is `null` is told from none. */
interface Kept<T> {
  readonly value: T
}

function wrapWithMeaning<Args extends readonly unknown[], T>(
  { finder, answers, ttlMs: defaultTtlMs }: Parts,
  call: (...args: Args) => Promise<T>,
  options: SemanticWrapOptions<Args>,
): SemanticWrapped<Args, T> {
  const name = options.name ?? call.name
  if (name === '') throw new InvalidOptionError('name', 'a name, since the function has none', name)
  const ttlMs = options.ttl === undefined ? defaultTtlMs : durationMs('ttl', options.ttl, { minMs: 1 })
  const ask = options.question ?? ((...args: Args) => questionOf(args[0]))
  const flights = new Map<string, Promise<SemanticAnswer<T>>>()

  const read = async (key: string): Promise<Kept<T> | undefined> => {
    const kept: unknown = await answers.get(key)
    return typeof kept === 'object' && kept !== null && 'value' in kept ? (kept as Kept<T>) : undefined
  }

  const produce = async (question: Question, key: string, args: Args): Promise<SemanticAnswer<T>> => {
    // A store that errs is a miss; only what is really gone is taken out of the index.
    const exact = await read(key).catch(() => undefined)
    if (exact !== undefined) return { value: exact.value, cached: true, outcome: 'hit' }
    const named = { text: question.text, context: [name, question.context] }
    const finding = await finder.find(named, key, read)
    if (finding.outcome === 'hit') return semanticAnswer(finding)
    try {
      const value = await call(...args)
      if (value !== undefined) {
        // An answer must not fail because it can't be kept; then it can't be found either.
        const isKept = await answers.set(key, { value }, ttlMs).then(
          () => true,
          () => false,
        )
        if (isKept) finding.learn({ value }, ttlMs)
      }
      return { value, cached: false, outcome: 'miss' }
    } catch (error) {
      const withheld = finding.fallback()
      if (withheld === undefined) throw error
      return semanticAnswer(withheld)
    }
  }

  const detailed = async (...args: Args): Promise<SemanticAnswer<T>> => {
    const question = ask(...args)
    const key = question && scopeOf([question.text, question.context], name)
    if (question === undefined || key === undefined) {
      return { value: await call(...args), cached: false, outcome: 'bypass' }
    }
    const under = flights.get(key)
    if (under !== undefined) {
      const answer = await under
      return { ...answer, value: copyOf(answer.value), cached: true, outcome: 'coalesced' }
    }
    const flight = produce(question, key, args).finally(() => flights.delete(key))
    flights.set(key, flight)
    return flight
  }

  return Object.assign(async (...args: Args) => (await detailed(...args)).value, { detailed })
}

/** Whoever shares an answer gets a copy of its own, as JSON carries it where nothing else does. */
function copyOf<T>(value: T): T {
  try {
    return structuredClone(value)
  } catch {
    return JSON.parse(JSON.stringify(value)) as T
  }
}

function semanticAnswer<T>({
  answer,
  similarity,
  confidence,
  hitId,
}: {
  readonly answer: Kept<T>
  readonly similarity: number
  readonly confidence: number
  readonly hitId: string
}): SemanticAnswer<T> {
  return {
    value: answer.value,
    cached: true,
    outcome: 'semantic',
    semantic: { similarity, confidence, hitId },
  }
}
