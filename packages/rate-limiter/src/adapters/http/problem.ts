import type { InvalidInputError } from '@evenkeel/core'
import type { RateLimitDecision } from '../../decide/result.js'

/** A problem of RFC 9457, with the types that draft-ietf-httpapi-ratelimit-headers registers. */
export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: 400 | 403 | 429 | 503
  readonly detail: string
  /** Names of the limits that denied. */
  readonly 'violated-policies'?: readonly string[]
}

const types = 'https://iana.org/assignments/http-problem-types'

export const problemType = 'application/problem+json'

/** @param retryAfterSeconds the value of the `Retry-After` header */
export function limitedProblem(decision: RateLimitDecision<string>, retryAfterSeconds: number): Problem {
  const detail = `Try again in ${retryAfterSeconds} second${retryAfterSeconds === 1 ? '' : 's'}.`
  if (decision.blocked) {
    return {
      type: `${types}#abnormal-usage-detected`,
      title: 'Request not satisfied due to detection of abnormal request pattern',
      status: 429,
      detail,
    }
  }
  return {
    type: `${types}#quota-exceeded`,
    title: 'Request cannot be satisfied as assigned quota has been exceeded',
    status: 429,
    detail,
    'violated-policies': Object.entries(decision.limits)
      .filter(([, status]) => status?.allowed === false)
      .map(([name]) => name),
  }
}

/** Redis can't count now, and the limiter is configured to admit no call then. */
export const unavailableProblem: Problem = {
  type: `${types}#temporary-reduced-capacity`,
  title: 'Request cannot be satisfied due to temporary server capacity constraints',
  status: 503,
  detail: 'Try again in a second.',
}

/** The request does not identify its client. */
export const unnamedProblem: Problem = {
  type: 'about:blank',
  title: 'Forbidden',
  status: 403,
  detail: 'The request does not say whose it is.',
}

/** A subject or a cost from the client can't be counted. Its value is not repeated. */
export function invalidRequestProblem({ field }: InvalidInputError): Problem {
  const detail =
    field === 'subject'
      ? 'The name that the request gives its client is empty, too long, or no text.'
      : `The request's cost in ${field.slice('costs.'.length)} is no whole number within its limit.`
  return { type: 'about:blank', title: 'Bad Request', status: 400, detail }
}
