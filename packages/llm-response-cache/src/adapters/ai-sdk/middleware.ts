import { type Duration, durationMs, InvalidOptionError, untilAborted } from '@evenkeel/core'
import type { Detailed } from '../../lookup/values.js'
import type { ResponseCache } from '../../response-cache.js'
import type { Finding, SemanticHit } from '../../semantic/lookup.js'
import type { SemanticCache } from '../../semantic/semantic-cache.js'
import { SharedParts } from '../../streams/shared-parts.js'
import { isWhole, type Part, partsOf, resultOf, trimmed } from './answer.js'
import { type Call, keyOf, type Model, questionIn } from './key.js'
import { pack } from './packed.js'
import {
  type Marker,
  marked,
  markerOf,
  meaningOf,
  type Result,
  readAnswer,
  streamOf,
  withMarker,
} from './replay.js'

export interface AiSdkOptions {
  /** @default the cache's */
  readonly ttl?: Duration | undefined
  /**
   * Answers in other words, see `createSemanticCache` of `@evenkeel/llm-response-cache/semantic`: asked where
   * the exact key has missed. Give it the same `ttl`.
   */
  readonly semantic?: Pick<SemanticCache, 'find'> | undefined
  /** A call whose first caller has left goes on for others so long, and is ended then. @default '2m' */
  readonly abandonedAfter?: Duration | undefined
  /** A longer stream is passed on at its reader's pace, and not kept. @default 1 MiB */
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
 * `{ cache: 'semantic', similarity, confidence, hitId }`. One call passes by
 * with `providerOptions: { evenkeel: { useCache: false } }`. Calls with tools that the provider runs itself
 * pass by. Only answers that ended by themselves (`stop`, `tool-calls`) are kept.
 * @example
 * const model = wrapLanguageModel({ model: openai('gpt-4o'), middleware: aiSdkMiddleware(cache) })
 */
export function aiSdkMiddleware(
  cache: Pick<ResponseCache, 'wrap'>,
  options: AiSdkOptions = {},
): AiSdkMiddleware {
  if (typeof cache?.wrap !== 'function') throw new InvalidOptionError('cache', 'a response cache', cache)
  const { maxAnswerBytes = 1 << 20 } = options
  const abandonedMs = durationMs('abandonedAfter', options.abandonedAfter ?? '2m', { minMs: 1 })
  const kept = cache.wrap((_key: string, produce: () => Promise<string | undefined>) => produce(), {
    name: 'ai-sdk',
    key: (key: string) => key,
    ttl: options.ttl,
  })
  /** Streams that have begun or are beginning; nothing where it turned out that none has. */
  const streams = new Map<string, Promise<SharedParts<Part> | undefined>>()
  /** Of calls whose parameters go on without their signal. */
  const signals = new WeakMap<object, AbortSignal>()
  /** Ends the watch over a call's signal. */
  const endings = new WeakMap<object, () => void>()

  const look = async (call: Call, key: string): Promise<Finding<Result> | undefined> => {
    const question = options.semantic && questionIn(call)
    if (options.semantic === undefined || question === undefined) return undefined
    return options.semantic.find(question, key, async (id) => {
      const answer = readAnswer(await kept.peek(id, nothing))
      return answer && resultOf(answer)
    })
  }

  const generate = async <R extends object>(
    call: Call,
    key: string,
    doGenerate: () => PromiseLike<R>,
    mayJoin = true,
  ): Promise<R> => {
    const mine: { result?: R; hit?: SemanticHit<Result> | undefined; learn?: () => void } = {}
    const found = await kept.detailed(key, async () => {
      const finding = await look(call, key)
      if (finding?.outcome === 'hit') {
        mine.hit = finding
        return undefined
      }
      try {
        mine.result = await doGenerate()
      } catch (error) {
        mine.hit = finding?.fallback()
        if (mine.hit === undefined) throw error
        return undefined
      }
      const answer = trimmed({ kind: 'result', result: Object.fromEntries(Object.entries(mine.result)) })
      if (!isWhole(answer)) return undefined
      mine.learn = () => finding?.learn(resultOf(answer))
      return pack(answer)
    })
    mine.learn?.()
    if (mine.hit !== undefined) return marked(mine.hit.answer, meaningOf(mine.hit)) as R
    if (mine.result !== undefined) return mine.result
    const answer = readAnswer(found.value)
    if (answer !== undefined) return marked(resultOf(answer), markerOf(found)) as R
    // Who joined a call whose answer can't be shared makes a call of its own.
    return mayJoin ? generate(call, key, doGenerate, false) : doGenerate()
  }

  const stream = <P, R extends { stream: ReadableStream<P> }>(
    call: Call,
    key: string,
    doStream: () => PromiseLike<R>,
    signal: AbortSignal | undefined,
  ): Promise<R> => {
    const began = withResolver<SharedParts<Part> | undefined>()
    streams.set(key, began.promise)
    const forget = () => {
      if (streams.get(key) === began.promise) streams.delete(key)
    }
    return new Promise<R>((resolve, reject) => {
      const serve = (parts: readonly Part[], marker: Marker) => {
        began.resolve(undefined)
        resolve({ stream: streamOf(parts, marker) } as unknown as R)
      }
      const mine: { isLive?: boolean; hit?: SemanticHit<Result> | undefined; learn?: () => void } = {}
      const record = async () => {
        const finding = await look(call, key)
        if (finding?.outcome === 'hit') {
          mine.hit = finding
          return undefined
        }
        const started = await Promise.resolve(doStream()).catch((error: unknown) => {
          mine.hit = finding?.fallback()
          if (mine.hit === undefined) throw error
          return undefined
        })
        if (started === undefined) return undefined
        const { stream: source, ...rest } = started
        mine.isLive = true
        return new Promise<string | undefined>((keep) => {
          const shared = new SharedParts<Part>(source as unknown as ReadableStream<Part>, {
            maxBytes: maxAnswerBytes,
            sizeOf: (part) => pack(part).length,
            onEnd: (parts) => {
              const answer = parts && trimmed({ kind: 'parts', parts })
              if (answer === undefined || !isWhole(answer)) return keep(undefined)
              mine.learn = () => finding?.learn(resultOf(answer))
              keep(pack(answer))
            },
          })
          began.resolve(shared)
          resolve({ ...rest, stream: shared.read(signal) } as unknown as R)
        })
      }
      const answered = (found: Detailed<string | undefined>) => {
        mine.learn?.()
        if (mine.isLive) return
        if (mine.hit !== undefined) {
          return serve(partsOf({ kind: 'result', result: mine.hit.answer }), meaningOf(mine.hit))
        }
        const answer = readAnswer(found.value)
        if (answer !== undefined) return serve(partsOf(answer), markerOf(found))
        began.resolve(undefined)
        return doStream().then(resolve, reject)
      }
      // Until the entry is there, who asks joins what has just ended.
      kept
        .detailed(key, record)
        .then(answered)
        .catch((error: unknown) => {
          began.resolve(undefined)
          reject(error)
        })
        .finally(() => {
          forget()
          endings.get(call.params)?.()
        })
    })
  }

  return {
    specificationVersion: 'v3',

    // Others may have joined a call by the time its first caller leaves: it goes on for a while.
    transformParams: async ({ params, model }) => {
      const { abortSignal } = params as { readonly abortSignal?: AbortSignal | undefined }
      if (abortSignal === undefined || keyOf(params, model) === undefined) return params
      const { signal, end } = lingering(abortSignal, abandonedMs)
      const onward = { ...params, abortSignal: signal }
      signals.set(onward, abortSignal)
      endings.set(onward, end)
      return onward
    },

    wrapGenerate: async ({ doGenerate, params, model }) => {
      const key = keyOf(params, model)
      if (key === undefined) return doGenerate()
      const signal = signals.get(params)
      const answer = generate({ params, model }, key, doGenerate).finally(endings.get(params))
      return signal === undefined ? answer : untilAborted(answer, signal)
    },

    wrapStream: async <P, R extends { stream: ReadableStream<P> }>({
      doStream,
      params,
      model,
    }: Call & { readonly doStream: () => PromiseLike<R> }) => {
      const key = keyOf(params, model)
      if (key === undefined) return doStream()
      const signal = signals.get(params)
      const under = streams.get(key)
      // Nothing is waited for where there is nothing to join, so that the next caller finds this one.
      const shared = under && (await under)
      if (shared?.joinable) {
        const joined = withMarker(shared.read(signal), { cache: 'coalesced', ageMs: 0 })
        return { stream: joined } as unknown as R
      }
      const answer = stream({ params, model }, key, doStream, signal)
      return signal === undefined ? answer : untilAborted(answer, signal)
    },
  }
}

/** A signal that follows another one after a while, unless that was ended before. */
function lingering(
  signal: AbortSignal,
  afterMs: number,
): { readonly signal: AbortSignal; readonly end: () => void } {
  const controller = new AbortController()
  const follow = () => {
    setTimeout(() => controller.abort(signal.reason), afterMs).unref()
  }
  if (signal.aborted) controller.abort(signal.reason)
  else signal.addEventListener('abort', follow, { once: true })
  return { signal: controller.signal, end: () => signal.removeEventListener('abort', follow) }
}

async function nothing(): Promise<undefined> {}

function withResolver<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {}
  const promise = new Promise<T>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}
