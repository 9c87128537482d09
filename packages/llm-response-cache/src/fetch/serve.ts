import { bytesOf, type Entry } from '../entry/entry.js'
import type { WantedForm } from '../key/request-key.js'
import { sourceOf, toWebStream } from '../streams/shared-stream.js'
import type { Outcome } from '../usage/stats.js'
import { type Formed, inForm, isStream } from './forms/forms.js'
import { bypassHeader, cacheHeader, ownHeaders, semanticHeader, sharedHeaders } from './headers.js'
import type { Replay } from './options.js'
import { replayed } from './replay.js'

/** A kept answer as a response in the wanted form; nothing where it can't be had in that. */
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
  const headers = new Headers({
    'content-type': formed.contentType,
    age: String(Math.floor(told.ageMs / 1_000)),
    [cacheHeader]: told.outcome,
  })
  if (told.semantic !== undefined) headers.set(semanticHeader, told.semantic)
  const isPaced = replay !== 'instant' && isStream(formed.contentType)
  const body = isPaced
    ? replayed(formed.body, formed.body === whole.body ? entry.timing : [], replay)
    : new Uint8Array(formed.body)
  return at(told.url, new Response(body, { status: entry.status, headers }))
}

/** Whether an entry can be had in a form. Reads it only where the form is another one. */
export function canServe({ kind, status, contentType, body }: Entry, wanted: WantedForm): boolean {
  if (kind !== 'response') return false
  if (status !== 200) return true
  const isPlain = wanted.wire !== 'openai-chat' && wanted.wire !== 'openai-completions'
  if (isStream(contentType) === wanted.streamed && (isPlain || !wanted.streamed)) return true
  return inForm({ contentType, body: Buffer.isBuffer(body) ? body : Buffer.from(body) }, wanted) !== undefined
}

/** What is needed of a response to give it to a caller. */
export interface ResponseHead {
  readonly status: number
  readonly statusText: string
  readonly url: string
  readonly headers: Headers
}

/** A response of the provider's, with our mark. `isShared`: it goes to another caller than the one it was made for. */
export function marked(
  { status, statusText, url, headers: own }: ResponseHead,
  body: ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer> | string | null,
  outcome: Outcome,
  isShared = false,
): Response {
  const headers = isShared ? sharedHeaders(own, status >= 400) : ownHeaders(own)
  headers.set(cacheHeader, outcome)
  return at(
    url,
    new Response(hasBody(status) ? body : null, { status: constructible(status), statusText, headers }),
  )
}

/** A response that was passed by, as the provider sent it, with our mark beside its own headers. */
export function passed(response: Response, reason: string): Response {
  const { status, statusText, url } = response
  // What can't be constructed is given as it came.
  if (status < 200 || status > 599) return response
  const headers = new Headers(response.headers)
  headers.set(cacheHeader, 'bypass')
  headers.set(bypassHeader, reason)
  const body = hasBody(status) ? webBody(response) : null
  return at(url, new Response(body, { status, statusText, headers }), response)
}

/** Other implementations of fetch give a stream of Node, which a Response of ours takes by iterating over it. */
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

/** What a constructed response does not have. */
function at(url: string, made: Response, from?: Response): Response {
  return Object.defineProperties(made, {
    url: { value: url },
    ...(from === undefined ? {} : { redirected: { value: from.redirected }, type: { value: from.type } }),
  })
}
