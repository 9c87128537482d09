import type { RateLimitDecision } from '../../decide/result.js'

/** RFC 9457, with the types that draft-ietf-httpapi-ratelimit-headers registers. */
export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: 429 | 503
  readonly detail: string
  /** Names of the limits that denied. */
  readonly 'violated-policies'?: readonly string[]
}

const types = 'https://iana.org/assignments/http-problem-types'

export const problemType = 'application/problem+json'

export function limitedProblem(decision: RateLimitDecision<string>): Problem {
  const detail = `Try again in ${Math.max(1, Math.ceil(decision.retryAfterMs / 1_000))} seconds.`
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

/** Nobody can count at the moment, and the limiter was told to let nobody through then. */
export const unavailableProblem: Problem = {
  type: `${types}#temporary-reduced-capacity`,
  title: 'Request cannot be satisfied due to temporary server capacity constraints',
  status: 503,
  detail: 'Try again in a second.',
}
