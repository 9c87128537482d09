import { createAgentMemory } from '@evenkeel/agent-memory'
import { connect } from '@evenkeel/core'
import { createDecoderPool, type DecoderPool, promptBlocks, type RunOptions } from '@evenkeel/decoder-pool'
import { createResponseCache, type Fetch } from '@evenkeel/llm-response-cache'
import { createRateLimiter, slidingWindow, tokenBucket } from '@evenkeel/rate-limiter'
import { callerLookup } from './callers.js'
import { createEvents, type GatewayEmitter } from './events.js'
import { createMetrics, type Metrics } from './metrics.js'
import { type GatewayOptions, resolveOptions } from './options.js'

/** What a million tokens cost the operator of the decoders. The cache reports in it how much money it saves. */
const prices = { '*': { input: 0.15, output: 0.6 } }
/** The number of organisations whose `fetch` is kept. */
const maxKeptFetches = 1_000

/** Makes a gateway of the five packages: each gets the connection, and none depends on another but the core. */
export async function createGateway(given: GatewayOptions = {}) {
  const options = resolveOptions(given)
  const { redisUrl, namespace, instances, requestsPerMinute, tokensPerMinute, journalDir } = options
  // This comes first because it registers the MeterProvider that the packages use.
  const metrics = createMetrics()
  const events = createEvents()
  const location = redisUrl === undefined ? {} : { url: redisUrl }
  const telemetry = { spans: options.traces === true }
  const isShared = redisUrl !== undefined || options.redisByEnvironment === true
  const redis = isShared ? await connect({ ...location, namespace, telemetry }) : undefined
  const pool = await createDecoderPool({
    redis,
    telemetry,
    // A turn goes to the decoder that has read the conversation's beginning.
    strategy: 'prefix',
    probe: { interval: '250ms', timeout: '1s' },
  })
  const limiter = createRateLimiter({
    redis,
    telemetry,
    expectedInstances: instances,
    limits: {
      requests: slidingWindow(requestsPerMinute, '1m'),
      tokens: tokenBucket({ capacity: tokensPerMinute, refill: tokensPerMinute, every: '1m' }),
    },
  })
  const cache = createResponseCache({
    redis,
    telemetry,
    ttl: '10m',
    // When every decoder is down, an answer of the last hour is better than none.
    grace: '1h',
    prices,
    // When all callers of an answer have left, its decoder stops writing.
    onAbandon: 'cancel',
  })
  const memory = createAgentMemory({
    redis,
    telemetry,
    ttl: '1h',
    ...(journalDir !== undefined && { journal: { kind: 'file', dir: journalDir } }),
  })

  const upstream = pool.fetch({ wanted: requirementsOf })
  const callFor = keptByName(maxKeptFetches, (tenant) => cache.fetch({ tenant, fetch: upstream }))
  const unfollow = followPool(pool, events, metrics)
  const gauges = [
    metrics.gauge('gateway_redis_up', '1 while Redis is used', () => (redis?.state === 'up' ? 1 : 0)),
    metrics.gauge('gateway_cache_hit_ratio', 'Answers that cost no call', () => cache.stats().hitRate),
    metrics.gauge(
      'gateway_tokens_saved',
      'Tokens of answers that cost no call',
      () => cache.stats().tokensSaved,
    ),
    metrics.gauge('gateway_nodes', 'Decoders in service', () => pool.stats().serving),
  ]

  return {
    options,
    events,
    redis,
    pool,
    limiter,
    memory,
    metrics,
    cache,
    /** Calls a decoder of the pool, behind the cache of one organisation. */
    callFor,
    /** @throws Problem 401 */
    callerOf: callerLookup(options.apiKeys),
    /** The number of requests in flight. */
    inFlight: { count: 0 },
    async close() {
      for (const stop of [...gauges, unfollow]) stop()
      await memory.close()
      await cache.close()
      await limiter.close()
      await pool.close()
      await redis?.close()
    },
  }
}

export type Gateway = Awaited<ReturnType<typeof createGateway>>

/**
 * The model and the prompt's beginning: a decoder that has read the beginning before need not read it again. A call is
 * idempotent, so it is retried elsewhere until its answer has begun: a second run costs a decoder's time, and no caller
 * gets a wrong answer by it.
 */
function requirementsOf({ json }: { readonly json: unknown }): RunOptions {
  const { model, messages } = (json ?? {}) as { readonly model?: string; readonly messages?: unknown }
  return {
    model,
    timeout: '30s',
    idempotent: true,
    attempts: 4,
    ...(messages !== undefined && { prefix: promptBlocks(messages) }),
  }
}

/** Counts calls by decoder and outcome, and emits their events. */
function followPool(pool: DecoderPool, events: GatewayEmitter, { upstreamCalls }: Metrics): () => void {
  const stops = [
    pool.on('given', ({ node }) => void events.emit('dispatch', { node: node.id })),
    pool.on('ended', ({ node, ok, error, tookMs }) => {
      const outcome = !ok ? 'failed' : error === undefined ? 'ok' : 'left'
      upstreamCalls.add(node.id, outcome)
      events.emit('dispatched', { node: node.id, outcome, ms: tookMs })
    }),
  ]
  return () => {
    for (const stop of stops) stop()
  }
}

/** Makes the `fetch` of a name on first use and keeps it. Beyond `max` it drops the oldest. */
function keptByName(max: number, make: (name: string) => Fetch): (name: string) => Fetch {
  const kept = new Map<string, Fetch>()
  return (name) => {
    const known = kept.get(name)
    if (known !== undefined) return known
    const made = make(name)
    const [oldest] = kept.keys()
    if (kept.size >= max && oldest !== undefined) kept.delete(oldest)
    kept.set(name, made)
    return made
  }
}
