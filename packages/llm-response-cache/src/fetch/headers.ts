export const cacheHeader = 'x-evenkeel-cache'
export const semanticHeader = 'x-evenkeel-semantic'
/** Why a request bypassed the cache. */
export const bypassHeader = 'x-evenkeel-bypass'

/** Headers of one transfer, not of the answer. The body is decompressed already. */
const ofTheTransfer = new Set([
  ...['connection', 'content-encoding', 'content-length', 'keep-alive', 'transfer-encoding'],
])

/**
 * Headers of an answer that other callers may get too. All other headers are left out, since they may reveal the first
 * caller's account, session or limits.
 */
const shareable = new Set([
  'content-type',
  'content-language',
  'openai-model',
  'openai-version',
  'anthropic-version',
])

/** How long to wait after a failure: it depends on the account, so it is only for callers with the same credentials. */
const waits = new Set(['retry-after', 'retry-after-ms'])

export type HeaderList = [name: string, value: string][]

/** Headers for another caller than the one that the provider answered. */
export function sharedHeaders(own: Headers, { withWaits = false } = {}): HeaderList {
  return [...own].filter(([name]) => shareable.has(name) || (withWaits && waits.has(name)))
}

/** Headers for the caller that the provider answered. */
export function ownHeaders(own: Headers): HeaderList {
  return [...own].filter(([name]) => !ofTheTransfer.has(name))
}
