import { connect } from '@evenkeel/core'
import { createDecoderPool } from '@evenkeel/decoder-pool'
import { createResponseCache } from '@evenkeel/llm-response-cache'
import { createRateLimiter, slidingWindow, tokenBucket } from '@evenkeel/rate-limiter'
import { startRedis } from '@evenkeel/test-servers'
import OpenAI from 'openai'
import { chunks, freshMessages, whole } from '../gateway/completions.js'
import { Caller, gatewayContender, type Load } from '../gateway/load.js'
import {
  type GatewayProcess,
  startEvenkeel,
  startLimit,
  startPassThrough,
  startPortkey,
} from '../gateway/processes.js'
import { startInstantProvider } from '../instant-provider.js'
import { closedLoop, interleave, round2, type Standing } from '../interleaved.js'
import { pinServer } from '../pinned.js'
import type { Effort, Figure, Suite, SuiteResult } from '../report.js'

const concurrency = 32
const names = { local: 'evenkeel, in process', shared: 'evenkeel, on Redis' }

type Comparison = SuiteResult['comparisons'][number]

/**
 * What the whole path costs: a chat completion through our gateway, what people write themselves, another gateway, and
 * the minimum in Node. Each is a process alone on one core; the load, the provider and Redis share the other. CPU times
 * are those of the gateway's process.
 */
export const gateway: Suite = {
  name: 'gateway',
  async run(effort) {
    // This process makes the load, so it must not take time from the measured core.
    pinServer(process.pid)
    const server = await startRedis()
    pinServer(server.pid)
    const provider = await startInstantProvider(whole, chunks)
    const upstream = provider.url.replace(/\/v1$/, '')
    const gateways = await Promise.all([
      startPassThrough(upstream),
      startPortkey(upstream),
      startLimit(upstream),
      startEvenkeel(names.local, upstream),
      startEvenkeel(names.shared, upstream, { REDIS_URL: server.url }),
    ])
    try {
      const whole = await wholePath(gateways, effort)
      const alone = await packagesAlone(provider.url, server.url, effort)
      return {
        suite: 'gateway',
        comparisons: [...whole.comparisons, ...alone.comparisons],
        figures: [...whole.figures, ...alone.figures],
      }
    } finally {
      await Promise.all(gateways.map((one) => one.close()))
      await provider.close()
      await server.close()
    }
  },
}

async function wholePath(gateways: readonly GatewayProcess[], effort: Effort) {
  const callers = new Map(gateways.map((one) => [one, new Caller(one, concurrency)]))
  const compare = async (title: string, load: Load, meant = gateways): Promise<Comparison> => {
    const contenders = meant.flatMap((one) => {
      const caller = callers.get(one)
      return caller === undefined ? [] : [gatewayContender(one, caller, load)]
    })
    return { title, standings: await interleave(contenders, effort) }
  }
  const json = (messages: () => object[]): Load => ({
    concurrency,
    minBytes: 1_000,
    body: () => JSON.stringify({ model: 'gpt-4o', max_tokens: 500, messages: messages() }),
  })
  const stream = (messages: () => object[]): Load => ({
    concurrency,
    minBytes: 15_000,
    body: () => JSON.stringify({ model: 'gpt-4o', max_tokens: 500, stream: true, messages: messages() }),
  })
  const same = freshMessages()
  const [passThrough] = gateways
  const hitting = gateways.filter(
    (one) => one === passThrough || one.name === names.local || one.name === names.shared,
  )
  const jsonMiss = await compare(`a miss, JSON, ${concurrency} concurrent`, json(freshMessages))
  const jsonHit = await compare(
    `a hit, JSON, ${concurrency} concurrent`,
    json(() => same),
    hitting,
  )
  const streamMiss = await compare(`a miss, a stream of 100 chunks`, stream(freshMessages))
  const streamHit = await compare(
    `a hit, a stream of 100 chunks`,
    stream(() => same),
    hitting,
  )
  const firstBytes = await firstBytesOf(gateways, callers, stream(freshMessages), effort)
  await Promise.all([...callers.values()].map((caller) => caller.close()))
  return {
    comparisons: [jsonMiss, jsonHit, streamMiss, streamHit],
    figures: [
      cpuBy('miss, JSON, in process: CPU by passed through', jsonMiss, names.local, 0.6),
      cpuBy('miss, JSON, on Redis: CPU by passed through', jsonMiss, names.shared, 0.75),
      throughputBy("miss, JSON, in process: throughput by Portkey's", jsonMiss, names.local, 3),
      cpuBy('hit, JSON, in process: CPU by passed through', jsonHit, names.local, 0.3),
      cpuBy('hit, JSON, on Redis: CPU by passed through', jsonHit, names.shared, 0.3),
      cpuBy('miss, stream, in process: CPU by passed through', streamMiss, names.local, 1.1),
      cpuBy('miss, stream, on Redis: CPU by passed through', streamMiss, names.shared, 1.25),
      ...firstBytes,
    ],
  }
}

