import { connect } from '@evenkeel/core'
import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import { Queue, QueueEvents } from 'bullmq'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type Provider, startProvider } from '../src/demo/provider.js'
import { createJobServices, createWorker, type Question } from '../src/jobs.js'

let server: RedisServer
let provider: Provider
let queue: Queue<Question>
let events: QueueEvents
const ends: (() => Promise<unknown>)[] = []

beforeEach(async () => {
  server = await startRedis()
  provider = await startProvider(5)
  const connection = { url: server.url, maxRetriesPerRequest: null }
  queue = new Queue('jobs', { connection })
  events = new QueueEvents('jobs', { connection })
  await events.waitUntilReady()
  ends.push(
    () => server.close(),
    async () => provider[Symbol.asyncDispose](),
    () => queue.close(),
    () => events.close(),
  )
})
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

async function work(options: { jobsPerSecond: number; baseURL?: string }) {
  const redis = await connect({ url: server.url, library: 'ioredis' })
  const given = { baseURL: provider.baseURL, model: 'stand-in', workers: 1, ...options }
  const services = createJobServices({ redis, ...given })
  const worker = createWorker('jobs', server.url, services, { concurrency: 2 })
  const end = async () => {
    await worker.close(true)
    await services.close()
    await redis.close()
  }
  ends.push(end)
  return services
}

const add = (jobId: string, tenant: string, attempts = 1) =>
  queue.add('answer', { tenant, question: `of ${jobId}` }, { jobId, attempts, backoff: 100 })

it('puts a denied job back without using up its attempt, and holds no other tenant up', async () => {
  await work({ jobsPerSecond: 1 })
  const jobs = await Promise.all([1, 2, 3].map((number) => add(`ada-${number}`, 'ada')))
  const last = await add('bob-1', 'bob')
  await last.waitUntilFinished(events)
  expect((await queue.getJobCounts('completed')).completed).toBeLessThanOrEqual(3)
  for (const job of jobs) await job.waitUntilFinished(events)
  const states = await Promise.all(
    jobs.map(async ({ id }) => {
      const job = await queue.getJob(id ?? '')
      return [await job?.getState(), job?.attemptsMade, job?.failedReason]
    }),
  )
  expect(states).toEqual(jobs.map(() => ['completed', 1, undefined]))
})

it('counts a job once that is run again, and asks the provider once for it', async () => {
  const { memory } = await work({ jobsPerSecond: 100 })
  const first = await add('ada-1', 'ada')
  const answer = await first.waitUntilFinished(events)
  // As after an outage: BullMQ has forgotten that the job was run.
  await queue.remove('ada-1')
  const again = await (await add('ada-1', 'ada')).waitUntilFinished(events)
  expect(again).toEqual(answer)
  const { entries } = await memory.owner('ada').thread('jobs').page()
  expect(entries.map(({ message }) => [message.id, message.tokens])).toEqual([['ada-1', 100]])
  expect([...provider.asked]).toEqual([['of ada-1', 1]])
})

it('tries a job again whose provider is away, and counts nothing for it until it is answered', async () => {
  const { memory } = await work({ jobsPerSecond: 100, baseURL: 'http://127.0.0.1:9/v1' })
  const job = await add('ada-1', 'ada', 2)
  await expect(job.waitUntilFinished(events)).rejects.toThrow()
  expect((await queue.getJob('ada-1'))?.attemptsMade).toBe(2)
  const { entries } = await memory.owner('ada').thread('jobs').page()
  expect(entries).toEqual([])
})
