import type { Policy } from '../call-options.js'
import { bytesOf, type Entry } from '../entry/entry.js'
import { answerIn } from '../fetch/forms/forms.js'
import type { CacheableRequest } from '../key/request-key.js'
import type { Wire } from '../key/rules.js'
import type { Finding, SemanticHit } from '../semantic/lookup.js'
import { questionOf } from '../semantic/question.js'
import type { SemanticCache } from '../semantic/semantic-cache.js'
import type { EntryKey } from '../stores/port.js'
import { type LookupContext, lookUp } from './context.js'

/** What a look by meaning found. */
export interface SemanticLook {
  readonly entry: Entry | undefined
  /** For the response's header. */
  readonly told: string | undefined
  learn(fresh: Entry): void
  /** For a provider that fails. */
  fallback(): { readonly entry: Entry; readonly told: string } | undefined
}

/** Looks for answers to questions in other words, where the exact key has missed. Its failures are misses. */
export class SemanticSearch {
  readonly #cache: Promise<Pick<SemanticCache, 'find'>>

  constructor(cache: Promise<Pick<SemanticCache, 'find'>>) {
    this.#cache = cache
    cache.catch(() => {})
  }

  async look(
    engine: LookupContext,
    request: CacheableRequest,
    entryKey: EntryKey,
    policy: Policy,
  ): Promise<SemanticLook | undefined> {
    const question = questionOf(request.params)
    if (question === undefined) return undefined
    const context = [entryKey.namespace, request.provider, String(request.endpoint.path), question.context]
    const { wire } = request.form
    const read = async (name: string): Promise<unknown> => {
      const { entry } = await lookUp(engine, { ...entryKey, name }, policy, ({ kind }) => kind === 'response')
      return entry && answerOf(entry, wire)
    }
    const cache = await this.#cache.catch(() => undefined)
    if (cache === undefined) return undefined
    const finding = await cache.find({ text: question.text, context }, entryKey.name, read)
    const hit = finding.outcome === 'hit' ? await entryOf(engine, finding, entryKey, policy) : undefined
    return {
      entry: hit,
      told: finding.outcome === 'hit' ? toldOf(finding) : undefined,
      learn: (entry) => learn(finding, answerOf(entry, wire), policy.ttlMs),
      fallback: () => {
        const withheld = finding.outcome === 'miss' ? finding.fallback() : undefined
        const entry = withheld && engine.tiers.local({ ...entryKey, name: withheld.id })?.entry
        return withheld && entry && { entry, told: toldOf(withheld) }
      },
    }
  }
}

function learn(finding: Finding<unknown>, fresh: unknown, ttlMs: number): void {
  if (finding.outcome === 'miss') finding.learn(fresh, ttlMs)
}

/** It was read a moment ago, so memory has it. */
async function entryOf(
  engine: LookupContext,
  { id }: SemanticHit<unknown>,
  entryKey: EntryKey,
  policy: Policy,
): Promise<Entry | undefined> {
  return (await lookUp(engine, { ...entryKey, name: id }, policy, ({ kind }) => kind === 'response')).entry
}

function answerOf(entry: Entry, wire: Wire | undefined): unknown {
  return answerIn({ contentType: entry.contentType, body: bytesOf(entry) }, wire)
}

function toldOf({ similarity, confidence, hitId }: SemanticHit<unknown>): string {
  return `similarity=${similarity.toFixed(4)}, confidence=${confidence.toFixed(4)}, id="${hitId}"`
}
