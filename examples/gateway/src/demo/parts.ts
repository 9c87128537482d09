/** What the demo is made of, for another one: decoders, a Redis of one's own, and callers. */
export { ask, type Reply } from './ask.js'
export { type Running, start } from './processes.js'
export { OwnRedis } from './redis.js'
export { chatJob, type Job, seeded } from './workload.js'
