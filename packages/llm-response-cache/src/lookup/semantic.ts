import type { Policy } from '../call-options.js'
import { bytesOf, type Entry } from '../entry/entry.js'
import { answerIn } from '../fetch/forms/forms.js'
import type { CacheableRequest } from '../key/request-key.js'
import type { SemanticHit } from '../semantic/lookup.js'
import { type Question, questionOf } from '../semantic/question.js'
import type { SemanticCache } from '../semantic/semantic-cache.js'
import type { EntryKey } from '../stores/port.js'
import type { Alternative } from './call.js'
import { type LookupContext, lookUp } from './context.js'

export interface MeaningLookup {
  readonly question: Question
  readonly entryKey: EntryKey
  readonly policy: Policy
  /** Whether an entry is of the right kind. */
  suits(entry: Entry): boolean
  /** The answer in an entry, for judges; `undefined` if it can't be read. */
  answerOf(entry: Entry): unknown
  /** Called with the hit that is served. */
  onHit?(hit: SemanticHit<unknown>): void
}

/** Looks for an answer to a question in other words, after the exact key has missed. */
export async function lookByMeaning(
  context: LookupContext,
  semantic: Pick<SemanticCache, 'find'>,
  { question, entryKey, policy, suits, answerOf, onHit }: MeaningLookup,
): Promise<Alternative | undefined> {
  const entryOf = async (name: string) =>
    (await lookUp(context, { entryKey: { ...entryKey, name }, policy, suits })).entry
  const read = async (name: string): Promise<unknown> => {
    const entry = await entryOf(name)
    return entry && answerOf(entry)
  }
  const finding = await semantic.find(question, entryKey.name, read)
  // It was read a moment ago, so memory has it.
  const entry = finding.outcome === 'hit' ? await entryOf(finding.id) : undefined
  if (finding.outcome === 'hit' && entry !== undefined) onHit?.(finding)
  return {
    entry,
    told: finding.outcome === 'hit' ? toldOf(finding) : undefined,
    learn: (fresh) => {
      if (finding.outcome === 'miss') finding.learn(answerOf(fresh), policy.ttlMs)
    },
    fallback: () => {
      const withheld = finding.outcome === 'miss' ? finding.fallback() : undefined
      const kept = withheld && context.tiers.local({ ...entryKey, name: withheld.id })?.entry
      if (withheld === undefined || kept === undefined) return undefined
      onHit?.(withheld)
      return { entry: kept, told: toldOf(withheld) }
    },
  }
}

/** Looks HTTP requests up by meaning. Its failures are misses. */
export class SemanticSearch {
  readonly #cache: Promise<Pick<SemanticCache, 'find'>>

  constructor(cache: Promise<Pick<SemanticCache, 'find'>>) {
    this.#cache = cache
    cache.catch(() => {})
  }

  async look(
    context: LookupContext,
    request: CacheableRequest,
    entryKey: EntryKey,
    policy: Policy,
  ): Promise<Alternative | undefined> {
    const taken = questionOf(request.params)
    const cache = taken && (await this.#cache.catch(() => undefined))
    if (taken === undefined || cache === undefined) return undefined
    // The context has everything that exact keys keep apart: tenant, host, path, headers, parameters.
    const question = { text: taken.text, context: [entryKey.tenant, request.scope, taken.context] }
    return lookByMeaning(context, cache, {
      question,
      entryKey,
      policy,
      suits: ({ kind }) => kind === 'response',
      answerOf: (entry) =>
        answerIn({ contentType: entry.contentType, body: bytesOf(entry) }, request.form.wire),
    })
  }
}

function toldOf({ similarity, confidence, hitId }: SemanticHit<unknown>): string {
  return `similarity=${similarity.toFixed(4)}, confidence=${confidence.toFixed(4)}, id="${hitId}"`
}
