import { connect } from '@evenkeel/core'
import {
  concurrency,
  createRateLimiter,
  fixedWindow,
  type Limit,
  slidingWindow,
  tokenBucket,
} from '@evenkeel/rate-limiter'
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible'
import { createClient } from 'redis'
import {
  type Admission,
  type Beginning,
  type Kind,
  monotonicMs,
  type Outcome,
  parameters,
  peerWindowMs,
  type Task,
} from './plan.js'

/** One call: the store that admitted it, or `undefined` if it was denied. */
type Call = (
  cost: number,
) => Promise<{ source: 'redis' | 'memory'; release?: () => Promise<unknown> } | undefined>

function limitOf(kind: Kind, leased: boolean): Limit {
  const { limit, windowMs } = parameters[kind]
  const lease = leased ? { lease: true } : {}
  switch (kind) {
    case 'window-exact':
    case 'window-slotted':
      return slidingWindow(limit, windowMs, lease)
    case 'token-bucket':
      return tokenBucket({ capacity: limit, refill: limit, every: windowMs, ...lease })
    case 'fixed-window':
      return fixedWindow(limit, windowMs, lease)
    case 'concurrency':
      return concurrency(limit, { lease: windowMs })
  }
}

async function ours({ kind, contender, url }: Task): Promise<{ call: Call; close: () => Promise<void> }> {
  const redis = await connect({ url, commandTimeout: 250 })
  const limiter = createRateLimiter({
    redis,
    name: 'harness',
    limits: { units: limitOf(kind, contender === 'evenkeel leased') },
    // Denials from memory take no time, so the run would contain little else.
    denialMemory: 0,
  })
  const check: Call = async (cost) => {
    const { allowed, source } = await limiter.check('hot', { units: cost })
    return allowed ? { source } : undefined
  }
  const hold: Call = async () => {
    const reservation = await limiter.reserve('hot', { units: 1 })
    const { allowed, source } = reservation
    return allowed ? { source, release: () => reservation.cancel() } : undefined
  }
  return {
    call: kind === 'concurrency' ? hold : check,
    async close() {
      await limiter.close()
      await redis.close()
    },
  }
}

/** As its documentation advises: no offline queue, an insurance limiter with a process's part of the points. */
async function peer({ kind, url, processes }: Task): Promise<{ call: Call; close: () => Promise<void> }> {
  const { limit } = parameters[kind]
  const client = createClient({ url, disableOfflineQueue: true, socket: { reconnectStrategy: 100 } })
  client.on('error', () => {})
  await client.connect()
  const limiter = new RateLimiterRedis({
    storeClient: client,
    useRedisPackage: true,
    rejectIfRedisNotReady: true,
    points: limit,
    duration: peerWindowMs / 1_000,
    insuranceLimiter: new RateLimiterMemory({
      points: Math.max(1, Math.floor(limit / processes)),
      duration: peerWindowMs / 1_000,
    }),
  })
  return {
    async call(cost) {
      try {
        await limiter.consume('hot', cost)
        return { source: client.isReady ? 'redis' : 'memory' }
      } catch (error) {
        if (error instanceof RateLimiterRes) return undefined
        throw error
      }
    },
    close: async () => void (await client.disconnect().catch(() => {})),
  }
}

async function work(task: Task, begin: Promise<Beginning>): Promise<Outcome> {
  const { call, close } = await (task.contender === 'rate-limiter-flexible' ? peer(task) : ours(task))
  // The start of the process is no part of the run.
  process.send?.('ready')
  const { startMs, untilMs } = await begin
  const admissions: Admission[] = []
  let denied = 0
  let failed = 0
  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
  await pause(Math.max(0, startMs - monotonicMs()))
  const client = async () => {
    while (monotonicMs() < untilMs) {
      const cost = task.kind === 'concurrency' ? 1 : 1 + Math.floor(Math.random() * 3)
      const [sentMs, wallSentMs] = [monotonicMs(), Date.now()]
      try {
        // A client that hangs with its server must not end the run.
        const admitted = await Promise.race([
          call(cost),
          pause(3_000).then(() => Promise.reject(new Error('hung'))),
        ])
        const answered = { answeredMs: monotonicMs(), wallAnsweredMs: Date.now() }
        if (admitted === undefined) denied++
        else {
          const admission = { sentMs, wallSentMs, ...answered, cost, source: admitted.source }
          if (admitted.release === undefined) admissions.push(admission)
          else {
            await pause(Math.random() * 20)
            admissions.push({ ...admission, releasedMs: monotonicMs() })
            await admitted.release()
          }
        }
      } catch {
        failed++
      }
      await pause(Math.random() * 4)
    }
  }
  await Promise.all(Array.from({ length: task.clients }, client))
  await close()
  return { admissions, denied, failed }
}

process.once('message', (task: Task) => {
  const begin = new Promise<Beginning>((resolve) =>
    process.once('message', (beginning: Beginning) => resolve(beginning)),
  )
  work(task, begin).then(
    (outcome) => process.send?.(outcome, () => process.exit(0)),
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    },
  )
})
