import { createHash, timingSafeEqual } from 'node:crypto'
import { createHealthHandler } from '@evenkeel/core'
import { createCoordinatorHandler } from '@evenkeel/decoder-pool/http'
import { createCacheHandler } from '@evenkeel/llm-response-cache/http'
import { type Context, Hono } from 'hono'
import type { Gateway } from './gateway.js'

export interface OperatorAppOptions {
  /** Metrics and the health of the parts need no token: for a port that only operators reach. @default false */
  readonly isPrivate?: boolean | undefined
}

/** The operators' routes. `/health` is open to everybody; the others need the operator's token. */
export function createOperatorApp(gateway: Gateway, { isPrivate = false }: OperatorAppOptions = {}): Hono {
  const { redis, pool, cache, metrics, options } = gateway
  const app = new Hono()
  const authorize = (request: Request) => isOperator(options.operatorToken, request)
  const guarded = (answer: (context: Context) => Response | Promise<Response>) => (context: Context) =>
    isPrivate || authorize(context.req.raw) ? answer(context) : context.json({ error: 'forbidden' }, 403)

  app.get('/health', (context) => {
    const { status } = healthOf(gateway)
    return context.json({ status }, status === 'unhealthy' ? 503 : 200)
  })
  app.get(
    '/health/parts',
    guarded((context) => context.json(healthOf(gateway))),
  )
  if (redis !== undefined) {
    const redisHealth = createHealthHandler(redis)
    app.get(
      '/health/*',
      guarded((context) => redisHealth(context.req.raw)),
    )
  }
  app.get(
    '/metrics',
    guarded((context) => metrics.handler(context.req.raw)),
  )
  const cachePaths = createCacheHandler({ caches: { llm_response: cache }, authorize })
  app.all('/cache', (context) => cachePaths(context.req.raw))
  app.all('/cache/*', (context) => cachePaths(context.req.raw))
  // Operators register decoders here, by hand or with `evenkeel register-decoder`.
  const poolPaths = createCoordinatorHandler({
    pool,
    authorize,
    addresses: options.nodeHosts === undefined ? undefined : { hosts: options.nodeHosts },
  })
  app.all('/api/*', (context) => poolPaths(context.req.raw))
  return app
}

function isOperator(operatorToken: string | undefined, request: Request): boolean {
  if (operatorToken === undefined) return false
  const digest = (text: string) => createHash('sha256').update(text).digest()
  const shown = request.headers.get('authorization') ?? ''
  return timingSafeEqual(digest(shown), digest(`Bearer ${operatorToken}`))
}

function healthOf({ redis, pool, limiter, cache, memory }: Gateway) {
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
