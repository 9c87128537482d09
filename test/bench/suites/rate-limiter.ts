import { type Connection, connect } from '@evenkeel/core'
import { createRateLimiter, type Limit, slidingWindow, tokenBucket } from '@evenkeel/rate-limiter'
import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import { RateLimiterMemory, RateLimiterRedis } from 'rate-limiter-flexible'
import { createClient } from 'redis'
import { closedLoop, inProcess, interleave, round2, type Standing } from '../interleaved.js'
import { pinServer } from '../pinned.js'
import type { Effort, Figure, Suite } from '../report.js'

const limitless = 1_000_000_000
const subjects = Array.from({ length: 1_000 }, (_, index) => `user:${index}`)
const peerName = 'rate-limiter-flexible'

/**
 * The rate limiter against rate-limiter-flexible, both on node-redis 4. The peer counts in fixed windows, which let
 * twice the limit through across an edge. It is compared with our sliding window, unless a line says otherwise.
 */
export const rateLimiter: Suite = {
  name: 'rate-limiter',
  async run(effort) {
    const server = await startRedis()
    pinServer(server.pid)
    const client = createClient({ url: server.url })
    await client.connect()
    const redis = await connect({ url: server.url })
    const peer = new RateLimiterRedis({
      storeClient: client,
      points: limitless,
      duration: 60,
      useRedisPackage: true,
    })
    const made: { close(): Promise<void> }[] = []
    const make = (limits: Record<string, Limit>, options: object = {}) => {
      const limiter = createRateLimiter({ redis, name: `bench-${made.length}`, limits, ...options })
      made.push(limiter)
      return limiter
    }
    const strict = make({ r: slidingWindow(limitless, '1m') })
    const bucket = make({ r: tokenBucket({ capacity: limitless, refill: limitless / 1_000, every: '1m' }) })
    const leased = make({ r: slidingWindow(limitless, '1m', { lease: true }) })
    const both = make({
      requests: slidingWindow(limitless, '1m'),
      tokens: tokenBucket({ capacity: limitless, refill: limitless / 1_000, every: '1m' }),
    })
    const tokens = new RateLimiterRedis({
      storeClient: client,
      keyPrefix: 'tokens',
      points: limitless,
      duration: 60,
      useRedisPackage: true,
    })
    const memoryPeer = new RateLimiterMemory({ points: limitless, duration: 60 })
    const memory = createRateLimiter({ limits: { r: slidingWindow(limitless, '1m') } })
    const uncounted = createRateLimiter({ limits: { r: slidingWindow(limitless, '1m') }, stats: false })
    const next = walk()

    const hot = await interleave(
      [
        closedLoop(peerName, 512, () => peer.consume('hot')),
        closedLoop('evenkeel: sliding window', 512, () => strict.check('hot')),
        closedLoop('evenkeel: token bucket', 512, () => bucket.check('hot')),
        closedLoop('evenkeel: sliding window, leased', 512, () => leased.check('hot')),
      ],
      effort,
    )
    const spread = await interleave(
      [
        closedLoop(peerName, 512, () => peer.consume(next())),
        closedLoop('evenkeel: sliding window', 512, () => strict.check(next())),
        closedLoop('evenkeel: token bucket', 512, () => bucket.check(next())),
        closedLoop('evenkeel: sliding window, leased', 512, () => leased.check(next())),
      ],
      effort,
    )
    const one = await interleave(
      [
        closedLoop(peerName, 1, () => peer.consume('hot')),
        closedLoop('evenkeel: sliding window', 1, () => strict.check('hot')),
        closedLoop('evenkeel: token bucket', 1, () => bucket.check('hot')),
      ],
      effort,
    )
    const two = await interleave(
      [
        closedLoop(`${peerName}: two consumes`, 512, () => {
          const subject = next()
          return Promise.all([peer.consume(subject), tokens.consume(subject, 10)])
        }),
        closedLoop('evenkeel: one check of two limits', 512, () =>
          both.check(next(), { requests: 1, tokens: 10 }),
        ),
      ],
      effort,
    )
    const alone = await interleave(
      [
        inProcess(`${peerName}, in memory`, () => memoryPeer.consume('hot')),
        inProcess('evenkeel, in memory', () => memory.check('hot')),
        inProcess('evenkeel, in memory, stats: false', () => uncounted.check('hot')),
      ],
      { rounds: effort.rounds, roundMs: Math.min(effort.roundMs, 200) },
    )
    const stored = await bytesPerSubject(server, redis, client, effort)
    for (const limiter of made) await limiter.close()
    await redis.close()
    await client.disconnect()
    await server.close()
    const million = await manySubjects(effort)

    return {
      suite: 'rate-limiter',
      comparisons: [
        { title: 'one hot subject, 512 concurrent', standings: hot },
        { title: '1,000 subjects, 512 concurrent', standings: spread },
        { title: 'one subject, 1 concurrent', standings: one },
        { title: 'requests and tokens of 1,000 subjects, 512 concurrent', standings: two },
        { title: 'in process, one hot subject', standings: alone },
      ],
      figures: [
        figure('strict decisions, hot subject, by the peer', hot[1]?.ratio, 'x', { atLeast: 1.5 }),
        figure('strict decisions, 1,000 subjects: window', spread[1]?.ratio, 'x', { atLeast: 1.5 }),
        figure('strict decisions, 1,000 subjects: bucket', spread[2]?.ratio, 'x', { atLeast: 1.5 }),
        figure('client CPU a decision, hot subject', cpu(hot, 1), 'x', { atMost: 0.4 }),
        figure('client CPU a decision, 1,000 subjects', cpu(spread, 1), 'x', { atMost: 0.4 }),
        figure('latency, 1 concurrent: window', latency(one, 1), 'x', { atMost: 1.1 }),
        figure('latency, 1 concurrent: bucket', latency(one, 2), 'x', { atMost: 1.1 }),
        figure('leased decisions, hot subject', hot[3]?.ratio, 'x', { atLeast: 10 }),
        figure('leased decisions, 1,000 subjects', spread[3]?.ratio, 'x', { atLeast: 10 }),
        figure('in-process decisions', alone[1]?.ratio, 'x', { atLeast: 1 }),
        figure('two limits in one call', two[1]?.ratio, 'x', { atLeast: 2 }),
        figure('Redis bytes a stored subject: bucket by the peer', stored.ratio, 'x', { atMost: 1 }),
        figure('the same, in bytes', stored.bytes, 'bytes'),
        figure('a million subjects: Redis at most', million.redisMb, 'MB'),
        figure('a million subjects: this process at most', million.heapMb, 'MB'),
        figure('keys left when their windows have ended', million.keysLeft, 'keys', { atMost: 0 }),
      ],
    }
  },
}

