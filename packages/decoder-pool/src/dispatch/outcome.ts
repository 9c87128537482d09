import { isResponse } from './held-answer.js'

export interface Outcome {
  /** Whether the node did its work: its own faults count against it, a caller's bad request or abort does not. */
  readonly ok: boolean
  /** Milliseconds until its answer, or its first token; what `latency` chooses by. @default since `acquire` */
  readonly latencyMs?: number | undefined
  /** With `ok`, what went wrong was no fault of the node: its place is given back, and nothing else counts. */
  readonly error?: unknown
  /** The node refused for the moment (429, or 503 with Retry-After): it gets nothing new for so many milliseconds. */
  readonly retryAfterMs?: number | undefined
}

/** What a request is for its node. `'panic'`: it was ejected, and used because most were. */
export type Phase = 'serving' | 'trial' | 'panic'

/**
 * What an error or an HTTP answer says of the node. `'fault'`: it failed (connections refused or cut, 5xx,
 * timeouts). `'push-back'`: it refused for the moment, nothing was begun (429, 503 with Retry-After).
 * `'blameless'`: the caller's doing (other 4xx, an abort). `'good'`: an answer.
 */
export type Judged =
  | { readonly kind: 'good' | 'fault' | 'blameless' }
  | { readonly kind: 'push-back'; readonly retryAfterMs: number }

/** Where a refusal does not say for how long: most are full, and free a place soon. */
export const defaultPushBackMs = 100

export function judgeError(error: unknown, nowMs: number): Judged {
  if (typeof error === 'object' && error !== null) {
    if ('name' in error && error.name === 'AbortError') return { kind: 'blameless' }
    // As clients of HTTP and of providers throw them: `status`, `statusCode`, or a `response` that has one.
    const response = 'response' in error ? error.response : undefined
    const status = statusOf(error) ?? statusOf(response)
    if (status !== undefined) return judgeStatus(status, headersOf(error) ?? headersOf(response), nowMs)
  }
  return { kind: 'fault' }
}

/** An answer is good, unless it is one of HTTP's that says otherwise. */
export function judgeAnswer(answer: unknown, nowMs: number): Judged {
  if (!isResponse(answer)) return { kind: 'good' }
  return judgeStatus(answer.status, answer.headers, nowMs)
}

/**
 * A caller who leaves says nothing of the node; one whose time is up blames who had most of it, so that a node
 * that hangs is found though its health check answers.
 */
export function judgeAbort(
  reason: unknown,
  { startedAt, givenAt, now }: { readonly startedAt: number; readonly givenAt: number; readonly now: number },
): Judged {
  const isTimeout = reason instanceof Error && reason.name === 'TimeoutError'
  return { kind: isTimeout && now - givenAt >= (now - startedAt) / 2 ? 'fault' : 'blameless' }
}

function judgeStatus(status: number, headers: unknown, nowMs: number): Judged {
  const retryAfterMs = retryAfterIn(headers, nowMs)
  if (status === 429) return { kind: 'push-back', retryAfterMs: retryAfterMs ?? defaultPushBackMs }
  if (status === 503 && retryAfterMs !== undefined) return { kind: 'push-back', retryAfterMs }
  if (status >= 500) return { kind: 'fault' }
  return { kind: status >= 400 ? 'blameless' : 'good' }
}

function statusOf(value: unknown): number | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { status, statusCode } = value as Record<string, unknown>
  const found = status ?? statusCode
  return Number.isInteger(found) && Number(found) >= 100 && Number(found) < 600 ? Number(found) : undefined
}

function headersOf(value: unknown): unknown {
  return typeof value === 'object' && value !== null && 'headers' in value ? value.headers : undefined
}

/** Seconds, or a date (RFC 9110, 10.2.3). */
function retryAfterIn(headers: unknown, nowMs: number): number | undefined {
  if (typeof headers !== 'object' || headers === null) return undefined
  const value =
    'get' in headers && typeof headers.get === 'function'
      ? headers.get('retry-after')
      : (headers as Record<string, unknown>)['retry-after']
  if (typeof value !== 'string' && typeof value !== 'number') return undefined
  const seconds = Number(value)
  const ms = Number.isNaN(seconds) ? Date.parse(String(value)) - nowMs : seconds * 1_000
  return Number.isNaN(ms) ? undefined : Math.max(0, ms)
}