/** One request at a time, so that no wait behind other requests is measured. */
async function firstBytesOf(
  gateways: readonly GatewayProcess[],
  callers: ReadonlyMap<GatewayProcess, Caller>,
  load: Load,
  { smoke }: Effort,
): Promise<Figure[]> {
  const count = smoke ? 10 : 500
  const times = new Map(gateways.map(({ name }) => [name, [] as number[]]))
  for (let index = 0; index < count; index++) {
    for (const one of gateways) {
      const ms = await callers.get(one)?.ask(load.body(), load.minBytes)
      if (ms !== undefined) times.get(one.name)?.push(ms)
    }
  }
  const p99 = (name: string) => {
    const sorted = [...(times.get(name) ?? [])].sort((one, other) => one - other)
    return sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN
  }
  const limit = gateways.find(({ name }) => name.includes('the limit'))?.name ?? ''
  return [
    ...gateways.map(({ name }) => figure(`first byte of a stream, p99: ${name}`, p99(name), 'ms')),
    ...[names.local, names.shared].map((name) =>
      figure(`the same, added to the limit: ${name}`, p99(name) - p99(limit), 'ms', { atMost: 1 }),
    ),
  ]
}

/** OpenAI's SDK with each package's `fetch()`, by the CPU time of this process. */
async function packagesAlone(providerUrl: string, redisUrl: string, effort: Effort) {
  const redis = await connect({ url: redisUrl })
  const limits = {
    requests: slidingWindow(1_000_000_000, '1m'),
    tokens: tokenBucket({ capacity: 1e12, refill: 1e12, every: '1m' }),
  }
  const local = createRateLimiter({ limits })
  const shared = createRateLimiter({ redis, limits, name: 'shared' })
  const cache = createResponseCache()
  const sharedCache = createResponseCache({ redis })
  const pool = await createDecoderPool()
  await pool.register({ id: 'provider', endpoint: providerUrl.replace(/\/v1$/, ''), capacity: 10_000 })
  const fetches: readonly [string, typeof fetch][] = [
    ['the SDK alone', (input, init) => fetch(input, init)],
    ['limiter.fetch(), in process', local.fetch()],
    ['limiter.fetch(), on Redis', shared.fetch()],
    ['cache.fetch(), in process', cache.fetch()],
    ['cache.fetch(), on Redis', sharedCache.fetch()],
    ['pool.fetch()', pool.fetch()],
    [
      'cache, limiter, pool: one in another',
      cache.fetch({ tenant: 'all', fetch: local.fetch({ fetch: pool.fetch() }) }),
    ],
  ]
  const clients = fetches.map(([name, own]) => ({
    name,
    client: new OpenAI({ apiKey: 'k', baseURL: providerUrl, maxRetries: 0, fetch: own }),
  }))
  const json: Comparison = {
    title: 'each package around the OpenAI SDK, a miss, JSON, 32 concurrent',
    standings: await interleave(
      clients.map(({ name, client }) =>
        closedLoop(name, concurrency, () =>
          client.chat.completions.create({ model: 'gpt-4o', max_tokens: 500, messages: freshMessages() }),
        ),
      ),
      effort,
    ),
  }
  const streams: Comparison = {
    title: 'the same, a stream of 100 chunks',
    standings: await interleave(
      clients.map(({ name, client }) =>
        closedLoop(name, concurrency, async () => {
          const stream = await client.chat.completions.create({
            model: 'gpt-4o',
            max_tokens: 500,
            messages: freshMessages(),
            stream: true,
          })
          let length = 0
          for await (const chunk of stream) length += chunk.choices.length
          if (length !== chunks.length) throw new Error(`A stream of ${length} chunks`)
        }),
      ),
      effort,
    ),
  }
  await Promise.all([local.close(), shared.close(), cache.close(), sharedCache.close(), pool.close()])
  await redis.close()
  return {
    comparisons: [json, streams],
    figures: [
      cpuBy(
        'cache.fetch() around the SDK, a miss: CPU by the SDK alone',
        json,
        'cache.fetch(), in process',
        1.1,
      ),
      cpuBy('pool.fetch() around the SDK: CPU by the SDK alone', json, 'pool.fetch()', 1),
      cpuBy('limiter.fetch() around the SDK: CPU by the SDK alone', json, 'limiter.fetch(), in process'),
    ],
  }
}

function cpuBy(name: string, { standings }: Comparison, own: string, atMost?: number): Figure {
  const value = standingOf(standings, own)?.cpuUsEach ?? Number.NaN
  const bound = atMost === undefined ? undefined : { atMost }
  return figure(name, value / (standings[0]?.cpuUsEach ?? Number.NaN), 'x', bound)
}

function throughputBy(name: string, { standings }: Comparison, own: string, atLeast: number): Figure {
  const other = standingOf(standings, '@portkey-ai/gateway')?.perSecond ?? Number.NaN
  return figure(name, (standingOf(standings, own)?.perSecond ?? Number.NaN) / other, 'x', { atLeast })
}

function standingOf(standings: readonly Standing[], name: string): Standing | undefined {
  return standings.find((standing) => standing.name === name)
}

function figure(name: string, value: number, unit: string, bound?: Figure['bound']): Figure {
  return { name, value: round2(value), unit, ...(bound && { bound }) }
}
