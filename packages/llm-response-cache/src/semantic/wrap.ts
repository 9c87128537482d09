import type { Duration } from '@evenkeel/core'
import { durationMs } from '@evenkeel/core/kit'
import type { FunctionNames } from '../key/function-names.js'
import type { SemanticLookup } from './lookup.js'
import { type Question, questionOf, scopeOf } from './question.js'

/** Stores answers by their exact key. */
export interface AnswerStore {
  get(key: string): Promise<unknown>
  set(key: string, answer: unknown, ttlMs: number): Promise<void>
}

export interface SemanticWrapOptions<Args extends readonly unknown[]> {
  /**
   * Name of the function in keys. A minifier shortens a function's own name, and gives the same to another one in the
   * next build; so a name of up to three characters counts together with the function's source.
   * @default its own name, which no other wrapped function may have
   */
  readonly name?: string | undefined
  /**
   * Returns the question: the text that is compared by meaning, and everything else that the answer depends on.
   * `undefined` for a call that should not be cached. @default takes apart the first argument, see `questionOf`
   */
  readonly question?: ((...args: Args) => Question | undefined) | undefined
  /** @default the cache's */
  readonly ttl?: Duration | undefined
}

export interface SemanticAnswer<T> {
  readonly value: T
  /** `true` if the function was not called for this answer. */
  readonly cached: boolean
  readonly outcome: 'hit' | 'semantic' | 'coalesced' | 'miss' | 'bypass'
  /** Only for a semantic hit. */
  readonly semantic?:
    | { readonly similarity: number; readonly confidence: number; readonly hitId: string }
    | undefined
}

export interface SemanticWrapped<Args extends readonly unknown[], T> {
  (...args: Args): Promise<T>
  detailed(...args: Args): Promise<SemanticAnswer<T>>
}

interface Parts {
  readonly finder: SemanticLookup
  readonly answers: AnswerStore
  readonly functionNames: FunctionNames
  readonly ttlMs: number
}

/** A stored answer, wrapped so that a `null` answer differs from none. */
interface Kept<T> {
  readonly value: T
}

/** Puts the exact and the semantic cache in front of a function. */
export function wrapWithMeaning<Args extends readonly unknown[], T>(
  { finder, answers, functionNames, ttlMs: defaultTtlMs }: Parts,
  call: (...args: Args) => Promise<T>,
  options: SemanticWrapOptions<Args>,
): SemanticWrapped<Args, T> {
  const { key: functionKey } = functionNames.identify(call, options.name)
  const ttlMs = options.ttl === undefined ? defaultTtlMs : durationMs('ttl', options.ttl, { minMs: 1 })
  const ask = options.question ?? ((...args: Args) => questionOf(args[0]))
  const flights = new Map<string, Promise<SemanticAnswer<T>>>()

  const read = async (key: string): Promise<Kept<T> | undefined> => {
    const kept: unknown = await answers.get(key)
    return typeof kept === 'object' && kept !== null && 'value' in kept ? (kept as Kept<T>) : undefined
  }

  const produce = async (question: Question, key: string, args: Args): Promise<SemanticAnswer<T>> => {
    // A store that fails is a miss; only an answer that is really gone is removed from the index.
    const exact = await read(key).catch(() => undefined)
    if (exact !== undefined) return { value: exact.value, cached: true, outcome: 'hit' }
    const named = { text: question.text, context: [functionKey, question.context] }
    const finding = await finder.find(named, key, read)
    if (finding.outcome === 'hit') return semanticAnswer(finding)
    try {
      const value = await call(...args)
      if (value !== undefined) {
        // A call must not fail because its answer can't be stored; then the answer can't be found either.
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
    const key = question && scopeOf([question.text, question.context], functionKey)
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

/** Each caller that shares an answer gets its own copy, made through JSON where nothing else can copy it. */
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
