import { InvalidOptionError } from '@evenkeel/core'
import { createLog, onAbort } from '@evenkeel/core/kit'
import { type CallOptions, checkCallOptions, type Policy, policyOf } from '../../call-options.js'
import { type Entry, textOf } from '../../entry/entry.js'
import type { KeyRules } from '../../key/rules.js'
import type { Call as LookupCall, ProduceContext } from '../../lookup/call.js'
import { ageOf, timesOf } from '../../lookup/context.js'
import type { CacheContext } from '../../lookup/create-context.js'
import { isProviderOutage } from '../../lookup/outage.js'
import { lookByMeaning } from '../../lookup/semantic.js'
import type { ResolvedOptions } from '../../options.js'
import type { SemanticHit } from '../../semantic/lookup.js'
import type { SemanticCache } from '../../semantic/semantic-cache.js'
import type { EntryKey } from '../../stores/port.js'
import type { SharedStream } from '../../streams/shared-stream.js'
import { usageOf } from '../../usage/tokens.js'
import { type Answer, isWhole, type Part, resultOf } from './answer.js'
import { type Call, keyOf, type Model, optionsIn, questionIn } from './key.js'
import { pack } from './packed.js'
import { type Marker, meaningOf, readAnswer } from './replay.js'

const log = createLog('llm-response-cache')

/** An answer that the model has given, or is giving. */
export type LiveAnswer =
  | { readonly kind: 'result'; readonly result: object; readonly entry: Entry | undefined }
  | {
      readonly kind: 'stream'
      readonly rest: object
      readonly parts: SharedStream<Part>
      readonly joined: { count: number }
    }

/** One call for which the cache is asked. */
export interface Asked {
  readonly call: Call
  readonly policy: Policy
  readonly entryKey: EntryKey
  readonly signal: AbortSignal | undefined
  /** Ends the model's call, whose parameters carry its signal. */
  readonly ending: AbortController | undefined
  /** How a hit by meaning was found. */
  hit: SemanticHit<unknown> | undefined
}

/** Turns calls of the model into look-ups, and answers into entries and counts, for both ways of calling. */
export class AiSdkRequests {
  readonly #context: CacheContext
  readonly #semantic: Pick<SemanticCache, 'find'> | undefined
  readonly #base: Policy
  readonly #rules: KeyRules
  /** By parameters in which the caller's signal was replaced: that signal, and what ends the call. */
  readonly #prepared = new WeakMap<object, { signal: AbortSignal; ending: AbortController }>()

  constructor(context: CacheContext, base: Policy, semantic: Pick<SemanticCache, 'find'> | undefined) {
    if (semantic !== undefined && typeof semantic.find !== 'function') {
      throw new InvalidOptionError('semantic', 'what createSemanticCache() gave', semantic)
    }
    this.#context = context
    this.#semantic = semantic
    this.#base = base
    this.#rules = rulesOf(context.options)
  }

