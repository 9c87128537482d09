import { EvenkeelError } from '@evenkeel/core'

/** A refusal in the format of OpenAI's API, so that its clients throw their own error classes. */
export class Problem extends Error {
  readonly status: number
  readonly type: string
  readonly param: string | null
  readonly code: string | null
  readonly headers: Readonly<Record<string, string>>

  constructor(
    status: number,
    message: string,
    { type = 'invalid_request_error', param = null, code = null, headers = {} }: ProblemDetails = {},
  ) {
    super(message)
    this.status = status
    this.type = type
    this.param = param
    this.code = code
    this.headers = headers
  }

  get body(): string {
    const { message, type, param, code } = this
    return JSON.stringify({ error: { message, type, param, code } })
  }
}

export interface ProblemDetails {
  readonly type?: string
  readonly param?: string | null
  readonly code?: string | null
  readonly headers?: Readonly<Record<string, string>>
}

/** The gateway can't serve the request now; the caller may try again after `retryAfterS` seconds. */
export function overloaded(message: string, retryAfterS = 1): Problem {
  return new Problem(503, message, {
    type: 'server_error',
    code: 'overloaded',
    headers: { 'retry-after': String(retryAfterS) },
  })
}

const ofTheMoment = new Set(['OVERLOADED', 'QUEUE_FULL', 'JOURNAL_FULL', 'CLOSED', 'NO_NODE'])

/** Maps any error: 400 for the caller's mistakes, 503 for temporary conditions, and 502 for all others. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error
  if (EvenkeelError.isInstance(error)) {
    const { code, message } = error
    if (code === 'INVALID_INPUT' || code === 'MESSAGE_TOO_LARGE' || code === 'MESSAGE_CONFLICT') {
      return new Problem(400, message, { code: code.toLowerCase() })
    }
    if (ofTheMoment.has(code)) return overloaded('The gateway is busy; try again in a moment')
  }
  return new Problem(502, 'No decoder could answer', { type: 'server_error', code: 'upstream_error' })
}
