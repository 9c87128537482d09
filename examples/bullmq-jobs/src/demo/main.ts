import { setTimeout as pause } from 'node:timers/promises'
import { createAgentMemory } from '@evenkeel/agent-memory'
import { connect } from '@evenkeel/core'
import { Queue } from 'bullmq'
import { Fleet } from './fleet.js'
import { startProvider } from './provider.js'
import { OwnRedis } from './redis.js'

const own = process.env.REDIS_URL ? undefined : await OwnRedis.start()
const url = process.env.REDIS_URL || own?.url
if (url === undefined) {
  console.error(
    'BullMQ keeps its jobs in Redis. Set REDIS_URL, or install redis-server; `npx evenkeel redis start` starts one.',
  )
  process.exit(2)
}

const run = `demo-${Date.now().toString(36)}`
const tenants = ['ada', 'bob', 'cleo'].map((name) => `${run}-${name}`)
const jobsOfTenant = 40
const questions = Array.from({ length: 30 }, (_, index) => `question ${index + 1} of ${run}`)
const jobsPerSecond = 8
const outageMs = 3_000
const workers = 2

await using provider = await startProvider(100)
const queue = new Queue(run, { connection: { url, maxRetriesPerRequest: null } })
queue.on('error', () => {})
const fleet = await Fleet.start({
  url,
  queue: run,
  baseURL: provider.baseURL,
  model: 'stand-in',
  jobsPerSecond,
  workers,
})

/** The jobs `from` to `to` of every tenant. Because of their ids, adding one twice has no effect. */
const jobs = (from: number, to: number) =>
  tenants.flatMap((tenant, at) =>
    Array.from({ length: to - from }, (_, index) => ({
      name: 'answer',
      data: { tenant, question: questions[(from + index + at * 10) % questions.length] ?? '' },
      opts: { jobId: `${tenant}-${from + index}`, attempts: 3, backoff: { type: 'exponential', delay: 500 } },
    })),
  )

console.log(
  `${workers} workers, ${tenants.length} tenants with ${jobsOfTenant} jobs each, at most ${jobsPerSecond} jobs a second and tenant,\n` +
    `${own ? 'on a Redis that the demo starts, kills and brings back' : 'on the Redis of REDIS_URL'}; each half second:\n`,
)
console.log('second  completed  waiting  active  delayed  failed   denied  by memory  provider')
const startedMs = performance.now()
const total = tenants.length * jobsOfTenant
await queue.addBulk(jobs(0, jobsOfTenant / 2))

/** Prints the state of the jobs; without counts while Redis is down. Resolves to the number of completed jobs. */
async function row(isRedisAway = false): Promise<number> {
  const counts = isRedisAway
    ? {}
    : await queue.getJobCounts('completed', 'waiting', 'active', 'delayed', 'failed')
  const { completed, waiting, active, delayed, failed } = counts
  const { denied, byMemory } = fleet.totals()
  const asked = [...provider.asked.values()].reduce((sum, count) => sum + count, 0)
  const second = ((performance.now() - startedMs) / 1_000).toFixed(1).padStart(6)
  const cells = [completed, waiting, active, delayed, failed, denied, byMemory, asked]
  const widths = [11, 9, 8, 9, 8, 9, 11, 10]
  console.log(
    second + cells.map((value, index) => String(value ?? '–').padStart(widths[index] ?? 8)).join(''),
  )
  return completed ?? 0
}

while ((await row()) < total / 6) await pause(500)
let adding: Promise<unknown>
if (own) {
  await own.kill()
  console.log('        — Redis is killed; the producer goes on adding')
  adding = queue.addBulk(jobs(jobsOfTenant / 2, jobsOfTenant))
  const untilMs = performance.now() + outageMs
  while (performance.now() < untilMs) {
    await pause(500)
    await row(true)
  }
  await own.begin()
  console.log('        — Redis is back, with what it had acknowledged')
} else adding = queue.addBulk(jobs(jobsOfTenant / 2, jobsOfTenant))
await adding
// This ends because a job fails for good after its last attempt.
while (true) {
  await row()
  const { completed = 0, failed = 0 } = await queue.getJobCounts('completed', 'failed')
  if (completed + failed >= total) break
  await pause(500)
}

const { denied, byMemory } = fleet.totals()
await fleet.end()
const redis = await connect({ url, library: 'ioredis' })
const memory = createAgentMemory({ redis })
const entries = new Map<string, number>()
for (const tenant of tenants) {
  const page = await memory
    .owner(tenant)
    .thread('jobs')
    .page({ limit: jobsOfTenant + 1 })
  for (const { message } of page.entries) entries.set(message.id, (entries.get(message.id) ?? 0) + 1)
}
const { completed = 0, failed = 0 } = await queue.getJobCounts('completed', 'failed')
const runs = (await queue.getCompleted()).map(({ attemptsMade, stalledCounter }) => ({
  attemptsMade,
  stalledCounter,
}))
const again = runs.filter(({ attemptsMade, stalledCounter }) => attemptsMade > 1 || stalledCounter > 0).length
const most = Math.max(...provider.asked.values())

console.log()
const kept = [
  say(
    completed === total && failed === 0,
    `no job is lost: ${completed} of ${total} completed, ${failed} failed`,
  ),
  say(denied > 0, `denied jobs were put back, not failed: ${denied} denials`),
  say(
    entries.size === total && [...entries.values()].every((times) => times === 1),
    `each job is in its tenant's account once: ${entries.size} entries for ${total} jobs (BullMQ began ${again} of them again)`,
  ),
  say(
    provider.asked.size === questions.length && most <= 1 + workers,
    `${total} jobs asked ${questions.length} questions: the provider was asked ${sum(provider.asked.values())} times, ` +
      `each question at most ${most} times (in an outage each worker knows only its own answers)`,
  ),
]
if (byMemory > 0)
  console.log(`  ${byMemory} decisions of the limiter were made by memory while Redis was away`)

for (const tenant of tenants) await memory.owner(tenant).erase()
await memory.close()
await redis.close()
await queue.obliterate({ force: true })
await queue.close()
await own?.end()
process.exitCode = kept.every(Boolean) ? 0 : 1

function say(isKept: boolean, what: string): boolean {
  console.log(`${isKept ? '✓' : '✗'} ${what}`)
  return isKept
}

function sum(values: Iterable<number>): number {
  return [...values].reduce((total, value) => total + value, 0)
}
