import type { Policy } from '../call-options.js'
import type { Entry } from '../entry/entry.js'
import { parseObject } from '../key/parse.js'
import type { CacheableRequest } from '../key/request-key.js'
import type { CallerIdentity, ProduceContext, Produced } from '../lookup/call.js'
import { type LookupContext, timesOf } from '../lookup/context.js'
import { isOutageStatus } from '../lookup/outage.js'
import type { ResolvedResponseOptions } from '../options.js'
import {
  joinBytes,
  SharedStream,
  type StreamEnd,
  type StreamSource,
  sourceOf,
} from '../streams/shared-stream.js'
import { type Usage, usageOf } from '../usage/tokens.js'
import { type AnswerJudge, isWholeAnswer, LineJudge, StreamJudge } from './completeness.js'
import { isLines, isStream } from './forms/forms.js'
import { sharedHeaders } from './headers.js'
import { Publisher } from './publisher.js'

/** The context of look-ups of HTTP answers, without the names of entries. */
export interface FetchContext extends LookupContext {
  readonly options: ResolvedResponseOptions
}

/** A response on its way, to any number of callers. */
export interface SharedResponse {
  readonly status: number
  readonly statusText: string
  readonly url: string
  readonly headers: Headers
  /** Read to its end if it is no stream, else shared as it comes. */
  readonly body: Buffer | SharedStream<Uint8Array>
  /** No other caller may join, because of an error in what has come. */
  isSpoilt(): boolean
  /** Whether the request asked for the usage at the end of the stream. */
  readonly usageAsked: boolean
  readonly identity: CallerIdentity | undefined
  /** How many callers joined; the tokens that they saved are known at the end. */
  readonly joined: { count: number }
  /** The usage of a buffered answer; that of a stream is known only at the end. */
  usage?(): Usage
}

/** The request and policy under which an answer is stored, and its caller. */
export interface ResponseTarget {
  readonly request: CacheableRequest
  readonly policy: Policy
  readonly identity: CallerIdentity
}

/** Failures that every caller would get, whatever its credentials, so that followers may get them. */
const everybodys = new Set([400, 413, 422])

export function isEverybodys(status: number): boolean {
  return status === 200 || everybodys.has(status)
}

/**
 * Shares a provider's answer with all callers that wait for it: a body that is no stream is read to its end first; a
 * stream is recorded as it passes. It is published once another instance follows, and stored if it ended properly.
 */
export async function shareResponse(
  context: FetchContext,
  target: ResponseTarget,
  response: Response,
  { lease, versions, progress }: ProduceContext,
): Promise<Produced<SharedResponse>> {
  const { maxEntryBytes } = context.options
  const { status } = response
  const contentType = response.headers.get('content-type') ?? ''
  const beganAt = performance.now()
  const body = isStream(contentType)
    ? { source: sourceOfBody(response) }
    : await readBody(response, maxEntryBytes, progress)
  const common = {
    status,
    statusText: response.statusText,
    url: response.url,
    headers: response.headers,
    usageAsked: target.request.form.usage,
    identity: target.identity,
    joined: { count: 0 },
  }
  const entryOf = (bytes: Buffer, verdict: Verdict, timing: readonly number[]): Entry | undefined => {
    const ttlMs = status === 200 ? verdict.isWhole && target.policy.ttlMs : negativeTtlOf(context, status)
    if (ttlMs === false || ttlMs === undefined) return undefined
    return {
      ...timesOf(context, target.policy, ttlMs),
      kind: 'response',
      costMs: performance.now() - beganAt,
      versions,
      status,
      model: target.request.model,
      usage: verdict.usage,
      timing,
      body: bytes,
      contentType: contentType === '' ? 'text/event-stream' : contentType,
    }
  }
  const parts = { common, contentType, isFailure: isOutageStatus(status), lease, entryOf }
  return 'bytes' in body ? buffered(target, body.bytes, parts) : streamed(context, target, body.source, parts)
}

/** What the content of an answer shows. */
interface Verdict {
  readonly isWhole: boolean
  readonly usage: Usage
}

interface AnswerParts {
  readonly common: Omit<SharedResponse, 'body' | 'isSpoilt'>
  readonly contentType: string
  readonly isFailure: boolean
  readonly lease: ProduceContext['lease']
  entryOf(bytes: Buffer, verdict: Verdict, timing: readonly number[]): Entry | undefined
}

function publisherOf(
  { common, lease }: AnswerParts,
  body: readonly Uint8Array[] | SharedStream<Uint8Array>,
): Publisher {
  const { status, statusText, headers, usageAsked } = common
  const headOf = () => ({ status, statusText, headers: sharedHeaders(headers), usageAsked })
  return new Publisher(lease, headOf, () => body)
}

