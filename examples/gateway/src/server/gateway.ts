import { createHash } from 'node:crypto'
import { createAgentMemory } from '@evenkeel/agent-memory'
import { connect } from '@evenkeel/core'
import { createDecoderPool } from '@evenkeel/decoder-pool'
import { createResponseCache } from '@evenkeel/llm-response-cache'
import { createRateLimiter, slidingWindow, tokenBucket } from '@evenkeel/rate-limiter'
import { createMetrics } from './metrics.js'
import { poolFetch } from './upstream.js'

export interface GatewayOptions {
  /** Without it everything lives in this process. */
  readonly redisUrl: string | undefined
  /** Keeps apart what several demos on one Redis do. */
  readonly namespace: string
  readonly instances: number
  readonly requestsPerMinute: number
  readonly tokensPerMinute: number
  /** Who shows it may register decoders, and look at the cache and clear it; left out, nobody may. */
  readonly operatorToken?: string | undefined
  /** Hosts that decoders may register from. @default any but loopback, link-local addresses and metadata services */
  readonly nodeHosts?: readonly string[] | undefined
}

/** What a token is worth to whoever runs the decoders; the money that the cache saves is told in it. */
const prices = { '*': { input: 0.15, output: 0.6 } }

/** How the five packages make a gateway: each is given the connection, none knows another. */
export async function createGateway(options: GatewayOptions) {
  const { redisUrl, namespace, instances, requestsPerMinute, tokensPerMinute } = options
  const metrics = createMetrics()
  const redis =
    redisUrl === undefined
      ? undefined
      : await connect({
          url: redisUrl,
          namespace,
          telemetry: { meterProvider: metrics.provider },
        })
  const pool = await createDecoderPool({
    redis,
    // Conversations go where their beginning has been read.
    strategy: 'prefix',
    probe: { interval: '250ms', timeout: '1s' },
    telemetry: { meterProvider: metrics.provider },
  })
  const limiter = createRateLimiter({
    redis,
    telemetry: { meterProvider: metrics.provider },
    expectedInstances: instances,
    limits: {
      requests: slidingWindow(requestsPerMinute, '1m'),
      tokens: tokenBucket({ capacity: tokensPerMinute, refill: tokensPerMinute, every: '1m' }),
    },
  })
  const cache = createResponseCache({
    redis,
    ttl: '10m',
    // When every decoder is down, an answer of the last hour is better than none.
    grace: '1h',
    prices,
    telemetry: { meterProvider: metrics.provider },
  })
  const memory = createAgentMemory({
    redis,
    ttl: '1h',
    telemetry: { meterProvider: metrics.provider },
  })

  metrics.gauge('gateway_redis_up', '1 while Redis is used', () => (redis?.state === 'up' ? 1 : 0))
  metrics.gauge('gateway_cache_hit_ratio', 'Answers that cost no call', () => cache.stats().hitRate)
  metrics.gauge(
    'gateway_tokens_saved',
    'Tokens of answers that cost no call',
    () => cache.stats().tokensSaved,
  )
  metrics.gauge(
    'gateway_nodes',
    'Decoders in service',
    () => pool.status().nodes.filter((node) => node.healthy).length,
  )

  return {
    redis,
    pool,
    limiter,
    memory,
    metrics,
    cache,
    operatorToken: options.operatorToken,
    nodeHosts: options.nodeHosts,
    /** Calls a decoder of the pool, behind the cache. */
    call: cache.fetch({ fetch: poolFetch(pool, metrics) }),
    /** Who is limited: an API key, of which only a digest goes anywhere. */
    subjectOf: (authorization: string | undefined) =>
      `key:${createHash('sha256')
        .update(authorization ?? 'anonymous')
        .digest('hex')
        .slice(0, 16)}`,
    async close() {
      await memory.close()
      await cache.close()
      await limiter.close()
      await pool.close()
      await redis?.close()
    },
  }
}

export type Gateway = Awaited<ReturnType<typeof createGateway>>
