import { execFileSync } from 'node:child_process'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { type Connection, connect, failover } from '@evenkeel/core'
import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import CircuitBreaker from 'opossum'
import { createClient } from 'redis'
import { type Contender, closedLoop, inProcess, interleave, median, round2 } from '../interleaved.js'
import { pinServer } from '../pinned.js'
import type { Effort, Figure, Suite } from '../report.js'

const deadlineMs = 500

interface Reader {
  get(key: string): Promise<unknown>
}

/** What core costs: a guarded GET against the bare client, and what an outage costs. */
export const core: Suite = {
  name: 'core',
  async run(effort) {
    const server = await startRedis()
    pinServer(server.pid)
    const bare = createClient({ url: server.url })
    await bare.connect()
    await bare.set('k', 'v')
    const redis = await connect({ url: server.url, commandTimeout: deadlineMs })
    const get = guardedGet(redis)
    const bareGet = () => bare.sendCommand(['GET', 'k'])
    const beside = (concurrency: number, name: string, operation: () => Promise<unknown>): Contender[] => [
      closedLoop('node-redis 4, bare', concurrency, bareGet),
      closedLoop(name, concurrency, operation),
    ]
    const ours = 'evenkeel: deadline, breaker, failover'
    const many = await interleave(beside(512, ours, get), effort)
    const one = await interleave(beside(1, ours, get), effort)
    // Compared by itself, and last: opossum keeps the latency of each call for ten seconds, and what the garbage
    // collection of so many numbers takes would be counted for whoever runs then.
    const opossum = new CircuitBreaker(bareGet, { timeout: false })
    const peer = 'opossum around the bare client'
    const peerGet = () => opossum.fire()
    const peerMany = await interleave(beside(512, peer, peerGet), effort)
    const peerOne = await interleave(beside(1, peer, peerGet), effort)
    opossum.shutdown()
    await bare.disconnect()

    const frozen = await freeze(redis, server, effort)
    const open = await whileOpen(redis, server, effort)
    const returnMs = await downToUp(redis, server, effort)
    await redis.close()
    await server.close()

    const figures: Figure[] = [
      figure('guarded GET, 512 concurrent, by the bare client', many[1]?.ratio, 'x', { atLeast: 0.7 }),
      figure(
        'guarded GET, 1 concurrent: latency by the bare client',
        1 / (one[1]?.ratio ?? Number.NaN),
        'x',
        { atMost: 1.1 },
      ),
      figure('a call while the breaker is open', open[0]?.usEach, 'us', { atMost: 5 }),
      figure('10,000 calls in flight at a freeze: slowest beyond its deadline', frozen.beyondMs, 'ms', {
        atMost: 50,
      }),
      figure('the same: event-loop delay p99', frozen.loopP99Ms, 'ms', { atMost: 50 }),
      figure('Redis accepts connections until it answers us, slowest', returnMs, 'ms', { atMost: 1_000 }),
      figure('import of the package, median', importMs(effort), 'ms', { atMost: 15 }),
      figure('heap allocated by a second of idling', await idleBytes(), 'bytes'),
    ]
    return {
      suite: 'core',
      comparisons: [
        { title: 'GET, 512 concurrent', standings: many },
        { title: 'GET, 1 concurrent', standings: one },
        { title: 'GET through opossum, 512 concurrent', standings: peerMany },
        { title: 'GET through opossum, 1 concurrent', standings: peerOne },
        { title: 'answered from memory while the breaker is open', standings: open },
      ],
      figures,
    }
  },
}

function figure(name: string, value = Number.NaN, unit: string, bound?: Figure['bound']): Figure {
  return { name, value: round2(value), unit, ...(bound && { bound }) }
}

function guardedGet(redis: Connection): () => Promise<unknown> {
  const pair = failover<Reader>(redis, {
    name: 'bench',
    primary: { get: (key) => redis.command(['GET', key]) },
    fallback: { get: async () => null },
  })
  return () => pair.run((store) => store.get('k'))
}

async function freeze(redis: Connection, server: RedisServer, { smoke }: Effort) {
  const beyond: number[] = []
  const delays: number[] = []
  for (let round = 0; round < (smoke ? 1 : 5); round++) {
    const delay = monitorEventLoopDelay({ resolution: 1 })
    delay.enable()
    server.freeze()
    const startedAt = performance.now()
    const slowest = await Promise.all(
      Array.from({ length: 10_000 }, async () => {
        const sentAt = performance.now()
        await redis.command(['GET', 'k']).catch(() => {})
        return performance.now() - sentAt
      }),
    )
    delay.disable()
    beyond.push(Math.max(...slowest) - deadlineMs)
    delays.push(delay.percentile(99) / 1e6)
    server.resume()
    while (redis.state !== 'up' && performance.now() - startedAt < 10_000) await pause(5)
  }
  return { beyondMs: median(beyond), loopP99Ms: median(delays) }
}

async function whileOpen(redis: Connection, server: RedisServer, effort: Effort) {
  await server.kill()
  while (redis.state === 'up') await pause(5)
  const get = guardedGet(redis)
  const standings = await interleave(
    [
      inProcess('failover answers from memory', get),
      inProcess('the connection refuses a command', () => redis.command(['GET', 'k']).catch(() => {})),
    ],
    { rounds: effort.rounds, roundMs: Math.min(effort.roundMs, 200) },
  )
  await server.restart()
  return standings
}

async function downToUp(redis: Connection, server: RedisServer, { smoke }: Effort): Promise<number> {
  let slowest = 0
  for (let round = 0; round < (smoke ? 1 : 5); round++) {
    await server.kill()
    while (redis.state === 'up') await pause(5)
    await pause(smoke ? 0 : 1_000 + Math.random() * 1_000)
    await server.restart()
    const readyAt = performance.now()
    while (
      !(await redis.command(['GET', 'k']).then(
        () => true,
        () => false,
      ))
    )
      await pause(2)
    slowest = Math.max(slowest, performance.now() - readyAt)
  }
  return slowest
}

/** Median time of an import, each in a new process. */
function importMs({ smoke }: Effort): number {
  const script = `const t = performance.now(); await import('@evenkeel/core'); console.log(performance.now() - t)`
  const run = () =>
    Number(
      execFileSync(process.execPath, ['--input-type=module', '-e', script], {
        cwd: import.meta.dirname,
        encoding: 'utf8',
      }),
    )
  return median(Array.from({ length: smoke ? 1 : 9 }, run))
}

async function idleBytes(): Promise<number> {
  const server = await startRedis()
  const redis = await connect({ url: server.url })
  await pause(100)
  const before = process.memoryUsage().heapUsed
  await pause(1_000)
  const bytes = process.memoryUsage().heapUsed - before
  await redis.close()
  await server.close()
  return Math.max(0, bytes)
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
