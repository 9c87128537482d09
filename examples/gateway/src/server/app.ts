import { createHash, randomUUID, timingSafeEqual } from 'node:crypto'
import type { Message } from '@evenkeel/agent-memory'
import { createHealthHandler, EvenkeelError } from '@evenkeel/core'
import { createCoordinatorHandler } from '@evenkeel/decoder-pool/http'
import { createCacheHandler } from '@evenkeel/llm-response-cache/http'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { converse } from './conversation.js'
import { tellOfCut } from './event-stream.js'
import type { Gateway } from './gateway.js'

interface ChatRequest {
  readonly messages: readonly Message[]
  readonly stream?: boolean
  readonly max_tokens?: number
}

const defaultMaxTokens = 24
const maxBodyBytes = 16 * 1024 * 1024
/** Of a body that `fetch` has decoded and this server frames anew. */
const framing = ['connection', 'content-encoding', 'content-length', 'keep-alive', 'transfer-encoding']

/** The routes of the gateway, OpenAI-compatible. */
export function createApp(gateway: Gateway): Hono {
  const app = new Hono()
  app.use(bodyLimit({ maxSize: maxBodyBytes }))
  app.post('/v1/chat/completions', (context) => counted(gateway, 'chat', () => chat(gateway, context)))
  app.post('/v1/embeddings', (context) => counted(gateway, 'embeddings', () => embeddings(gateway, context)))
  app.get('/health', (context) =>
    context.json(health(gateway), health(gateway).status === 'unhealthy' ? 503 : 200),
  )
  const { redis } = gateway
  if (redis !== undefined) {
    const redisHealth = createHealthHandler(redis)
    app.get('/health/*', (context) => redisHealth(context.req.raw))
  }
  app.get('/metrics', (context) => gateway.metrics.handler(context.req.raw))
  const cachePaths = createCacheHandler({
    caches: { llm_response: gateway.cache },
    authorize: (request) => isOperator(gateway, request),
  })
  app.all('/cache', (context) => cachePaths(context.req.raw))
  app.all('/cache/*', (context) => cachePaths(context.req.raw))
  // Whoever runs decoders registers them here, by hand or by `evenkeel register-decoder`.
  const poolPaths = createCoordinatorHandler({
    pool: gateway.pool,
    authorize: (request) => isOperator(gateway, request),
    addresses: gateway.nodeHosts === undefined ? undefined : { hosts: gateway.nodeHosts },
  })
  app.all('/api/*', (context) => poolPaths(context.req.raw))
  app.onError((error, context) => {
    const refused = EvenkeelError.isInstance(error) && error.code === 'INVALID_INPUT'
    return problem(
      context,
      refused ? 400 : 502,
      refused ? 'invalid_request_error' : 'upstream_error',
      error.message,
    )
  })
  return app
}

async function chat(gateway: Gateway, context: Context): Promise<Response> {
  const body = await readJson<ChatRequest>(context)
  if (!isChat(body))
    return problem(context, 400, 'invalid_request_error', "'messages' is no list of messages")
  const refusal = await limit(
    gateway,
    context,
    tokensOf(body.messages) + (body.max_tokens ?? defaultMaxTokens),
  )
  if (refusal !== undefined) return refusal

  const ask = (messages: readonly Message[]) => forward(gateway, context, { ...body, messages })
  const conversation = context.req.header('x-conversation-id')
  if (conversation === undefined) return told(await ask(body.messages))
  const owner = gateway.memory.owner(gateway.subjectOf(context.req.header('authorization')))
  // The caller's id makes its retry the same turn.
  const id = context.req.header('idempotency-key') ?? randomUUID()
  return told(await converse(owner.thread(conversation), id, body.messages, ask))
}

function told(response: Response): Response {
  return new Response(tellOfCut(response), response)
}

