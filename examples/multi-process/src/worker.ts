import { setTimeout as pause } from 'node:timers/promises'
import { connect } from '@evenkeel/core'
import { createRateLimiter, slidingWindow } from '@evenkeel/rate-limiter'
import { type Report, requestsPerSecond } from './limit.js'

/** One instance of a service: asks for a little more than its part of the limit, and reports twice a second. */
const url = process.env.REDIS_URL
const redis = url ? await connect({ url, commandTimeout: 200 }) : undefined
const limiter = createRateLimiter({
  redis,
  limits: { requests: slidingWindow(requestsPerSecond, '1s') },
  expectedInstances: Number(process.env.INSTANCES),
})

let report: Report = { admitted: 0, denied: 0, byMemory: 0, failed: 0 }
const timer = setInterval(() => {
  process.send?.(report)
  report = { admitted: 0, denied: 0, byMemory: 0, failed: 0 }
}, 500)

let running = true
process.once('disconnect', () => {
  running = false
})
while (running) {
  try {
    const { allowed, source } = await limiter.check('tenant:1')
    report = {
      ...report,
      admitted: report.admitted + (allowed ? 1 : 0),
      denied: report.denied + (allowed ? 0 : 1),
      byMemory: report.byMemory + (source === 'memory' ? 1 : 0),
    }
  } catch {
    report = { ...report, failed: report.failed + 1 }
  }
  await pause(1 + Math.random() * 8)
}
clearInterval(timer)
await limiter.close()
await redis?.close()