  /** Replaces the caller's signal, since others may have joined the call by the time it aborts. */
  prepared<P extends object>(params: P, model: Model): P {
    const signal: unknown = Reflect.get(params, 'abortSignal')
    const key = keyOf(params, model, this.#rules)
    if (!(signal instanceof AbortSignal) || !key.cacheable || !this.#policyOf(params).useCache) return params
    const ending = new AbortController()
    const onward = { ...params, abortSignal: ending.signal }
    this.#prepared.set(onward, { signal, ending })
    return onward
  }

  /** `undefined` for a call that bypasses the cache. */
  asked(call: Call): Asked | undefined {
    const { params, model } = call
    const policy = this.#policyOf(params)
    const key = keyOf(params, model, this.#rules)
    const reason = key.cacheable ? 'asked-for' : key.reason
    if (!key.cacheable || !policy.useCache) {
      this.#context.stats.bypassed(reason, { tenant: policy.tenant, model: model.modelId })
      return undefined
    }
    const prepared = this.#prepared.get(params)
    const { provider, modelId } = model
    const name = `ai-sdk:${provider}:${modelId}:${this.#context.shown(policy.tenant, key.key)}`
    const entryKey = { tenant: policy.tenant, name }
    return { call, policy, entryKey, signal: prepared?.signal, ending: prepared?.ending, hit: undefined }
  }

  #policyOf(params: object): Policy {
    const { own } = optionsIn(params)
    return policyOf(this.#base, { ...this.#context.scope.current, ...checkCallOptions(own as CallOptions) })
  }

  lookupOf(
    asked: Asked,
    form: LiveAnswer['kind'],
    produce: LookupCall<LiveAnswer>['produce'],
  ): LookupCall<LiveAnswer> {
    const { entryKey, policy, signal, call } = asked
    const semantic = this.#semantic
    const question = semantic && questionIn(call)
    const suits = (entry: Entry) => entry.kind === 'value' && readAnswer(textOf(entry)) !== undefined
    return {
      entryKey,
      policy,
      model: call.model.modelId,
      signal,
      form,
      produce,
      suits,
      isOutage: isProviderOutage,
      joins: (live) =>
        live.kind === 'stream' ? live.parts.joinable && !live.parts.isSuspect : live.entry !== undefined,
      ...(semantic === undefined || question === undefined
        ? {}
        : {
            alternative: () =>
              lookByMeaning(this.#context, semantic, {
                question: { ...question, context: [policy.tenant, question.context] },
                entryKey,
                policy,
                suits,
                answerOf: (entry) => {
                  const answer = readAnswer(textOf(entry))
                  return answer && resultOf(answer)
                },
                onHit: (hit) => {
                  asked.hit = hit
                },
              }),
          }),
    }
  }

  /** Calls the model; the end of the look-up's call aborts it. */
  async linked<R>({ ending }: Asked, { signal }: ProduceContext, call: () => PromiseLike<R>): Promise<R> {
    const unlink = onAbort(signal, (reason) => ending?.abort(reason))
    try {
      return await call()
    } finally {
      unlink()
    }
  }

  /** `undefined` for an answer that did not end by itself, or can't be encoded. */
  entryOf(asked: Asked, { versions }: ProduceContext, answer: Answer): Entry | undefined {
    if (!isWhole(answer)) return undefined
    try {
      const { modelId } = asked.call.model
      this.#context.stats.knows(modelId)
      return {
        ...timesOf(this.#context, asked.policy),
        kind: 'value',
        costMs: 0,
        versions,
        model: modelId,
        usage: usageOf(resultOf(answer)),
        status: 200,
        contentType: 'application/json',
        timing: [],
        body: pack(answer),
      }
    } catch (error) {
      log('an answer can not be kept: %s', error)
      return undefined
    }
  }

  read(
    asked: Asked,
    { entry, outcome }: { readonly entry: Entry; readonly outcome: 'hit' | 'stale' | 'coalesced' },
  ) {
    this.count(asked, outcome, entry)
    const answer = readAnswer(textOf(entry))
    if (answer === undefined) throw new TypeError('An answer was kept in a form that can not be read')
    return answer
  }

  markerOf({ hit }: Asked, { entry, outcome }: { readonly entry: Entry; readonly outcome: string }): Marker {
    if (hit !== undefined) return meaningOf(hit)
    return { cache: outcome === 'coalesced' ? 'coalesced' : 'hit', ageMs: ageOf(this.#context, entry) }
  }

  count(
    { entryKey, call }: Asked,
    outcome: 'hit' | 'miss' | 'stale' | 'coalesced',
    entry: Entry | undefined,
  ): void {
    const saved = outcome === 'miss' ? undefined : entry?.usage
    this.#context.stats.answered(outcome, { ...entryKey, model: call.model.modelId }, saved)
  }
}

function rulesOf(options: ResolvedOptions): KeyRules {
  return 'keys' in options ? (options.keys as KeyRules) : {}
}
