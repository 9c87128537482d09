import { type Duration, InvalidOptionError } from '@evenkeel/core'
import { createLog, onAbort, option } from '@evenkeel/core/kit'
import { type CallOptions, checkCallOptions, type Policy, policyOf } from '../../call-options.js'
import { type Entry, textOf } from '../../entry/entry.js'
import type { KeyRules } from '../../key/rules.js'
import { contextOf } from '../../lookup/adapter-context.js'
import type { Call as LookupCall, ProduceContext, Produced } from '../../lookup/call.js'
import { ageOf, timesOf } from '../../lookup/context.js'
import type { CacheContext } from '../../lookup/create-context.js'
import { Lookup } from '../../lookup/lookup.js'
import { isProviderOutage } from '../../lookup/outage.js'
import { lookByMeaning } from '../../lookup/semantic.js'
import type { ResolvedOptions } from '../../options.js'
import type { ResponseCache } from '../../response-cache.js'
import type { SemanticHit } from '../../semantic/lookup.js'
import type { SemanticCache } from '../../semantic/semantic-cache.js'
import type { EntryKey } from '../../stores/port.js'
import { SharedStream, sourceOf } from '../../streams/shared-stream.js'
import { noUsage, usageOf } from '../../usage/tokens.js'
import { type Answer, isWhole, type Part, partsOf, resultOf, trimmed } from './answer.js'
import { type Call, keyOf, type Model, optionsIn, questionIn } from './key.js'
import { pack } from './packed.js'
import { type Marker, marked, meaningOf, readAnswer, streamOf, withMarker } from './replay.js'

const log = createLog('llm-response-cache')

export interface AiSdkOptions {
  /** @default the cache's */
  readonly ttl?: Duration | undefined
  /**
   * Answers in other words, see `createSemanticCache` of `@evenkeel/llm-response-cache/semantic`: asked where
   * the exact key has missed. Give it the same `ttl`.
   */
  readonly semantic?: Pick<SemanticCache, 'find'> | undefined
  /** A longer stream is passed on at its reader's pace, and not kept. @default the cache's maxEntryBytes */
  readonly maxAnswerBytes?: number | undefined
}

/** What the middleware needs of the SDK's shapes; those of the specifications v2, v3 and v4 fit. */
export interface AiSdkMiddleware {
  readonly specificationVersion: 'v3'
  transformParams<P extends object>(call: { readonly params: P; readonly model: Model }): Promise<P>
  wrapGenerate<R extends object>(call: Call & { readonly doGenerate: () => PromiseLike<R> }): Promise<R>
  wrapStream<P, R extends { stream: ReadableStream<P> }>(
    call: Call & { readonly doStream: () => PromiseLike<R> },
  ): Promise<R>
}

/**
 * A language model middleware for the Vercel AI SDK (5, 6, 7). `generateText`, `streamText` and their kin
 * ask the provider once for equal calls; a stream's entry answers a call that wants none, and the other way
 * round. Answers say `providerMetadata.evenkeel: { cache: 'hit' | 'coalesced', ageMs }`, those in other words
 * `{ cache: 'semantic', similarity, confidence, hitId }`. Options of one call are those of `cache.with()`, in
 * `providerOptions: { evenkeel: { useCache: false } }`. Calls with tools that the provider runs itself, and with
 * options of which it is not known that they are answered from the request alone, pass by. Only answers that ended
 * by themselves (`stop`, `tool-calls`) are kept.
 * @example
 * const model = wrapLanguageModel({ model: openai('gpt-4o'), middleware: aiSdkMiddleware(cache) })
 */
export function aiSdkMiddleware(cache: ResponseCache, options: AiSdkOptions = {}): AiSdkMiddleware {
  option.members('', options, { ttl: true, semantic: true, maxAnswerBytes: true })
  const calls = new AiSdkCalls(contextOf(cache), options)
  return {
    specificationVersion: 'v3',
    transformParams: async ({ params, model }) => calls.prepared(params, model),
    wrapGenerate: ({ doGenerate, params, model }) => calls.generate({ params, model }, doGenerate),
    wrapStream: ({ doStream, params, model }) => calls.stream({ params, model }, doStream),
  }
}

/** An answer that the model has given, or is giving. */
type LiveAnswer =
  | { readonly kind: 'result'; readonly result: object; readonly entry: Entry | undefined }
  | {
      readonly kind: 'stream'
      readonly rest: object
      readonly parts: SharedStream<Part>
      readonly joined: { count: number }
    }

/** One call for which the cache is asked. */
interface Asked {
  readonly call: Call
  readonly policy: Policy
  readonly entryKey: EntryKey
  readonly signal: AbortSignal | undefined
  /** Ends the model's call, whose parameters carry its signal. */
  readonly ending: AbortController | undefined
  /** How a hit by meaning was found. */
  hit: SemanticHit<unknown> | undefined
}

