import { randomUUID } from 'node:crypto'
import { estimateTokens } from '@evenkeel/rate-limiter'
import type { Caller } from './callers.js'
import { converse } from './conversation.js'
import type { Route } from './events.js'
import type { Gateway } from './gateway.js'
import { overloaded, Problem, problemOf } from './problems.js'
import { traced } from './traces.js'
import { type ChatRequest, checkChat, checkEmbeddings, parseBody } from './validation.js'

/** A request, independent of the HTTP server that received it. */
export interface ApiRequest {
  readonly method: string
  readonly path: string
  /** @param name of the header, in lower case */
  header(name: string): string | undefined
  /** @throws Problem 413 */
  text(): Promise<string>
  /** Aborts when the caller has left. */
  readonly signal: AbortSignal
}

/** The answer to a request; a streamed answer has a stream as its body. */
export interface ApiAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Uint8Array | ReadableStream<Uint8Array>
  /** Call this when the answer has been sent or sending has failed. Until then the request counts as in flight. */
  sent(): void
}

type Answered = Omit<ApiAnswer, 'sent'>

/** One request in progress. */
interface Call {
  readonly gateway: Gateway
  readonly request: ApiRequest
  readonly id: string
  readonly route: Route
  readonly caller: Caller
  /** Headers for the answer, be it a refusal or not. */
  readonly headers: Record<string, string>
}

const routes: Readonly<Record<string, Route>> = {
  '/v1/chat/completions': 'chat',
  '/v1/embeddings': 'embeddings',
}

/** The response headers that the gateway passes on to the caller. It drops others, such as a decoder's cookies. */
const passedOn = ['content-type', 'retry-after', 'x-should-retry', 'x-evenkeel-cache', 'x-evenkeel-history']

/** Answers a request of OpenAI's API. Never rejects. */
export function answerApi(gateway: Gateway, request: ApiRequest): Promise<ApiAnswer> {
  const answer = () => answerRequest(gateway, request)
  return gateway.options.traces === true ? traced(request, answer) : answer()
}

async function answerRequest(gateway: Gateway, request: ApiRequest): Promise<ApiAnswer> {
  const { events, metrics, inFlight, options } = gateway
  const startedAt = performance.now()
  const id = randomUUID()
  const headers: Record<string, string> = { 'x-request-id': id }
  const route = routes[request.path]
  inFlight.count++
  let isSent = false
  const sent = () => {
    if (!isSent) inFlight.count--
    isSent = true
  }
  let answer: Answered
  try {
    if (route === undefined) throw new Problem(404, `Invalid URL (${request.method} ${request.path})`)
    if (request.method !== 'POST') {
      throw new Problem(405, `Not allowed to ${request.method} on ${request.path}`, {
        headers: { allow: 'POST' },
      })
    }
    if (inFlight.count > options.maxConcurrent) {
      throw overloaded(`The gateway serves ${options.maxConcurrent} requests already; try again in a moment`)
    }
    const caller = gateway.callerOf(request.header('authorization'))
    events.emit('request', { id, route, key: caller.key })
    const call = { gateway, request, id, route, caller, headers }
    answer = await (route === 'chat' ? chat(call) : embeddings(call))
  } catch (error) {
    if (request.signal.aborted) answer = callerLeft
    else answer = refusal(problemOf(error), headers)
  }
  const outcome = outcomeOf(answer)
  const ms = performance.now() - startedAt
  metrics.requests.add(route ?? 'unknown', outcome)
  metrics.duration.record(ms / 1_000, { route: route ?? 'unknown' })
  if (route !== undefined) events.emit('answer', { id, route, status: answer.status, outcome, ms })
  return { ...answer, sent }
}

/** For a caller that has left and reads no answer. nginx uses the same status. */
const callerLeft: Answered = { status: 499, headers: {}, body: '' }

function refusal({ status, body, headers }: Problem, own: Readonly<Record<string, string>>): Answered {
  return { status, headers: { ...own, ...headers, 'content-type': 'application/json' }, body }
}

function outcomeOf({ status, headers }: Answered): string {
  if (status === 429) return 'refused'
  if (status === 503) return 'shed'
  return headers['x-evenkeel-cache'] ?? `status-${status}`
}

