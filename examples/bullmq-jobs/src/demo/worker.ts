import { connect } from '@evenkeel/core'
import { createJobServices, createWorker } from '../jobs.js'
import { fromEnvironment, type WorkerReport } from './protocol.js'

/** One worker process: reports when it is ready, then what it did, and ends when its parent disconnects. */
const { url, queue, baseURL, model, jobsPerSecond, workers } = fromEnvironment(process.env)
const redis = await connect({
  url,
  library: 'ioredis',
  commandTimeout: 200,
  logger: { info() {}, warn() {} },
})
const services = createJobServices({ redis, baseURL, model, jobsPerSecond, workers })
// A job that was being taken when Redis died is run again only after BullMQ finds its lock expired. By default that
// takes 30 to 60 s; the demo sets shorter times.
const worker = createWorker(queue, url, services, {
  concurrency: 8,
  lockDuration: 5_000,
  stalledInterval: 2_000,
})
// BullMQ emits an error each time it fails to reach Redis, and keeps trying.
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