async function embeddings(gateway: Gateway, context: Context): Promise<Response> {
  const body = await readJson<{ input: string | string[] }>(context)
  if (body?.input === undefined) return problem(context, 400, 'invalid_request_error', "'input' is missing")
  const refusal = await limit(gateway, context, Math.ceil([body.input].flat().join(' ').length / 4))
  return refusal ?? forward(gateway, context, body)
}

async function limit(gateway: Gateway, context: Context, tokens: number): Promise<Response | undefined> {
  const subject = gateway.subjectOf(context.req.header('authorization'))
  const decision = await gateway.limiter.check(subject, { requests: 1, tokens })
  context.header('x-evenkeel-limit-source', decision.source)
  context.header('x-ratelimit-remaining', String(decision.remaining))
  if (decision.allowed) return undefined
  context.header('retry-after', String(Math.ceil(decision.retryAfterMs / 1_000)))
  return problem(
    context,
    429,
    'rate_limit_exceeded',
    `Limited by ${decision.limitedBy}; retry in ${decision.retryAfterMs} ms`,
  )
}

async function forward(gateway: Gateway, context: Context, body: object): Promise<Response> {
  // The host is the pool's to choose; the name stands for all of them in the cache's keys.
  const url = `http://decoders.invalid${context.req.path}`
  const response = await gateway.call(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'cache-control': context.req.header('cache-control') ?? '',
    },
    body: JSON.stringify(body),
    signal: context.req.raw.signal,
  })
  const headers = new Headers(response.headers)
  for (const name of framing) headers.delete(name)
  for (const [name, value] of context.res.headers) if (name !== 'content-type') headers.set(name, value)
  return new Response(response.body, { status: response.status, headers })
}

function isOperator({ operatorToken }: Gateway, request: Request): boolean {
  if (operatorToken === undefined) return false
  const digest = (text: string) => createHash('sha256').update(text).digest()
  const shown = request.headers.get('authorization') ?? ''
  return timingSafeEqual(digest(shown), digest(`Bearer ${operatorToken}`))
}

async function counted(gateway: Gateway, route: string, handle: () => Promise<Response>): Promise<Response> {
  const startedAt = performance.now()
  let outcome = 'failed'
  try {
    const response = await handle()
    outcome =
      response.status === 429
        ? 'refused'
        : (response.headers.get('x-evenkeel-cache') ?? `status-${response.status}`)
    return response
  } finally {
    gateway.metrics.requests.add(1, { route, outcome })
    gateway.metrics.duration.record((performance.now() - startedAt) / 1_000, { route })
  }
}

function health({ redis, pool, limiter, cache, memory }: Gateway) {
  const { nodes } = pool.status()
  const serving = nodes.filter((node) => node.healthy && !node.ejected).length
  const onRedis =
    redis === undefined || (redis.state === 'up' && limiter.state === 'primary' && cache.state === 'primary')
  return {
    status: serving === 0 ? 'unhealthy' : onRedis ? 'healthy' : 'degraded',
    redis: redis?.state ?? 'none',
    stores: {
      limiter: limiter.state,
      cache: cache.state,
      memory: memory.status().state,
      pool: pool.status().state,
    },
    journaled: memory.status().journaled,
    nodes: nodes.map(({ node, healthy, inFlight }) => ({ id: node.id, healthy, inFlight })),
  }
}

function problem(context: Context, status: 400 | 429 | 502, type: string, message: string): Response {
  return context.json({ error: { message, type, code: type } }, status)
}

async function readJson<T>(context: Context): Promise<T | undefined> {
  try {
    return await context.req.json<T>()
  } catch {
    return undefined
  }
}

function isChat(body: ChatRequest | undefined): body is ChatRequest {
  return (
    Array.isArray(body?.messages) &&
    body.messages.every((message) => typeof message === 'object' && message !== null)
  )
}

function tokensOf(messages: readonly Message[]): number {
  const characters = messages.reduce(
    (sum, { content }) =>
      sum + (typeof content === 'string' ? content : JSON.stringify(content ?? '')).length,
    0,
  )
  return Math.ceil(characters / 4)
}