async function chat(call: Call): Promise<Answered> {
  const { gateway, request, caller, headers } = call
  const { options, memory } = gateway
  const text = await request.text()
  const body = checkChat(parseBody(text), options.maxOutputTokens)
  const bound = body.max_completion_tokens ?? body.max_tokens ?? undefined
  const perChoice = bound ?? options.defaultOutputTokens
  // The whole request counts, since models read tools and schemas too.
  await charge(call, estimateTokens(body) + perChoice * (body.n ?? 1))

  // The decoder may write no more tokens than the caller was charged for.
  const bounded = bound === undefined ? { ...body, max_tokens: perChoice } : body
  const conversation = request.header('x-conversation-id')
  if (conversation === undefined) {
    return answerOf(await forward(call, bounded === body ? text : JSON.stringify(bounded)), headers)
  }
  const thread = memory.owner(caller.key).thread(conversation)
  // With the same idempotency key, a retry is the same turn.
  const turn = request.header('idempotency-key') ?? randomUUID()
  const response = await converse(thread, turn, body.messages, {
    onStored: (history) => {
      const messages = body.messages.length
      gateway.events.emit('memory', { id: call.id, conversation, messages, history })
    },
    ask: async (messages) => {
      // The decoder also reads the history, so the caller is charged for it.
      await charge(call, estimateTokens(messages) - estimateTokens(body.messages), 0)
      return forward(call, JSON.stringify({ ...bounded, messages } satisfies ChatRequest))
    },
  })
  return answerOf(response, headers)
}

async function embeddings(call: Call): Promise<Answered> {
  const text = await call.request.text()
  const body = parseBody(text)
  checkEmbeddings(body)
  await charge(call, estimateTokens(body))
  return answerOf(await forward(call, text), call.headers)
}

/** @throws Problem 429, with the headers that OpenAI's clients wait by; 400 for a request above the limit itself */
async function charge(call: Call, tokens: number, requests = 1): Promise<void> {
  const { gateway, id, caller, headers } = call
  const { limiter, options, events } = gateway
  if (tokens > options.tokensPerMinute) {
    throw new Problem(
      400,
      `Request too large: it may use ${tokens} tokens, and ${options.tokensPerMinute} a minute are granted.`,
      { param: 'max_tokens', code: 'request_too_large' },
    )
  }
  const decision = await limiter.check(caller.key, { requests, tokens: Math.max(0, tokens) })
  const { allowed, limitedBy, retryAfterMs, source, limits, remaining } = decision
  headers['x-evenkeel-limit-source'] = source
  for (const name of ['requests', 'tokens'] as const) {
    const limit = limits[name]
    if (limit === undefined) continue
    headers[`x-ratelimit-limit-${name}`] = String(limit.limit)
    headers[`x-ratelimit-remaining-${name}`] = String(limit.remaining)
    headers[`x-ratelimit-reset-${name}`] = `${limit.resetMs}ms`
  }
  events.emit('limit', { id, key: caller.key, allowed, tokens, remaining, limitedBy, retryAfterMs, source })
  if (allowed) return
  const by = limitedBy ?? 'requests'
  throw new Problem(
    429,
    `Rate limit reached for ${by} per minute: limit ${decision.limit}, remaining ${remaining}. Please try again in ${retryAfterMs}ms.`,
    {
      type: by,
      code: 'rate_limit_exceeded',
      headers: {
        'retry-after': String(Math.ceil(retryAfterMs / 1_000)),
        'retry-after-ms': String(retryAfterMs),
      },
    },
  )
}

async function forward({ gateway, request, id, caller }: Call, body: string): Promise<Response> {
  // The pool replaces the host by a decoder's. In the cache's keys, this name stands for every decoder.
  const response = await gateway.callFor(caller.organisation)(`http://decoders.invalid${request.path}`, {
    method: 'POST',
    body,
    signal: request.signal,
    headers: { 'content-type': 'application/json' },
  })
  gateway.events.emit('cache', {
    id,
    outcome: response.headers.get('x-evenkeel-cache') ?? 'bypass',
    semantic: response.headers.get('x-evenkeel-semantic') ?? undefined,
  })
  return response
}

async function answerOf(response: Response, own: Readonly<Record<string, string>>): Promise<Answered> {
  const headers: Record<string, string> = { ...own }
  for (const name of passedOn) {
    const value = response.headers.get(name)
    if (value !== null) headers[name] = value
  }
  const isStream = headers['content-type']?.includes('text/event-stream') === true
  const body =
    isStream && response.body !== null ? response.body : new Uint8Array(await response.arrayBuffer())
  return { status: response.status, headers, body }
}
