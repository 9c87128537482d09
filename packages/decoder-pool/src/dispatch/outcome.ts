import { isError, isResponse, retryAfterMs } from '@evenkeel/core/kit'
import { defaultPushBackMs, PushBackError } from '../errors.js'
import { causesOf } from './connect-errors.js'

export interface Outcome {
  /** Whether the node did its work. Its own failures count against it; a caller's bad request or abort does not. */
  readonly ok: boolean
  /** Milliseconds until the answer, or its first token; used by the strategy `latency`. @default since `acquire` */
  readonly latencyMs?: number | undefined
  /**
   * With `ok`, an error that is not the node's fault: its slot is freed, and nothing else is counted. An error with an
   * HTTP status of 3xx or 4xx counts as load for as long as an answer would have taken.
   */
  readonly error?: unknown
  /** The node refused for now (429, or 503 with Retry-After): it gets no new requests for these milliseconds. */
  readonly retryAfterMs?: number | undefined
}

/** The error of an outcome whose node was never called. */
export const unused = Symbol('the node was not called')

/** What a request is for its node. `'panic'`: the node is ejected, but used because most nodes are. */
export type Phase = 'serving' | 'trial' | 'panic'

/**
 * Whose fault an outcome is. `'fault'`: the node's, which counts against it (connections refused or cut, 5xx,
 * timeouts). `'push-back'`: the node is busy, and nothing was begun (429, 503 with Retry-After or a full queue).
 * `'refusal'`: the node refused as if the caller were wrong, and nothing was begun (401, 403, 404, a redirect to
 * elsewhere): the caller's fault, unless other nodes serve the same. `'blameless'`: the caller's (other 4xx, an abort,
 * a request that could not be sent). `'good'`: an answer.
 */
export type Judged =
  | { readonly kind: 'good' | 'fault' | 'blameless' | 'refusal' }
  | { readonly kind: 'push-back'; readonly retryAfterMs: number }

export function judgeError(error: unknown, nowMs: number): Judged {
  if (error instanceof PushBackError) return pushBack(error.retryAfterMs)
  if (typeof error !== 'object' || error === null) return { kind: 'fault' }
  if ('name' in error && error.name === 'AbortError') return { kind: 'blameless' }
  // As clients of HTTP and of providers throw them: `status`, `statusCode`, or a `response` that has one.
  const response = 'response' in error ? error.response : undefined
  const status = statusOf(error)
  if (status !== undefined) {
    const judged = judgeStatus(status, headersOf(error) ?? headersOf(response), nowMs)
    const isBusy = status === unavailable && 'message' in error && busyWords.test(String(error.message))
    return isBusy && judged.kind === 'fault' ? pushBack(defaultPushBackMs) : judged
  }
  return { kind: isOfTheCaller(error) ? 'blameless' : 'fault' }
}

/** An answer is good, unless it is a `Response` whose status says otherwise. */
export function judgeAnswer(answer: unknown, nowMs: number): Judged {
  if (!isResponse(answer)) return { kind: 'good' }
  return judgeStatus(answer.status, answer.headers, nowMs)
}

/** vLLM, SGLang, llama.cpp and Ollama report a full queue by a 503 that names no time. */
const unavailable = 503
const busyWords = /\bbusy\b|overloaded|queue is full|too many requests|no slot available/i
/** Such a message is short; no more of a body is read before the caller reads it. */
const maxWordBytes = 4_096
/** It comes with the status: a node that hangs in the middle of a refusal delays a request by at most these ms. */
const maxWordMs = 100

/** As {@link judgeAnswer}, for a fault by its status: a 503 without Retry-After is also judged by its body. */
export async function judgeUnavailable(answer: unknown, judged: Judged): Promise<Judged> {
  if (!isResponse(answer) || answer.status !== unavailable || answer.bodyUsed) return judged
  return busyWords.test(await beginningOf(answer)) ? pushBack(defaultPushBackMs) : judged
}

/** The beginning of a copy of the body, since the caller gets the answer as it came. */
async function beginningOf(answer: Response): Promise<string> {
  const reader = answer.clone().body?.getReader()
  if (reader === undefined) return ''
  const decoder = new TextDecoder()
  let text = ''
  // Not awaited, because the end of one copy waits for that of the other.
  const end = () => void reader.cancel().catch(() => {})
  const timer = setTimeout(end, maxWordMs)
  try {
    while (text.length < maxWordBytes) {
      const { done, value } = await reader.read()
      if (done) break
      text += decoder.decode(value, { stream: true })
    }
  } catch {
    // The body broke off: what came before counts.
  } finally {
    clearTimeout(timer)
    end()
  }
  return text
}

export interface Silence {
  /** When the caller asked the pool, when the node was asked, and now. */
  readonly startedAt: number
  readonly givenAt: number
  readonly now: number
  /** How long the caller has waited without anything from the node; 0 if it does not wait for the node. */
  readonly silentMs: number
  /** Recent time until the first bytes of an answer in this pool; `undefined` before the first answer. */
  readonly typicalMs: number | undefined
}

