/** The parts of the demo that other examples use: decoders, an own Redis, and callers. */
export { ask, type Reply } from './ask.js'
export { type Running, start } from './processes.js'
export { OwnRedis } from './redis.js'
export { chatJob, type Job, seeded } from './workload.js'
