import { type AgentMemory, createAgentMemory, MessageConflictError } from '@evenkeel/agent-memory'
import type { Connection } from '@evenkeel/core'
import { createResponseCache, type ResponseCache } from '@evenkeel/llm-response-cache'
import { createRateLimiter, type RateLimiter, slidingWindow } from '@evenkeel/rate-limiter'
import { DelayedError, type Job, Worker, type WorkerOptions } from 'bullmq'

/** A tenant's question, answered in the background. The job id identifies it, so a producer may add it twice. */
export interface Question {
  readonly tenant: string
  readonly question: string
}

/** The result of a job, stored once in the tenant's thread `jobs`, under the job's id. */
export interface Done {
  readonly answer: string
  readonly tokens: number
}

export interface JobServices {
  readonly limiter: RateLimiter<'jobs'>
  readonly cache: ResponseCache
  readonly memory: AgentMemory
  /** The base URL of an OpenAI-compatible API. */
  readonly baseURL: string
  readonly model: string
}

/** The limiter, the cache and the memory of one worker process, on one connection. */
export function createJobServices(options: {
  redis: Connection
  baseURL: string
  model: string
  jobsPerSecond: number
  workers: number
}): JobServices & { close(): Promise<void> } {
  const { redis, baseURL, model, jobsPerSecond, workers } = options
  const limits = { jobs: slidingWindow(jobsPerSecond, '1s') }
  const limiter = createRateLimiter({ redis, name: 'jobs', limits, expectedInstances: workers })
  const cache = createResponseCache({ redis, ttl: '1h' })
  const memory = createAgentMemory({ redis })
  return {
    limiter,
    cache,
    memory,
    baseURL,
    model,
    close: async () => {
      await memory.close()
      await cache.close()
      await limiter.close()
    },
  }
}

/** A BullMQ worker on the Redis at `url`. */
export function createWorker(
  queue: string,
  url: string,
  services: JobServices,
  options: Pick<WorkerOptions, 'concurrency' | 'lockDuration' | 'stalledInterval'>,
): Worker<Question, Done> {
  return new Worker<Question, Done>(queue, (job, token) => answer(job, token, services), {
    ...options,
    // With null, BullMQ's commands wait while Redis is down, instead of failing the job.
    connection: { url, maxRetriesPerRequest: null },
    // When an outage lasts longer than a job's lock, BullMQ counts the job as stalled and runs it again. By default it
    // fails a job that stalls twice.
    maxStalledCount: 100,
  })
}

async function answer(job: Job<Question, Done>, token: string | undefined, services: JobServices) {
  const { limiter, memory } = services
  const { tenant } = job.data
  const { allowed, retryAfterMs } = await limiter.check(tenant)
  if (!allowed) {
    // The job is put back without using up an attempt, and this worker is free for another tenant's job. The random
    // factor keeps the tenant's jobs from coming back in the same millisecond.
    await job.moveToDelayed(Date.now() + Math.ceil(retryAfterMs * (1 + Math.random())), token)
    throw new DelayedError()
  }
  const done = await ask(job.data.question, services)
  const thread = memory.owner(tenant).thread('jobs')
  const id = job.id ?? ''
  try {
    // BullMQ runs a job at least once, and a thread holds an id at most once. The job is complete when its entry is in
    // Redis, so in an outage it completes once Redis is back.
    const { stored } = await thread.append({
      id,
      role: 'assistant',
      content: done.answer,
      tokens: done.tokens,
    })
    await stored
  } catch (error) {
    // An earlier run of this job stored another answer, and the thread keeps that one.
    if (!(error instanceof MessageConflictError)) throw error
  }
  return done
}

async function ask(question: string, { cache, baseURL, model }: JobServices): Promise<Done> {
  const response = await cache.fetch()(`${baseURL}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: question }] }),
  })
  // BullMQ tries again, by the job's `attempts` and `backoff`.
  if (!response.ok) throw new Error(`the provider answered ${response.status}`)
  const { choices, usage } = (await response.json()) as {
    choices: readonly { readonly message: { readonly content: string } }[]
    usage: { readonly total_tokens: number }
  }
  return { answer: choices[0]?.message.content ?? '', tokens: usage.total_tokens }
}