/** A node that is silent for this multiple of the pool's usual time hangs; before, its caller may be impatient. */
const timesTypical = 4
const minSilenceMs = 100

/**
 * A caller that leaves says nothing about the node, unless the node hung: official clients signal their own timeouts by
 * an abort like any other. A `TimeoutError` is the node's fault if the node had at least half of the time.
 */
export function judgeAbort(reason: unknown, silence: Silence): Judged {
  const { startedAt, givenAt, now, silentMs, typicalMs } = silence
  if (silentMs <= 0) return { kind: 'blameless' }
  const isTimeout = isError(reason) && reason.name === 'TimeoutError'
  if (isTimeout && now - givenAt >= (now - startedAt) / 2) return { kind: 'fault' }
  const hung = typicalMs !== undefined && silentMs >= Math.max(minSilenceMs, timesTypical * typicalMs)
  return { kind: hung ? 'fault' : 'blameless' }
}

/** Sent by TGI if its shards fail while they generate, and by gateways of models if the model fails. */
const failedDependency = 424

/** Statuses by which a node refuses before it has done anything. */
const refusals = new Set([401, 403, 404, 405, 421])

function judgeStatus(status: number, headers: unknown, nowMs: number): Judged {
  const retryAfterMs = retryAfterIn(headers, nowMs)
  if (status === 429) return pushBack(retryAfterMs ?? defaultPushBackMs)
  if (status === 503 && retryAfterMs !== undefined) return pushBack(retryAfterMs)
  if (status >= 500 || status === failedDependency) return { kind: 'fault' }
  return { kind: kindOf(status) }
}

/** 304 is an answer; every other redirect that arrives here leads to where the pool does not go. */
function kindOf(status: number): 'good' | 'refusal' | 'blameless' {
  if (status < 300 || status === 304) return 'good'
  return status < 400 || refusals.has(status) ? 'refusal' : 'blameless'
}

/** A push-back lasts for a moment at least, because clocks differ and a server may name the present time. */
function pushBack(retryAfterMs: number): Judged {
  return { kind: 'push-back', retryAfterMs: Math.max(defaultPushBackMs, retryAfterMs) }
}

/** Whether an error has an HTTP status by which the node refused: 3xx or 4xx. */
export function isHttpRefusal(error: unknown): boolean {
  const status = statusOf(error)
  return status !== undefined && status >= 300 && status < 500
}

export function isNodeRefusal(error: unknown): boolean {
  const status = statusOf(error)
  return status !== undefined && kindOf(status) === 'refusal'
}

/**
 * Whether a request could not be sent because of its own URL, method, header, body or port. `fetch` then throws a
 * TypeError without a cause, or one whose cause has such a code.
 */
function isOfTheCaller(error: object): boolean {
  if (isError(error) && error.name === 'TypeError' && error.cause === undefined) return true
  return causesOf(error).some((cause) => {
    const code = 'code' in cause ? String(cause.code) : ''
    if (/^(?:ERR_INVALID_|ERR_HTTP_INVALID_|INVALID_INPUT$|INVALID_OPTION$)/.test(code)) return true
    if (callersCodes.has(code)) return true
    return 'message' in cause && callersMessages.has(String(cause.message).toLowerCase())
  })
}

const callersCodes = new Set([
  'UND_ERR_INVALID_ARG',
  'UND_ERR_NOT_SUPPORTED',
  'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH',
  'ERR_UNESCAPED_CHARACTERS',
  'ERR_HTTP_HEADERS_SENT',
])
const callersMessages = new Set(['bad port', 'unknown scheme', 'invalid method', 'cors failure'])

function statusOf(value: unknown): number | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { status, statusCode, response } = value as Record<string, unknown>
  const found = status ?? statusCode
  if (Number.isInteger(found) && Number(found) >= 100 && Number(found) < 600) return Number(found)
  return response === undefined || response === value ? undefined : statusOf(response)
}

function headersOf(value: unknown): unknown {
  return typeof value === 'object' && value !== null && 'headers' in value ? value.headers : undefined
}

function retryAfterIn(headers: unknown, nowMs: number): number | undefined {
  if (typeof headers !== 'object' || headers === null) return undefined
  const get = 'get' in headers && typeof headers.get === 'function' ? headers.get.bind(headers) : undefined
  const read = (name: string): string | null => {
    const value = get === undefined ? memberIn(headers, name) : get(name)
    return value === undefined || value === null ? null : String(value)
  }
  return retryAfterMs({ get: read }, nowMs)
}

/** Ignores the case of a header's name, because some clients keep names as the server wrote them. */
function memberIn(headers: object, name: string): unknown {
  return Object.entries(headers).find(([other]) => other.toLowerCase() === name)?.[1]
}
