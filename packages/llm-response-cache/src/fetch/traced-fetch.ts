import type { Spans } from '@evenkeel/core/kit'
import type { Fetch } from './options.js'

/**
 * Puts a span around each look-up, up to the answer; the provider's spans are below it. It contains no texts. Without
 * spans it returns the function itself.
 */
export function tracedFetch(spans: Spans | undefined, fetch: Fetch): Fetch {
  if (spans === undefined) return fetch
  return (input, init) =>
    spans.around('response_cache fetch', {}, async (span) => {
      const response = await fetch(input, init)
      span?.set({
        'evenkeel.response_cache.outcome': response.headers.get('x-evenkeel-cache') ?? undefined,
        'evenkeel.response_cache.bypass_reason': response.headers.get('x-evenkeel-bypass') ?? undefined,
      })
      return response
    })
}