function figure(name: string, value = Number.NaN, unit: string, bound?: Figure['bound']): Figure {
  return { name, value: round2(value), unit, ...(bound && { bound }) }
}

function cpu(standings: readonly Standing[], index: number): number {
  return (standings[index]?.cpuUsEach ?? Number.NaN) / (standings[0]?.cpuUsEach ?? Number.NaN)
}

function latency(standings: readonly Standing[], index: number): number {
  return 1 / (standings[index]?.ratio ?? Number.NaN)
}

function walk(): () => string {
  let index = 0
  return () => subjects[index++ % subjects.length] ?? ''
}

async function usedMemory(server: RedisServer): Promise<number> {
  const info = String(await server.command('INFO', 'memory'))
  return (
    Number(/used_memory_dataset:(\d+)/.exec(info)?.[1]) +
    Number(/overhead_db_hashtable[^:]*:(\d+)/.exec(info)?.[1] ?? 0)
  )
}

/** Bytes that a subject takes in Redis after one decision. */
async function bytesPerSubject(
  server: RedisServer,
  redis: Connection,
  client: ReturnType<typeof createClient>,
  { smoke }: Effort,
): Promise<{ bytes: number; ratio: number }> {
  const count = smoke ? 2_000 : 50_000
  const peer = new RateLimiterRedis({
    storeClient: client,
    points: 1_000,
    duration: 3_600,
    useRedisPackage: true,
  })
  const limiter = createRateLimiter({
    redis,
    name: 'm',
    limits: { r: tokenBucket({ capacity: 1_000, refill: 1_000, every: '1h' }) },
    stats: false,
  })
  const measure = async (ask: (subject: string) => Promise<unknown>) => {
    await server.command('FLUSHALL')
    const before = await usedMemory(server)
    for (let from = 0; from < count; from += 1_000)
      await Promise.all(Array.from({ length: 1_000 }, (_, index) => ask(`user:${from + index}`)))
    return ((await usedMemory(server)) - before) / count
  }
  const theirs = await measure((subject) => peer.consume(subject, 900))
  const bytes = await measure((subject) => limiter.check(subject, { r: 900 }))
  await limiter.close()
  return { bytes, ratio: bytes / theirs }
}

/** A million subjects, one call each, with a window of 20 s: the memory that they take, and the keys that stay. */
async function manySubjects({ smoke }: Effort) {
  const server = await startRedis()
  pinServer(server.pid)
  const redis = await connect({ url: server.url })
  const limiter = createRateLimiter({ redis, limits: { r: slidingWindow(10, '20s') } })
  const count = smoke ? 20_000 : 1_000_000
  globalThis.gc?.()
  const heap = process.memoryUsage().heapUsed
  let heapMost = 0
  for (let from = 0; from < count; from += 1_000) {
    await Promise.all(Array.from({ length: 1_000 }, (_, index) => limiter.check(`subject:${from + index}`)))
    if (from % 50_000 === 0) heapMost = Math.max(heapMost, process.memoryUsage().heapUsed - heap)
  }
  const info = String(await server.command('INFO', 'memory'))
  const redisMb = Number(/used_memory_peak:(\d+)/.exec(info)?.[1]) / 1e6
  await limiter.close()
  // Keys that the limiter itself keeps for a day: its statistics and instances.
  const own = 7
  let keys = Number.POSITIVE_INFINITY
  const until = performance.now() + 60_000
  while (keys > own && performance.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, 500))
    keys = Number(await server.command('DBSIZE'))
  }
  await redis.close()
  await server.close()
  return { redisMb, heapMb: heapMost / 1e6, keysLeft: Math.max(0, keys - own) }
}
