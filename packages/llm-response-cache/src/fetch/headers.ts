export const cacheHeader = 'x-evenkeel-cache'
export const semanticHeader = 'x-evenkeel-semantic'
/** Why a request was passed by. */
export const bypassHeader = 'x-evenkeel-bypass'

/** Headers of one transfer, not of the answer. The body is decompressed already. */
const ofTheTransfer = new Set([
  ...['connection', 'content-encoding', 'content-length', 'keep-alive', 'transfer-encoding'],
])

/**
 * Headers of an answer that go to another caller than the one it was made for. A list of what may: everything else
 * may tell of the first caller's account, session or limits.
 */
const shareable = new Set([
  'content-type',
  'content-language',
  'openai-model',
  'openai-version',
  'anthropic-version',
])

/** How long to wait after a failure. Of the caller's own account, so it is for callers with the same credentials. */
const waits = new Set(['retry-after', 'retry-after-ms'])

export type HeaderList = [name: string, value: string][]

/** Of an answer for another caller than the one it was made for. */
export function sharedHeaders(own: Headers, { withWaits = false } = {}): HeaderList {
  return [...own].filter(([name]) => shareable.has(name) || (withWaits && waits.has(name)))
}

/** Of an answer for the caller it was made for. */
export function ownHeaders(own: Headers): HeaderList {
  return [...own].filter(([name]) => !ofTheTransfer.has(name))
}