function buffered(target: ResponseTarget, bytes: Buffer, parts: AnswerParts): Produced<SharedResponse> {
  const { common, contentType, isFailure, lease } = parts
  const isShared = isEverybodys(common.status)
  // Parsed once for both uses.
  const answer = parseObject(bytes.toString())
  const usage = usageOf(answer)
  const isWhole = contentType.includes('json') && isWholeAnswer(answer, target.request.endpoint.answers)
  if (!isShared) lease.onceFollowed(() => void lease.fail(String(common.status)))
  return {
    live: { ...common, body: bytes, isSpoilt: never, usage: () => usage },
    isFailure,
    ended: Promise.resolve(parts.entryOf(bytes, { isWhole, usage }, [])),
    publish: () => (isShared ? publisherOf(parts, [bytes]).whole() : Promise.resolve(false)),
  }
}

function never(): boolean {
  return false
}

function streamed(
  context: FetchContext,
  target: ResponseTarget,
  source: StreamSource<Uint8Array>,
  parts: AnswerParts,
): Produced<SharedResponse> {
  const { options, stats } = context
  const { common, contentType, lease } = parts
  const judge = judgeOf(contentType)
  const timing: number[] = []
  let last = performance.now()
  let settle: (end: StreamEnd<Uint8Array>) => void = () => {}
  const end = new Promise<StreamEnd<Uint8Array>>((resolve) => {
    settle = resolve
  })
  const stream = new SharedStream<Uint8Array>(source, {
    maxSize: options.maxEntryBytes,
    stallMs: options.stallMs,
    onAbandon: options.onAbandon,
    abandoned: context.abandoned,
    sizeOf: ({ byteLength }) => byteLength,
    join: joinBytes,
    onPiece: (chunk) => {
      if (judge === undefined) return
      judge.push(chunk)
      const now = performance.now()
      timing.push(chunk.byteLength, now - last)
      last = now
    },
    onEnd: settle,
  })
  const isShared = isEverybodys(common.status)
  const publisher = publisherOf(parts, stream)
  // An answer about one account is not given to another.
  lease.onceFollowed(() => (isShared ? void publisher.follow() : void lease.fail(String(common.status))))
  const ended = end.then(({ pieces, error }) => {
    judge?.end()
    const bytes = pieces && error === undefined ? Buffer.concat(pieces) : undefined
    const verdict = verdictOn(judge, bytes, parts, target)
    stats.saved(target.policy.tenant, target.request.model, verdict.usage, common.joined.count)
    if (error !== undefined) throw error.reason
    return bytes && parts.entryOf(bytes, verdict, timing)
  })
  ended.catch(() => {})
  return {
    live: { ...common, body: stream, isSpoilt: () => judge?.spoilt ?? false },
    isFailure: parts.isFailure,
    ended,
    published: () => publisher.following,
    publish: () => (isShared ? publisher.follow() : Promise.resolve(false)),
  }
}

function judgeOf(contentType: string): AnswerJudge | undefined {
  if (isLines(contentType)) return new LineJudge()
  return isStream(contentType) ? new StreamJudge() : undefined
}

/** Judges an answer that was passed on as a stream: by its events or, if it was a large JSON body, at its end. */
function verdictOn(
  judge: AnswerJudge | undefined,
  bytes: Buffer | undefined,
  { contentType }: AnswerParts,
  { request }: ResponseTarget,
): Verdict {
  if (judge !== undefined) return { isWhole: judge.whole, usage: judge.usage }
  const answer = bytes && parseObject(bytes.toString())
  const isWhole = contentType.includes('json') && isWholeAnswer(answer, request.endpoint.answers)
  return { isWhole, usage: usageOf(answer) }
}

/** The body is a web stream, or the stream of Node that other implementations of fetch have. */
function sourceOfBody(response: Response): StreamSource<Uint8Array> {
  const body = response.body as ReadableStream<Uint8Array> | AsyncIterable<Uint8Array> | null
  return body === null ? ended : sourceOf(body)
}

const ended: StreamSource<Uint8Array> = { read: async () => ({ done: true }), cancel: async () => {} }

/** Reads a body of up to `maxBytes`; a longer one is returned as a stream that begins with what was read. */
export async function readBody(
  response: Response,
  maxBytes: number,
  progress: () => void,
): Promise<{ readonly bytes: Buffer } | { readonly source: StreamSource<Uint8Array> }> {
  const told = Number(response.headers.get('content-length') ?? Number.NaN)
  const isPacked = response.headers.has('content-encoding')
  if (response.body === null) return { bytes: Buffer.alloc(0) }
  if (told <= maxBytes && !isPacked) return { bytes: Buffer.from(await response.arrayBuffer()) }
  const source = sourceOfBody(response)
  const chunks: Uint8Array[] = []
  let length = 0
  while (length <= maxBytes) {
    const { done, value } = await source.read()
    if (done || value === undefined) {
      const [only] = chunks
      return { bytes: chunks.length === 1 && only !== undefined ? Buffer.from(only) : Buffer.concat(chunks) }
    }
    progress()
    chunks.push(value)
    length += value.byteLength
  }
  return {
    source: {
      read: async () => {
        const value = chunks.shift()
        return value === undefined ? source.read() : { done: false, value }
      },
      cancel: source.cancel,
    },
  }
}

/** How long a failure is stored; `undefined` for one that is not stored. */
function negativeTtlOf({ options }: FetchContext, status: number): number | undefined {
  return options.negativeTtlMs.get(status)
}
