import type { Policy } from '../call-options.js'
import type { Entry } from '../entry/entry.js'
import { parseObject } from '../key/parse.js'
import type { CacheableRequest } from '../key/request-key.js'
import type { CallerIdentity, ProduceContext, Produced } from '../lookup/call.js'
import { type LookupContext, timesOf } from '../lookup/context.js'
import { isOutageStatus } from '../lookup/outage.js'
import type { ResolvedResponseOptions } from '../options.js'
import { SharedStream, type StreamEnd, type StreamSource, sourceOf } from '../streams/shared-stream.js'
import { noUsage, type Usage, usageOf } from '../usage/tokens.js'
import { isWholeAnswer, StreamJudge } from './completeness.js'
import { isStream } from './forms/forms.js'
import { sharedHeaders } from './headers.js'
import { type PublishedHead, Publisher } from './publisher.js'

/** What fetch-level look-ups work with, beside the rest. */
export interface FetchContext extends LookupContext {
  readonly options: ResolvedResponseOptions
}

/** A response on its way, to any number of callers. */
export interface SharedResponse {
  readonly status: number
  readonly statusText: string
  readonly url: string
  readonly headers: Headers
  /** Read whole where it is no stream, else shared as it comes. */
  readonly body: Buffer | SharedStream<Uint8Array>
  /** Nothing more may join: what passed is not fit for others. */
  isSpoilt(): boolean
  /** A stream that was asked to tell its usage. */
  readonly usageAsked: boolean
  readonly identity: CallerIdentity | undefined
  /** How many joined; what they were spared is known at the end. */
  readonly joined: { count: number }
  /** What a whole answer told of; of a stream it is known at the end. */
  usage?(): Usage
}

/** What an answer is kept as. */
export interface ResponseTarget {
  readonly request: CacheableRequest
  readonly policy: Policy
  readonly identity: CallerIdentity
}

/** Failures that any caller would get, with whatever key: they are told to followers. */
const everybodys = new Set([400, 413, 422])

export function isEverybodys(status: number): boolean {
  return status === 200 || everybodys.has(status)
}

/**
 * A provider's answer, for all who wait for it: a body that is no stream is read whole, once; a stream is recorded
 * as it passes. It is told to other instances once one of them follows, and kept when it has ended properly.
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
  const head = { status, statusText: response.statusText, url: response.url, headers: response.headers }
  const common = {
    ...head,
    ...{ usageAsked: target.request.form.usage, identity: target.identity, joined: { count: 0 } },
  }
  const told = { ...head, headers: sharedHeaders(response.headers, false), usageAsked: common.usageAsked }
  const entryOf = (bytes: Buffer, judge: StreamJudge | undefined, timing: readonly number[]) => {
    const usage = judge?.usage ?? usageIn(bytes)
    const ttlMs = ttlOf(context, target, { status, contentType, judge, bytes })
    return ttlMs === undefined
      ? { usage, entry: undefined }
      : {
          usage,
          entry: {
            ...timesOf(context, target.policy, ttlMs),
            ...{ kind: 'response', costMs: performance.now() - beganAt, versions, status },
            ...{ model: target.request.model, usage, timing, body: bytes },
            contentType: contentType === '' ? 'text/event-stream' : contentType,
          } satisfies Entry,
        }
  }
  const isFailure = isOutageStatus(status)
  if ('bytes' in body) {
    const { bytes } = body
    const live: SharedResponse = {
      ...common,
      body: bytes,
      isSpoilt: () => false,
      usage: () => usageIn(bytes),
    }
    const publisher = new Publisher(lease, told, () => [bytes])
    if (!isEverybodys(status)) void lease.onceFollowed(() => lease.fail(String(status)))
    return {
      live,
      isFailure,
      ended: Promise.resolve(entryOf(bytes, undefined, []).entry),
      publish: () => (isEverybodys(status) ? publisher.whole() : Promise.resolve(false)),
    }
  }
  return streamed(context, target, {
    common,
    told,
    isFailure,
    source: body.source,
    contentType,
    lease,
    entryOf,
  })
}

interface StreamedParts {
  readonly common: Omit<SharedResponse, 'body' | 'isSpoilt'>
  readonly told: PublishedHead
  readonly isFailure: boolean
  readonly source: StreamSource<Uint8Array>
  readonly contentType: string
  readonly lease: ProduceContext['lease']
  entryOf(
    bytes: Buffer,
    judge: StreamJudge | undefined,
    timing: readonly number[],
  ): { readonly usage: Usage; readonly entry: Entry | undefined }
}

function streamed(
  context: FetchContext,
  target: ResponseTarget,
  parts: StreamedParts,
): Produced<SharedResponse> {
  const { options, stats } = context
  const { common, contentType, lease } = parts
  const judge = isStream(contentType) ? new StreamJudge() : undefined
  const timing: number[] = []
  let last = performance.now()
  let settle: (end: StreamEnd<Uint8Array>) => void = () => {}
  const end = new Promise<StreamEnd<Uint8Array>>((resolve) => {
    settle = resolve
  })
  const stream = new SharedStream<Uint8Array>(parts.source, {
    ...{ maxSize: options.maxEntryBytes, stallMs: options.stallMs, onAbandon: options.onAbandon },
    sizeOf: ({ byteLength }) => byteLength,
    onPiece: (chunk) => {
      judge?.push(chunk)
      const now = performance.now()
      if (judge !== undefined) timing.push(chunk.byteLength, now - last)
      last = now
    },
    onEnd: settle,
  })
  const isShared = isEverybodys(common.status)
  const publisher = new Publisher(lease, parts.told, () => stream)
  // What is one account's alone is nobody else's answer.
  lease.onceFollowed(() => (isShared ? void publisher.follow() : void lease.fail(String(common.status))))
  const ended = end.then(({ pieces, error }) => {
    judge?.end()
    const bytes = pieces && error === undefined ? Buffer.concat(pieces) : undefined
    const made = bytes && parts.entryOf(bytes, judge, timing)
    const { count } = common.joined
    stats.saved(target.policy.tenant, target.request.model, made?.usage ?? judge?.usage ?? noUsage, count)
    if (error !== undefined) throw error.reason
    return made?.entry
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

/** Of a web stream, or of the stream of Node that other implementations of fetch give. */
function sourceOfBody(response: Response): StreamSource<Uint8Array> {
  const body = response.body as ReadableStream<Uint8Array> | AsyncIterable<Uint8Array> | null
  return body === null ? ended : sourceOf(body)
}

const ended: StreamSource<Uint8Array> = { read: async () => ({ done: true }), cancel: async () => {} }

/** A body is read whole, up to the bound; a longer one is handed on as a stream, with what was read in front. */
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

/** How long an answer is kept; nothing for one that is not. */
function ttlOf(
  { options }: FetchContext,
  { request, policy }: ResponseTarget,
  answer: {
    readonly status: number
    readonly contentType: string
    readonly judge: StreamJudge | undefined
    readonly bytes: Buffer
  },
): number | undefined {
  const { status, contentType, judge, bytes } = answer
  if (status !== 200) return options.negativeTtlMs.get(status)
  if (judge !== undefined) return judge.whole ? policy.ttlMs : undefined
  if (!contentType.includes('json')) return undefined
  return isWholeAnswer(parseObject(bytes.toString()), request.endpoint.answers) ? policy.ttlMs : undefined
}

function usageIn(body: Buffer): Usage {
  return usageOf(parseObject(body.toString()))
}
