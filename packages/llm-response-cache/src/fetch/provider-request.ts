import type { Fetch } from './cached-fetch.js'

/** A call of `fetch`, taken apart. */
export interface ProviderRequest {
  readonly url: URL
  readonly method: string
  readonly headers: Headers
  readonly body: unknown
  readonly signal: AbortSignal | undefined
  /** The call as it goes on to the provider, with what is ours taken out. */
  onward(upstream: Fetch, signal: AbortSignal | undefined, body?: string): Promise<Response>
}

const oursPrefix = 'x-evenkeel-'

/** A Request has its body as a stream, which is not ours to read: it is passed on. */
export function describe(input: string | URL | Request, init: RequestInit): ProviderRequest {
  const isRequest = typeof input === 'object' && 'url' in input
  const url = new URL(isRequest ? input.url : input)
  const method = (init.method ?? (isRequest ? input.method : 'GET')).toUpperCase()
  const headers = new Headers(init.headers ?? (isRequest ? input.headers : undefined))
  const ours = [...headers.keys()].filter((name) => name.startsWith(oursPrefix))
  const cleaned = new Headers(headers)
  for (const name of ours) cleaned.delete(name)
  return {
    url,
    method,
    headers,
    body: init.body ?? undefined,
    signal: init.signal ?? (isRequest ? input.signal : undefined),
    onward: (upstream, signal, body) => {
      const { signal: _, ...rest } = init
      const changed: RequestInit = {
        ...rest,
        ...(ours.length > 0 ? { headers: cleaned } : {}),
        ...(body === undefined ? {} : { body }),
        ...(signal === undefined ? {} : { signal }),
      }
      // A request object is passed on as it is: its body can be read once only.
      return upstream(isRequest ? input : url.href, changed)
    },
  }
}