class AiSdkCalls {
  readonly #context: CacheContext
  readonly #semantic: AiSdkOptions['semantic']
  readonly #maxBytes: number
  readonly #base: Policy
  readonly #rules: KeyRules
  readonly #lookup: Lookup<LiveAnswer>
  /** Of calls whose parameters go on with another signal than their caller's. */
  readonly #prepared = new WeakMap<object, { signal: AbortSignal; ending: AbortController }>()

  constructor(context: CacheContext, { ttl, semantic, maxAnswerBytes }: AiSdkOptions) {
    if (semantic !== undefined && typeof semantic.find !== 'function') {
      throw new InvalidOptionError('semantic', 'what createSemanticCache() gave', semantic)
    }
    this.#context = context
    this.#semantic = semantic
    const { maxEntryBytes, policy } = context.options
    this.#maxBytes =
      maxAnswerBytes === undefined ? maxEntryBytes : option.integer('maxAnswerBytes', maxAnswerBytes)
    this.#base = policyOf(policy, { ttl })
    this.#rules = rulesOf(context.options)
    this.#lookup = new Lookup(context)
  }

  /** Others may have joined a call by the time its first caller leaves: it goes on without his signal. */
  prepared<P extends object>(params: P, model: Model): P {
    const signal: unknown = Reflect.get(params, 'abortSignal')
    const key = keyOf(params, model, this.#rules)
    if (!(signal instanceof AbortSignal) || !key.cacheable || !this.#policyOf(params).useCache) return params
    const ending = new AbortController()
    const onward = { ...params, abortSignal: ending.signal }
    this.#prepared.set(onward, { signal, ending })
    return onward
  }

  async generate<R extends object>(call: Call, doGenerate: () => PromiseLike<R>): Promise<R> {
    const asked = this.#asked(call)
    if (asked === undefined) return doGenerate()
    const found = await this.#lookup.find(
      this.#callOf(asked, 'result', async (context) => {
        const result = await this.#linked(asked, context, doGenerate)
        const answer = trimmed({ kind: 'result', result: Object.fromEntries(Object.entries(result)) })
        const entry = this.#entryOf(asked, context, answer)
        return { live: { kind: 'result', result, entry }, ended: Promise.resolve(entry) }
      }),
    )
    if (found.kind === 'nothing') throw notKept()
    if (found.kind === 'entry')
      return marked(resultOf(this.#read(asked, found)), this.#markerOf(asked, found)) as R
    const { live, outcome } = found
    if (live.kind === 'result') {
      this.#count(asked, outcome, live.entry)
      if (outcome === 'miss') return live.result as R
      const answer = live.entry && readAnswer(textOf(live.entry))
      if (answer !== undefined) return marked(resultOf(answer), joinedMarker(outcome)) as R
    } else {
      const parts = await live.parts.readAll(asked.signal).catch((error: unknown) => {
        if (asked.signal?.aborted) throw error
        return undefined
      })
      const answer = parts && trimmed({ kind: 'parts', parts })
      if (answer !== undefined && isWhole(answer)) {
        this.#count(asked, outcome, undefined)
        live.joined.count++
        return marked(resultOf(answer), joinedMarker(outcome)) as R
      }
    }
    // Who joined a call whose answer can't be shared makes a call of his own.
    return doGenerate()
  }

  async stream<P, R extends { stream: ReadableStream<P> }>(
    call: Call,
    doStream: () => PromiseLike<R>,
  ): Promise<R> {
    const asked = this.#asked(call)
    if (asked === undefined) return doStream()
    const found = await this.#lookup.find(
      this.#callOf(asked, 'stream', async (context) => {
        const { stream, ...rest } = await this.#linked(asked, context, doStream)
        return this.#shared(asked, context, { rest, stream: stream as unknown as ReadableStream<Part> })
      }),
    )
    const given = (stream: ReadableStream<Part>, rest: object = {}) => ({ ...rest, stream }) as unknown as R
    if (found.kind === 'nothing') throw notKept()
    if (found.kind === 'entry') {
      return given(streamOf(partsOf(this.#read(asked, found)), this.#markerOf(asked, found)))
    }
    const { live, outcome } = found
    this.#count(asked, outcome, live.kind === 'result' ? live.entry : undefined)
    if (live.kind === 'stream') {
      if (outcome === 'miss') return given(live.parts.read(asked.signal), live.rest)
      live.joined.count++
      return given(withMarker(live.parts.read(asked.signal), joinedMarker(outcome)))
    }
    const answer = live.entry && readAnswer(textOf(live.entry))
    return answer === undefined ? doStream() : given(streamOf(partsOf(answer), joinedMarker(outcome)))
  }

  /** Nothing for a call that passes by. */
  #asked(call: Call): Asked | undefined {
    const { params, model } = call
    const policy = this.#policyOf(params)
    const key = keyOf(params, model, this.#rules)
    const reason = key.cacheable ? 'asked-for' : key.reason
    if (!key.cacheable || !policy.useCache) {
      this.#context.stats.bypassed(reason, policy.tenant, model.modelId)
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

  #callOf(
    asked: Asked,
    form: LiveAnswer['kind'],
    produce: LookupCall<LiveAnswer>['produce'],
  ): LookupCall<LiveAnswer> {
    const { entryKey, policy, signal, call } = asked
    const semantic = this.#semantic
    const question = semantic && questionIn(call)
    const suits = (entry: Entry) => entry.kind === 'value' && readAnswer(textOf(entry)) !== undefined
    return {
      ...{
        entryKey,
        policy,
        model: call.model.modelId,
        signal,
        form,
        produce,
        suits,
        isOutage: isProviderOutage,
      },
      joins: (live) =>
        live.kind === 'stream' ? live.parts.joinable && !live.parts.isSuspect : live.entry !== undefined,
      ...(semantic === undefined || question === undefined
        ? {}
        : {
            alternative: () =>
              lookByMeaning(this.#context, semantic, {
                question: { ...question, context: [policy.tenant, question.context] },
                ...{ entryKey, policy, suits },
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

  /** The model's call, ended with the look-up's. */
  async #linked<R>({ ending }: Asked, { signal }: ProduceContext, call: () => PromiseLike<R>): Promise<R> {
    const unlink = onAbort(signal, (reason) => ending?.abort(reason))
    try {
      return await call()
    } finally {
      unlink()
    }
  }

  #shared(
    asked: Asked,
    context: ProduceContext,
    { rest, stream }: { readonly rest: object; readonly stream: ReadableStream<Part> },
  ): Produced<LiveAnswer> {
    const { stallMs, onAbandon } = this.#context.options
    const joined = { count: 0 }
    const source = sourceOf(stream)
    let settle: (entry: Promise<Entry | undefined>) => void = () => {}
    const ended = new Promise<Entry | undefined>((resolve) => {
      settle = resolve
    })
    const cancel = async (reason: unknown) => {
      asked.ending?.abort(reason)
      await source.cancel(reason)
    }
    const parts = new SharedStream<Part>(
      { read: source.read, cancel },
      {
        ...{ maxSize: this.#maxBytes, stallMs, onAbandon },
        abandoned: this.#context.abandoned,
        sizeOf: (part) => pack(part).length,
        onEnd: ({ pieces, error }) => settle(this.#end(asked, context, { pieces, error, joined })),
      },
    )
    return { live: { kind: 'stream', rest, parts, joined }, ended }
  }

  async #end(
    asked: Asked,
    context: ProduceContext,
    {
      pieces,
      error,
      joined,
    }: {
      readonly pieces: readonly Part[] | undefined
      readonly error: { readonly reason: unknown } | undefined
      readonly joined: { readonly count: number }
    },
  ): Promise<Entry | undefined> {
    if (error !== undefined) throw error.reason
    const entry = pieces && this.#entryOf(asked, context, trimmed({ kind: 'parts', parts: pieces }))
    const { entryKey, call } = asked
    this.#context.stats.saved(entryKey.tenant, call.model.modelId, entry?.usage ?? noUsage, joined.count)
    return entry
  }

  /** Nothing for an answer that did not end by itself, or can't be written. */
  #entryOf(asked: Asked, { versions }: ProduceContext, answer: Answer): Entry | undefined {
    if (!isWhole(answer)) return undefined
    try {
      const { modelId } = asked.call.model
      this.#context.stats.knows(modelId)
      return {
        ...timesOf(this.#context, asked.policy),
        ...{ kind: 'value', costMs: 0, versions, model: modelId, usage: usageOf(resultOf(answer)) },
        ...{ status: 200, contentType: 'application/json', timing: [], body: pack(answer) },
      }
    } catch (error) {
      log('an answer can not be kept: %s', error)
      return undefined
    }
  }

  #read(
    asked: Asked,
    { entry, outcome }: { readonly entry: Entry; readonly outcome: 'hit' | 'stale' | 'coalesced' },
  ) {
    this.#count(asked, outcome, entry)
    const answer = readAnswer(textOf(entry))
    if (answer === undefined) throw new TypeError('An answer was kept in a form that can not be read')
    return answer
  }

  #markerOf({ hit }: Asked, { entry, outcome }: { readonly entry: Entry; readonly outcome: string }): Marker {
    if (hit !== undefined) return meaningOf(hit)
    return { cache: outcome === 'coalesced' ? 'coalesced' : 'hit', ageMs: ageOf(this.#context, entry) }
  }

  #count(
    { entryKey, call }: Asked,
    outcome: 'hit' | 'miss' | 'stale' | 'coalesced',
    entry: Entry | undefined,
  ): void {
    const saved = outcome === 'miss' ? undefined : entry?.usage
    this.#context.stats.answered(outcome, entryKey.tenant, call.model.modelId, saved)
  }
}

function joinedMarker(outcome: string): Marker {
  return { cache: outcome === 'hit' ? 'hit' : 'coalesced', ageMs: 0 }
}

function rulesOf(options: ResolvedOptions): KeyRules {
  return 'keys' in options ? (options.keys as KeyRules) : {}
}

function notKept(): Error {
  return new Error('The answer is not in the cache, and onlyIfCached was asked for')
}
