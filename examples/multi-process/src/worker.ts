import { setTimeout as pause } from 'node:timers/promises'
import { connect } from '@evenkeel/core'
import { createRateLimiter, slidingWindow } from '@evenkeel/rate-limiter'
import { type Admission, machineMs, requestsPerSecond } from './limit.js'

/** One instance of a service: asks for a little more than its part of the limit, and reports twice a second. */
const url = process.env.REDIS_URL
const redis = url ? await connect({ url, commandTimeout: 200 }) : undefined
const limiter = createRateLimiter({
  redis,
  limits: { requests: slidingWindow(requestsPerSecond, '1s') },
  expectedInstances: Number(process.env.INSTANCES),
})

const newReport = () => ({
  admissions: [] as Admission[],
  deniedAtMs: [] as number[],
  byMemoryAtMs: [] as number[],
  failed: 0,
})
let report = newReport()
const timer = setInterval(() => {
  if (!process.connected) return
  process.send?.(report)
  report = newReport()
}, 500)

let running = true
process.once('disconnect', () => {
  running = false
})
while (running) {
  const sentMs = machineMs()
  try {
    const { allowed, source } = await limiter.check('tenant:1')
    const answeredMs = machineMs()
    if (allowed) report.admissions.push({ sentMs, answeredMs })
    else report.deniedAtMs.push(answeredMs)
    if (source === 'memory') report.byMemoryAtMs.push(answeredMs)
  } catch {
    report.failed++
  }
  await pause(1 + Math.random() * 8)
}
clearInterval(timer)
await limiter.close()
await redis?.close()
