import { AsyncLocalStorage } from 'node:async_hooks'
import { InvalidOptionError } from '@evenkeel/core'
import type { FetchOptions } from '../fetch/options.js'
import type { ResponseCache } from '../response-cache.js'

/** The request of one attempt, as the SDK gives it to its middleware. */
export type AnthropicRequest = RequestInit & { readonly headers: Headers; url: string }

/** The part of the SDK's context that is used; the SDK's own type fits. */
export interface AnthropicContext {
  /** `undefined` for requests that the SDK makes for itself, such as those for credentials. */
  readonly options?: unknown
}

/**
 * Creates a middleware for the Anthropic SDK (from 0.120): `messages.create` and streams are answered from the
 * cache. It sees the canonical request and its event stream on Bedrock, Vertex and Foundry too, where a
 * `fetch` sees signed and framed bytes. With older SDKs use `fetch: cache.fetch()`.
 * @example
 * const anthropic = new Anthropic({ middleware: [anthropicMiddleware(cache)] })
 */
export function anthropicMiddleware(
  cache: Pick<ResponseCache, 'fetch'>,
  options: Omit<FetchOptions, 'fetch'> = {},
): <R extends AnthropicRequest>(
  request: R,
  next: (request: R) => Promise<Response>,
  context: AnthropicContext,
) => Promise<Response> {
  if (typeof cache?.fetch !== 'function') throw new InvalidOptionError('cache', 'a response cache', cache)
  // One fetch for all requests, so that equal ones share a call; it uses the `next` of the request that began it.
  const ways = new AsyncLocalStorage<(url: string, init: RequestInit) => Promise<Response>>()
  const cached = cache.fetch({
    ...options,
    fetch: (input, init = {}) => {
      const next = ways.getStore()
      if (next === undefined) throw new InvalidOptionError('fetch', 'a call within the middleware', undefined)
      return next(String(input), init)
    },
  })
  return (request, next, context) => {
    if (context.options === undefined) return next(request)
    const { url, ...rest } = request
    const init: object = rest
    // Without the caller's signal: other callers may have joined by the time it aborts.
    const onward = (href: string, changed: RequestInit) =>
      next({
        ...request,
        ...changed,
        signal: changed.signal ?? null,
        url: href,
        headers: new Headers(changed.headers ?? request.headers),
      })
    return ways.run(onward, () => cached(url, init))
  }
}
