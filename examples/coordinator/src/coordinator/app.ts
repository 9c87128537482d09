import { createHash, timingSafeEqual } from 'node:crypto'
import { type Connection, createHealthHandler, EvenkeelError } from '@evenkeel/core'
import { createMetricsHandler } from '@evenkeel/core/prometheus'
import { type DecoderPool, promptBlocks, type RunOptions } from '@evenkeel/decoder-pool'
import { createCoordinatorHandler, type PoolRequest } from '@evenkeel/decoder-pool/http'
import { Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'

/** Headers that no longer apply to an answer that `fetch` has decoded and this server encodes again. */
const framing = ['connection', 'content-encoding', 'content-length', 'keep-alive', 'transfer-encoding']

/** A coordinator: nodes register at `/api`, and each request to `/v1` goes to one of them. */
export function createApp(pool: DecoderPool, token: string, redis?: Connection): Hono {
  const authorize = (request: Request) => bears(request, token)
  const metrics = createMetricsHandler({ authorize })
  const manage = createCoordinatorHandler({
    pool,
    authorize,
    // The demo's nodes run on this machine. In production, do not accept loopback addresses.
    addresses: { hosts: ['127.0.0.1', 'localhost'] },
  })
  const forward = pool.fetch({ wanted: wishIn })
  const app = new Hono()
  app.use(bodyLimit({ maxSize: 16 << 20 }))
  app.get('/health', (context) => {
    const { state, nodes } = pool.status()
    const serving = nodes.filter((node) => node.state === 'serving' || node.state === 'warming').length
    return context.json({ state, nodes: nodes.length, serving }, serving === 0 ? 503 : 200)
  })
  // `/health` reports on the pool. These routes report on Redis, without which the coordinator still works.
  if (redis !== undefined) {
    const health = createHealthHandler(redis, { authorize })
    app.get('/health/*', (context) => health(context.req.raw))
  }
  app.get('/metrics', (context) => metrics(context.req.raw))
  app.all('/api/*', (context) => manage(context.req.raw))
  app.all('/v1/*', async (context) => {
    const answer = await forward(context.req.raw)
    const headers = new Headers(answer.headers)
    for (const name of framing) headers.delete(name)
    return new Response(answer.body, { status: answer.status, headers })
  })
  app.onError((error, context) => {
    // No node can take the request now; the caller may try again.
    const isFull = EvenkeelError.isInstance(error) && error.code === 'NO_NODE'
    return context.json({ error: { message: error.message } }, isFull ? 503 : 502)
  })
  return app
}

/** What a request needs of a node. `unit` keeps a user in one arm of an experiment on the language pair. */
function wishIn({ headers, json }: PoolRequest): RunOptions {
  const { model, messages } = (json ?? {}) as { model?: string; messages?: unknown }
  return {
    model,
    prefix: promptBlocks(messages ?? ''),
    languagePair: headers.get('x-language-pair') ?? undefined,
    unit: headers.get('x-user') ?? undefined,
    timeout: '10s',
    idempotent: true,
    attempts: 4,
  }
}

function bears(request: Request, token: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(request.headers.get('authorization') ?? ''), digest(`Bearer ${token}`))
}
