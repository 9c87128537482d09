import { isRequest } from '@evenkeel/core/kit'
import type { Fetch } from './options.js'

/** A call of `fetch`, taken apart. */
export interface ProviderRequest {
  readonly url: URL
  readonly method: string
  readonly headers: RequestHeaders
  readonly signal: AbortSignal | undefined
  /** Credentials and accounts in the headers, and the query: an error may be about them. */
  readonly credentials: string
  /** The caller has given up an earlier attempt. */
  readonly isRetry: boolean
  /** The body as text, if that does not consume it; `undefined` for streams and forms. */
  text(): Promise<string | undefined> | string | undefined
  /** Sends the call unchanged, with its own signal, but without our headers. */
  pass(upstream: Fetch): Promise<Response>
  /** Sends the call with this body, and with a signal that belongs to no caller. */
  call(upstream: Fetch, body: string, signal: AbortSignal): Promise<Response>
}

/** A request's headers as they were when it was made, by their names in lower case. */
export type RequestHeaders = ReadonlyMap<string, string>

const oursPrefix = 'x-evenkeel-'

/** Headers that name an account. */
const accountHeaders = [
  ...['authorization', 'proxy-authorization', 'x-api-key', 'api-key', 'x-goog-api-key', 'cookie'],
  ...['openai-organization', 'openai-project', 'x-portkey-api-key', 'helicone-auth', 'cf-aig-authorization'],
]

export function describe(input: string | URL | Request, init: RequestInit): ProviderRequest {
  const request = isRequest(input) ? input : undefined
  const url = new URL(request?.url ?? (input as string | URL))
  const method = (init.method ?? request?.method ?? 'GET').toUpperCase()
  const headers = headersOf(init.headers ?? request?.headers)
  const cleaned = withoutOurs(headers)
  const ownHeaders = cleaned === undefined ? {} : { headers: cleaned }
  let credentials: string | undefined
  return {
    url,
    method,
    headers,
    signal: init.signal ?? request?.signal ?? undefined,
    get credentials() {
      credentials ??= [...accountHeaders.map((name) => headers.get(name) ?? ''), url.search].join('\n')
      return credentials
    },
    isRetry: Number(headers.get('x-stainless-retry-count') ?? 0) > 0,
    text: () => (init.body === undefined || init.body === null ? textOfRequest(request) : textOf(init.body)),
    pass: (upstream) => upstream(input, cleaned === undefined ? init : { ...init, ...ownHeaders }),
    call: (upstream, body, signal) => {
      const { signal: _, body: __, ...rest } = init
      const changed = { ...rest, method, ...ownHeaders, body, signal }
      // A new Request of the same class, which keeps what only that class knows, such as a dispatcher.
      if (request === undefined) return upstream(url.href, changed)
      const Own = request.constructor as typeof Request
      return upstream(new Own(request, { ...changed, duplex: 'half' } as RequestInit))
    },
  }
}

/** Copied once, since `Headers` sorts its entries for each iteration. */
function headersOf(given: RequestInit['headers']): RequestHeaders {
  if (given === undefined || given === null) return new Map()
  return new Map(given instanceof Headers ? given : new Headers(given))
}

/** `undefined` if none of the headers is ours. */
function withoutOurs(headers: RequestHeaders): Headers | undefined {
  for (const name of headers.keys()) {
    if (name.startsWith(oursPrefix)) {
      return new Headers([...headers].filter(([own]) => !own.startsWith(oursPrefix)))
    }
  }
  return undefined
}

function textOfRequest(request: Request | undefined): Promise<string | undefined> | undefined {
  // Reads a copy, since the request itself goes to the provider if it bypasses the cache.
  if (request === undefined || request.body === null || request.bodyUsed) return undefined
  return request
    .clone()
    .arrayBuffer()
    .then((bytes) => decoded(new Uint8Array(bytes)))
}

function textOf(body: unknown): Promise<string | undefined> | string | undefined {
  if (typeof body === 'string') return body
  if (body instanceof ArrayBuffer) return decoded(new Uint8Array(body))
  if (ArrayBuffer.isView(body)) return decoded(new Uint8Array(body.buffer, body.byteOffset, body.byteLength))
  if (body instanceof Blob) return body.arrayBuffer().then((bytes) => decoded(new Uint8Array(bytes)))
  return undefined
}

/** `undefined` for bytes that are no text, such as a compressed body. */
function decoded(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}
