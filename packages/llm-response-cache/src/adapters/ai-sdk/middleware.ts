import type { Duration } from '@evenkeel/core'
import { option } from '@evenkeel/core/kit'
import { policyOf } from '../../call-options.js'
import { type Entry, textOf } from '../../entry/entry.js'
import { contextOf } from '../../lookup/adapter-context.js'
import type { ProduceContext, Produced } from '../../lookup/call.js'
import type { CacheContext } from '../../lookup/create-context.js'
import { Lookup } from '../../lookup/lookup.js'
import type { ResponseCache } from '../../response-cache.js'
import type { SemanticCache } from '../../semantic/semantic-cache.js'
import { SharedStream, sourceOf } from '../../streams/shared-stream.js'
import { noUsage } from '../../usage/tokens.js'
import { isWhole, type Part, partsOf, resultOf, trimmed } from './answer.js'
import type { Call, Model } from './key.js'
import { pack } from './packed.js'
import { type Marker, marked, readAnswer, streamOf, withMarker } from './replay.js'
import { AiSdkRequests, type Asked, type LiveAnswer } from './requests.js'

export interface AiSdkOptions {
  /** @default the cache's */
  readonly ttl?: Duration | undefined
  /**
   * Answers to questions in other words, see `createSemanticCache` of `@evenkeel/llm-response-cache/semantic`: used
   * after the exact key has missed. Give it the same `ttl`.
   */
  readonly semantic?: Pick<SemanticCache, 'find'> | undefined
  /** A larger stream is passed on at its reader's pace, and not stored. @default the cache's maxEntryBytes */
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
 * Creates a language model middleware for the Vercel AI SDK (5, 6, 7). `generateText`, `streamText` and similar
 * functions call the provider once for equal calls; a streamed answer also serves calls without streaming, and the
 * reverse. Reused answers have `providerMetadata.evenkeel: { cache: 'hit' | 'coalesced', ageMs }`, or
 * `{ cache: 'semantic', similarity, confidence, hitId }`. Options of one call are those of `cache.with()`, in
 * `providerOptions: { evenkeel: { useCache: false } }`. Calls with tools that the provider runs itself, or with
 * options that may make the answer depend on more than the request, bypass the cache. Only answers that ended
 * by themselves (`stop`, `tool-calls`) are stored.
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

class AiSdkCalls {
  readonly #context: CacheContext
  readonly #requests: AiSdkRequests
  readonly #maxBytes: number
  readonly #lookup: Lookup<LiveAnswer>

  constructor(context: CacheContext, { ttl, semantic, maxAnswerBytes }: AiSdkOptions) {
    this.#context = context
    this.#requests = new AiSdkRequests(context, policyOf(context.options.policy, { ttl }), semantic)
    const { maxEntryBytes } = context.options
    this.#maxBytes =
      maxAnswerBytes === undefined ? maxEntryBytes : option.integer('maxAnswerBytes', maxAnswerBytes)
    this.#lookup = new Lookup(context)
  }

  prepared<P extends object>(params: P, model: Model): P {
    return this.#requests.prepared(params, model)
  }

  async generate<R extends object>(call: Call, doGenerate: () => PromiseLike<R>): Promise<R> {
    const asked = this.#requests.asked(call)
    if (asked === undefined) return doGenerate()
    const found = await this.#lookup.find(
      this.#requests.lookupOf(asked, 'result', async (context) => {
        const result = await this.#requests.linked(asked, context, doGenerate)
        const answer = trimmed({ kind: 'result', result: Object.fromEntries(Object.entries(result)) })
        const entry = this.#requests.entryOf(asked, context, answer)
        return { live: { kind: 'result', result, entry }, ended: Promise.resolve(entry) }
      }),
    )
    if (found.kind === 'nothing') throw notKept()
    if (found.kind === 'entry')
      return marked(resultOf(this.#requests.read(asked, found)), this.#requests.markerOf(asked, found)) as R
    const { live, outcome } = found
    if (live.kind === 'result') {
      this.#requests.count(asked, outcome, live.entry)
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
        this.#requests.count(asked, outcome, undefined)
        live.joined.count++
        return marked(resultOf(answer), joinedMarker(outcome)) as R
      }
    }
    // The caller joined a call whose answer can't be shared, so it makes a call of its own.
    return doGenerate()
  }

  async stream<P, R extends { stream: ReadableStream<P> }>(
    call: Call,
    doStream: () => PromiseLike<R>,
  ): Promise<R> {
    const asked = this.#requests.asked(call)
    if (asked === undefined) return doStream()
    const found = await this.#lookup.find(
      this.#requests.lookupOf(asked, 'stream', async (context) => {
        const { stream, ...rest } = await this.#requests.linked(asked, context, doStream)
        return this.#shared(asked, context, { rest, stream: stream as unknown as ReadableStream<Part> })
      }),
    )
    const given = (stream: ReadableStream<Part>, rest: object = {}) => ({ ...rest, stream }) as unknown as R
    if (found.kind === 'nothing') throw notKept()
    if (found.kind === 'entry') {
      return given(
        streamOf(partsOf(this.#requests.read(asked, found)), this.#requests.markerOf(asked, found)),
      )
    }
    const { live, outcome } = found
    this.#requests.count(asked, outcome, live.kind === 'result' ? live.entry : undefined)
    if (live.kind === 'stream') {
      if (outcome === 'miss') return given(live.parts.read(asked.signal), live.rest)
      live.joined.count++
      return given(withMarker(live.parts.read(asked.signal), joinedMarker(outcome)))
    }
    const answer = live.entry && readAnswer(textOf(live.entry))
    return answer === undefined ? doStream() : given(streamOf(partsOf(answer), joinedMarker(outcome)))
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
        maxSize: this.#maxBytes,
        stallMs,
        onAbandon,
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
    const entry = pieces && this.#requests.entryOf(asked, context, trimmed({ kind: 'parts', parts: pieces }))
    const { entryKey, call } = asked
    this.#context.stats.saved(entryKey.tenant, call.model.modelId, entry?.usage ?? noUsage, joined.count)
    return entry
  }
}

function joinedMarker(outcome: string): Marker {
  return { cache: outcome === 'hit' ? 'hit' : 'coalesced', ageMs: 0 }
}

function notKept(): Error {
  return new Error('The answer is not in the cache, and onlyIfCached was asked for')
}
