import { bufferedResponse, type ResponseOrigin, withOriginOf } from '@evenkeel/core/kit'
import { bytesOf, type Entry } from '../entry/entry.js'
import type { WantedForm } from '../key/request-key.js'
import { sourceOf, toWebStream } from '../streams/shared-stream.js'
import type { Outcome } from '../usage/stats.js'
import { type Formed, inForm, isStream } from './forms/forms.js'
import {
  bypassHeader,
  cacheHeader,
  type HeaderList,
  ownHeaders,
  semanticHeader,
  sharedHeaders,
} from './headers.js'
import type { Replay } from './options.js'
import { replayed } from './replay.js'

/** A stored answer as a response in the wanted form; `undefined` if it can't be converted. */
export function serveEntry(
  entry: Entry,
  wanted: WantedForm,
  told: {
    readonly outcome: Outcome
    readonly ageMs: number
    readonly url: string
    readonly semantic?: string | undefined
  },
  replay: Replay,
): Response | undefined {
  const whole: Formed = { contentType: entry.contentType, body: bytesOf(entry) }
  const formed = entry.status === 200 ? inForm(whole, wanted) : whole
  if (formed === undefined) return undefined
  const headers: HeaderList = [
    ['content-type', formed.contentType],
    ['age', String(Math.floor(told.ageMs / 1_000))],
    [cacheHeader, told.outcome],
  ]
  if (told.semantic !== undefined) headers.push([semanticHeader, told.semantic])
  const init = { status: entry.status, headers }
  if (replay === 'instant' || !isStream(formed.contentType)) {
    return bufferedResponse(formed.body, init, originAt(told.url))
  }
  const timing = formed.body === whole.body ? entry.timing : []
  return withOriginOf(
    originAt(told.url),
    new Response(replayed(formed.body, timing, { replay, contentType: formed.contentType }), init),
  )
}

/** Whether an entry can be served in a form. Reads the body only if it may need a conversion. */
export function canServe({ kind, status, contentType, body }: Entry, wanted: WantedForm): boolean {
  if (kind !== 'response') return false
  if (status !== 200) return true
  const isPlain = wanted.wire !== 'openai-chat' && wanted.wire !== 'openai-completions'
  if (isStream(contentType) === wanted.streamed && (isPlain || !wanted.streamed)) return true
  return inForm({ contentType, body: Buffer.isBuffer(body) ? body : Buffer.from(body) }, wanted) !== undefined
}

/** What a caller's response needs beside the body. */
export interface ResponseHead {
  readonly status: number
  readonly statusText: string
  readonly url: string
  readonly headers: Headers
}

export interface Marking {
  readonly outcome: Outcome
  /** The response goes to another caller than the one that the provider answered. @default false */
  readonly isShared?: boolean | undefined
  /** That caller has the same credentials. @default false */
  readonly isOwnAccount?: boolean | undefined
  /** Content type after a conversion. @default the provider's */
  readonly contentType?: string | undefined
}

/** The origin of a response that the cache makes for a request to this URL. */
function originAt(url: string): ResponseOrigin {
  return { url, redirected: false, type: 'default' }
}

/** A response of the provider with our headers. */
export function marked(
  { status, statusText, url, headers: own }: ResponseHead,
  body: ReadableStream<Uint8Array> | Uint8Array,
  { outcome, isShared = false, isOwnAccount = false, contentType }: Marking,
): Response {
  const given = isShared ? sharedHeaders(own, { withWaits: status >= 400 && isOwnAccount }) : ownHeaders(own)
  const headers = contentType === undefined ? given : given.filter(([name]) => name !== 'content-type')
  if (contentType !== undefined) headers.push(['content-type', contentType])
  headers.push([cacheHeader, outcome])
  const init = { status: constructible(status), statusText, headers }
  const origin = originAt(url)
  if (!hasBody(status)) return withOriginOf(origin, new Response(null, init))
  return body instanceof Uint8Array
    ? bufferedResponse(body, init, origin)
    : withOriginOf(origin, new Response(body, init))
}

/** The response of a request that bypassed the cache: the provider's, with our headers added. */
export function passed(response: Response, reason: string): Response {
  const { status, statusText } = response
  // A response of such a status can't be constructed, so it is passed on unchanged.
  if (status < 200 || status > 599) return response
  const headers = new Headers(response.headers)
  headers.set(cacheHeader, 'bypass')
  headers.set(bypassHeader, reason)
  const body = hasBody(status) ? webBody(response) : null
  return withOriginOf(response, new Response(body, { status, statusText, headers }))
}

/** Other implementations of fetch have a stream of Node as the body, which is converted by iterating over it. */
function webBody({ body }: Response): ReadableStream<Uint8Array> | null {
  const given: ReadableStream<Uint8Array> | AsyncIterable<Uint8Array> | null = body
  return given === null || 'getReader' in given ? given : toWebStream(sourceOf(given))
}

function hasBody(status: number): boolean {
  return status !== 204 && status !== 205 && status !== 304
}

function constructible(status: number): number {
  return status >= 200 && status <= 599 ? status : 502
}
