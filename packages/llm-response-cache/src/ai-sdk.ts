import { type Duration, InvalidOptionError, untilAborted } from '@evenkeel/core'
import {
  type Answer,
  isObject,
  isWhole,
  type Part,
  partsOf,
  resultOf,
  trimmed,
} from './adapters/ai-sdk-answer.js'
import { pack, unpack } from './adapters/packed.js'
import { SharedParts } from './adapters/shared-parts.js'
import { canonicalHash, UnkeyableError } from './key/canonical.js'
import type { ResponseCache } from './response-cache.js'
import type { Detailed } from './wrap.js'

export interface AiSdkOptions {
  /** @default the cache's */
  readonly ttl?: Duration | undefined
  /** A longer stream is passed on at its reader's pace, and not kept. @default 1 MiB */
  readonly maxAnswerBytes?: number | undefined
}

interface Model {
  readonly provider: string
  readonly modelId: string
}

interface Call {
  readonly params: object
  readonly model: Model
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

/** Of a call, and of no answer. */
const withoutEffect = new Set(['abortSignal', 'headers', 'includeRawChunks'])

type Marker = { readonly cache: 'hit' | 'coalesced'; readonly ageMs: number }

/**
 * A language model middleware for the Vercel AI SDK (5, 6, 7). `generateText`, `streamText` and their kin
 * ask the provider once for equal calls; a stream's entry answers a call that wants none, and the other way
 * round. Answers say `providerMetadata.evenkeel: { cache: 'hit' | 'coalesced', ageMs }`. One call passes by
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
  const kept = cache.wrap((_key: string, produce: () => Promise<string | undefined>) => produce(), {
    name: 'ai-sdk',
    key: (key: string) => key,
    ttl: options.ttl,
  })
  /** Streams that have begun or are beginning; nothing where it turned out that none has. */
  const streams = new Map<string, Promise<SharedParts<Part> | undefined>>()
  /** Of calls whose parameters go on without their signal. */
  const signals = new WeakMap<object, AbortSignal>()

  const generate = async <R extends object>(key: string, doGenerate: () => PromiseLike<R>): Promise<R> => {
    const fresh: { result?: R } = {}
    const found = await kept.detailed(key, async () => {
      fresh.result = await doGenerate()
      const answer: Answer = { kind: 'result', result: Object.fromEntries(Object.entries(fresh.result)) }
      return isWhole(answer) ? pack(trimmed(answer)) : undefined
    })
    if (fresh.result !== undefined) return fresh.result
    const answer = readAnswer(found.value)
    // Who joined a call whose answer can't be shared makes a call of its own.
    if (answer === undefined) return doGenerate()
    return marked(resultOf(answer), markerOf(found)) as R
  }

  const stream = <P, R extends { stream: ReadableStream<P> }>(
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
      let isLive = false
      const record = async () => {
        const { stream: source, ...rest } = await doStream()
        isLive = true
        return new Promise<string | undefined>((keep) => {
          const shared = new SharedParts<Part>(source as unknown as ReadableStream<Part>, {
            maxBytes: maxAnswerBytes,
            sizeOf: (part) => pack(part).length,
            onEnd: (parts) => {
              const answer = parts && trimmed({ kind: 'parts', parts })
              keep(answer !== undefined && isWhole(answer) ? pack(answer) : undefined)
            },
          })
          began.resolve(shared)
          resolve({ ...rest, stream: shared.read(signal) } as unknown as R)
        })
      }
      const serve = (found: Detailed<string | undefined>) => {
        if (isLive) return
        began.resolve(undefined)
        const answer = readAnswer(found.value)
        if (answer === undefined) return doStream().then(resolve, reject)
        resolve({ stream: streamOf(partsOf(answer), markerOf(found)) } as unknown as R)
      }
      // Until the entry is there, who asks joins what has just ended.
      kept
        .detailed(key, record)
        .then(serve)
        .catch((error: unknown) => {
          began.resolve(undefined)
          reject(error)
        })
        .finally(forget)
    })
  }

  return {
    specificationVersion: 'v3',

    // Others may have joined a call by the time its first caller leaves: it goes on without a signal.
    transformParams: async ({ params, model }) => {
      const { abortSignal } = params as { readonly abortSignal?: AbortSignal | undefined }
      if (abortSignal === undefined || keyOf(params, model) === undefined) return params
      const onward = { ...params, abortSignal: undefined }
      signals.set(onward, abortSignal)
      return onward
    },

    wrapGenerate: async ({ doGenerate, params, model }) => {
      const key = keyOf(params, model)
      if (key === undefined) return doGenerate()
      const signal = signals.get(params)
      const answer = generate(key, doGenerate)
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
      const under = await streams.get(key)
      if (under?.joinable) {
        const joined = withMarker(under.read(signal), { cache: 'coalesced', ageMs: 0 })
        return { stream: joined } as unknown as R
      }
      const answer = stream(key, doStream, signal)
      return signal === undefined ? answer : untilAborted(answer, signal)
    },
  }
}

function markerOf({ outcome, ageMs }: Detailed<unknown>): Marker {
  return { cache: outcome === 'coalesced' ? 'coalesced' : 'hit', ageMs }
}

function withResolver<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {}
  const promise = new Promise<T>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}

/** Nothing for a call that is not to be cached. */
function keyOf(params: object, { provider, modelId }: Model): string | undefined {
  const { providerOptions, ...rest } = params as Record<string, unknown>
  const { evenkeel, ...others } = isObject(providerOptions) ? providerOptions : {}
  if (isObject(evenkeel) && evenkeel.useCache === false) return undefined
  if (runsProviderTools(rest.tools)) return undefined
  const counted = Object.entries(rest).filter(([name]) => !withoutEffect.has(name))
  try {
    return canonicalHash('ai-sdk', provider, modelId, Object.fromEntries(counted), others)
  } catch (error) {
    if (error instanceof UnkeyableError) return undefined
    throw error
  }
}

/** Named `provider-defined` in v2, `provider` since v3. */
function runsProviderTools(tools: unknown): boolean {
  return (
    Array.isArray(tools) && tools.some((tool) => isObject(tool) && String(tool.type).startsWith('provider'))
  )
}

function readAnswer(text: string | undefined): Answer | undefined {
  if (text === undefined) return undefined
  const answer = unpack(text)
  if (!isObject(answer)) return undefined
  if (answer.kind === 'parts' && Array.isArray(answer.parts)) return { kind: 'parts', parts: answer.parts }
  return answer.kind === 'result' && isObject(answer.result)
    ? { kind: 'result', result: answer.result }
    : undefined
}

function marked<T extends Readonly<Record<string, unknown>>>(holder: T, marker: Marker): T {
  const metadata = isObject(holder.providerMetadata) ? holder.providerMetadata : {}
  return { ...holder, providerMetadata: { ...metadata, evenkeel: marker } }
}

function streamOf(parts: readonly Part[], marker: Marker): ReadableStream<Part> {
  let at = 0
  return new ReadableStream<Part>({
    pull: (controller) => {
      const part = parts[at++]
      if (part === undefined) controller.close()
      else controller.enqueue(part.type === 'finish' ? marked(part, marker) : part)
    },
  })
}

function withMarker(stream: ReadableStream<Part>, marker: Marker): ReadableStream<Part> {
  return stream.pipeThrough(
    new TransformStream<Part, Part>({
      transform: (part, controller) =>
        controller.enqueue(part.type === 'finish' ? marked(part, marker) : part),
    }),
  )
}
