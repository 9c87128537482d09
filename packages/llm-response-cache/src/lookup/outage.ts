import { isError } from '@evenkeel/core/kit'
import { ProviderStalledError } from '../errors.js'
import { isRecord } from '../json.js'

/** Statuses by which a provider says that it fails, and not that the request is wrong. */
export function isOutageStatus(status: number): boolean {
  return status >= 500 || status === 429 || status === 408
}

/** Codes of Node, undici and the resolver for connections that could not be made or broke off. */
const networkCodes =
  /^(?:E(?:CONN(?:REFUSED|RESET|ABORTED)|PIPE|HOST(?:UNREACH|DOWN)|NET(?:UNREACH|DOWN|RESET)|TIMEDOUT|AI_AGAIN|NOTFOUND|PROTO|ADDRNOTAVAIL)|UND_ERR_\w+|HPE_\w+)$/

/** Names of the errors of provider SDKs and fetch for failed connections and time limits. */
const networkNames = new Set([
  'APIConnectionError',
  'APIConnectionTimeoutError',
  'APITimeoutError',
  'ConnectionError',
  'ConnectTimeoutError',
  'FetchError',
  'HTTPClientError',
  'RequestTimeoutError',
  'TimeoutError',
])

/**
 * Whether a call failed because its provider fails: the network, a time limit, 408, 429 or 5xx, or a plain `Error`
 * without details. A refused request (400, 401, 404), a fault in the application's code (such as a `TypeError`) and a
 * caller that left do not count.
 */
export function isProviderOutage(error: unknown): boolean {
  let cause: unknown = error
  for (let depth = 0; depth < 5 && isRecord(cause); depth++) {
    if (cause instanceof ProviderStalledError) return true
    const status = statusOf(cause)
    if (status !== undefined) return isOutageStatus(status)
    if (typeof cause.code === 'string' && networkCodes.test(cause.code)) return true
    if (typeof cause.name === 'string' && networkNames.has(cause.name)) return true
    if (
      cause.name === 'TypeError' &&
      /^(?:fetch failed|terminated|Failed to fetch)$/.test(String(cause.message))
    )
      return true
    cause = cause.cause ?? cause.lastError
  }
  return isPlainError(error)
}

/** Whether the class of an error says nothing about the cause, unlike TypeError or our errors about arguments. */
function isPlainError(error: unknown): boolean {
  return isError(error) && error.name === 'Error' && error.constructor.name === 'Error'
}

function statusOf(error: Record<string, unknown>): number | undefined {
  const response = isRecord(error.response) ? error.response.status : undefined
  for (const status of [error.status, error.statusCode, error.status_code, response]) {
    if (typeof status === 'number' && status >= 100 && status < 1_000) return status
  }
  return undefined
}
