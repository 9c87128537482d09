import { connect } from '@evenkeel/core'
import { createJobServices, createWorker } from '../jobs.js'
import { fromEnvironment, type WorkerReport } from './protocol.js'

/** One worker process: says when it is ready, then what it did, and ends when its parent lets go of it. */
const { url, queue, baseURL, model, jobsPerSecond, workers } = fromEnvironment(process.env)
const redis = await connect({
  url,
  library: 'ioredis',
  commandTimeout: 200,
  logger: { info() {}, warn() {} },
})
const services = createJobServices({ redis, baseURL, model, jobsPerSecond, workers })
// A job that was being taken when Redis died waits for another worker until BullMQ finds that its lock has ended, by
// default after 30 to 60 s; here the watcher of the demo waits with it.
const worker = createWorker(queue, url, services, {
  concurrency: 8,
  lockDuration: 5_000,
  stalledInterval: 2_000,
})
// BullMQ says here that it can't reach Redis, again and again. It goes on trying.
worker.on('error', () => {})
await worker.waitUntilReady()

const report = (): WorkerReport => {
  const { allowed, denied, fallback } = services.limiter.stats()
  return { allowed, denied, byMemory: fallback }
}
const timer = setInterval(() => process.connected && process.send?.(report()), 100)
process.send?.(report())
process.once('disconnect', async () => {
  clearInterval(timer)
  await worker.close()
  await services.close()
  await redis.close()
})
