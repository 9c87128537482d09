import { isRequest, untilAborted } from '@evenkeel/core/kit'
import type { Dispatcher } from 'undici'
import type { PreparedRequest } from './transport.js'

/** A request as it arrived, for a function that says what it requires of a node. */
export interface PoolRequest {
  readonly method: string
  readonly url: string
  readonly headers: Headers
  /** The body as text; empty if there is none. */
  readonly body: string
  /** The parsed body if it is JSON; else `undefined`, as for a GET, a file or plain text. */
  // biome-ignore lint/suspicious/noExplicitAny: as of JSON.parse; what is in it is the caller's to know
  readonly json: any
}

/** Headers of a connection, not of the request: the pool's connection to the node has its own (RFC 9110, 7.6.1). */
const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'expect',
  'content-length',
  'host',
])

export type FetchInput = Parameters<typeof globalThis.fetch>[0]
/** Options of `fetch`, with undici's `dispatcher` and Node's `duplex`. */
export type FetchInit = Omit<RequestInit, 'dispatcher' | 'duplex'> & {
  dispatcher?: unknown
  duplex?: unknown
}

type Body = NonNullable<RequestInit['body']>

export interface Prepared {
  readonly url: URL
  readonly request: PreparedRequest
  readonly signal: AbortSignal | undefined
  /** The request as `wanted` gets it. */
  readonly seen: PoolRequest
}

/** Reads a request's body once, since it may have to be sent twice. A text body stays text. */
export async function prepare(input: FetchInput, init: FetchInit = {}): Promise<Prepared> {
  const given = isRequest(input) ? input : undefined
  const url = new URL(given?.url ?? String(input))
  const method = methodOf(init.method ?? given?.method ?? 'GET')
  const headers = new Headers(init.headers ?? given?.headers)
  const signal = (init.signal === undefined ? given?.signal : init.signal) ?? undefined
  signal?.throwIfAborted()
  const body = await bodyOf(
    init.body ?? undefined,
    init.body === undefined ? given : undefined,
    headers,
    signal,
  )
  if (body !== undefined && (method === 'GET' || method === 'HEAD')) {
    throw new TypeError('Request with GET/HEAD method cannot have body.')
  }
  forgetHops(headers)
  const request: PreparedRequest = {
    method,
    headers,
    body,
    redirect: init.redirect ?? given?.redirect ?? 'follow',
    dispatcher: (init.dispatcher ?? undefined) as Dispatcher | undefined,
  }
  return { url, request, signal, seen: seenBy(method, url, headers, body) }
}

function seenBy(
  method: string,
  url: URL,
  headers: Headers,
  body: string | Uint8Array | undefined,
): PoolRequest {
  const textOf = () => (typeof body === 'string' ? body : new TextDecoder().decode(body))
  const isJson = () => {
    const type = headers.get('content-type')
    // Clients that set none send JSON as text.
    return type === null || /^(?:application\/(?:[\w.-]+\+)?json|text\/plain)\b/i.test(type)
  }
  return {
    method,
    url: url.href,
    headers,
    get body() {
      return textOf()
    },
    get json() {
      if (body === undefined || !isJson()) return undefined
      try {
        return JSON.parse(textOf())
      } catch {
        return undefined
      }
    },
  }
}

function methodOf(method: string): string {
  const upper = method.toUpperCase()
  // As `fetch` does: these methods are upper-cased, others stay as they are.
  return ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS'].includes(upper) ? upper : method
}

async function bodyOf(
  body: Body | undefined,
  request: Request | undefined,
  headers: Headers,
  signal: AbortSignal | undefined,
): Promise<string | Uint8Array | undefined> {
  if (typeof body === 'string') {
    if (!headers.has('content-type')) headers.set('content-type', 'text/plain;charset=UTF-8')
    return body
  }
  // A form's boundary is in its content type, so both must come from the same object.
  const read = request ?? (body === undefined ? undefined : new Response(body))
  if (read?.body === undefined || read.body === null) return undefined
  const type = read.headers.get('content-type')
  if (type !== null && !headers.has('content-type')) headers.set('content-type', type)
  const bytes = read.arrayBuffer().then((buffer) => new Uint8Array(buffer))
  return signal === undefined ? bytes : untilAborted(bytes, signal)
}

function forgetHops(headers: Headers): void {
  for (const name of headers.get('connection')?.split(',') ?? []) {
    const hop = name.trim().toLowerCase()
    if (/^[!#$%&'*+.^_`|~\w-]+$/.test(hop)) headers.delete(hop)
  }
  // One pass over all headers costs less than a look-up of each name.
  for (const name of [...headers.keys()]) if (hopByHop.has(name)) headers.delete(name)
}
