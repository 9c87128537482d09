export const cacheHeader = 'x-evenkeel-cache'
export const semanticHeader = 'x-evenkeel-semantic'
/** Why a request was passed by. */
export const bypassHeader = 'x-evenkeel-bypass'

/** Headers that told of one transfer, not of the answer. The body is decompressed already. */
const ofTheTransfer = ['connection', 'content-encoding', 'content-length', 'keep-alive', 'transfer-encoding']

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

/** Of a failure also how long to wait; it is shared among callers with the same credentials alone. */
export function sharedHeaders(own: Headers, isFailure: boolean): Headers {
  const headers = new Headers()
  for (const [name, value] of own) {
    if (shareable.has(name) || (isFailure && (name === 'retry-after' || name === 'retry-after-ms'))) {
      headers.set(name, value)
    }
  }
  return headers
}

/** Of an answer for the caller it was made for. */
export function ownHeaders(own: Headers): Headers {
  const headers = new Headers(own)
  for (const name of ofTheTransfer) headers.delete(name)
  return headers
}
