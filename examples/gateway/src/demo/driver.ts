import { setTimeout as pause } from 'node:timers/promises'
import OpenAI from 'openai'
import type { Job } from './workload.js'

export interface Result {
  readonly job: Job
  /** Milliseconds from sending to the end of the answer. */
  readonly ms: number
  readonly status: 'answered' | 'refused' | 'failed'
  /** hit, miss, coalesced or bypass, as the gateway says. */
  readonly cache: string | undefined
  /** Who decided on the limit: redis or memory. */
  readonly decidedBy: string | undefined
  readonly tokens: number
  readonly text: string
  readonly error: string | undefined
}

export type Progress = (done: number, total: number) => void

/**
 * Sends every job at its time, whether or not those before it have been answered: a slow server does not
 * make the load lighter. Each user has an OpenAI client of its own, which retries as it does for anybody.
 */
export async function drive(
  jobs: readonly Job[],
  urls: readonly string[],
  onProgress: Progress,
): Promise<readonly Result[]> {
  const clients = new Map<string, OpenAI>()
  const clientOf = (user: string, url: string) => {
    const key = `${user} ${url}`
    const known = clients.get(key)
    if (known !== undefined) return known
    const client = new OpenAI({
      apiKey: `demo-${user}`,
      baseURL: `${url}/v1`,
      maxRetries: 0,
      timeout: 60_000,
    })
    clients.set(key, client)
    return client
  }
  let done = 0
  const startedAt = performance.now()
  return Promise.all(
    jobs.map(async (job, index) => {
      await pause(Math.max(0, job.atMs - (performance.now() - startedAt)))
      const url = urls[index % urls.length] ?? ''
      const result = await ask(clientOf(job.user, url), job)
      onProgress(++done, jobs.length)
      return result
    }),
  )
}

async function ask(client: OpenAI, job: Job): Promise<Result> {
  const request = {
    model: 'demo',
    messages: [{ role: 'user' as const, content: job.prompt }],
    max_tokens: job.maxTokens,
    temperature: 0,
  }
  const startedAt = performance.now()
  let text = ''
  let tokens = 0
  let headers: Headers | undefined
  const result = (status: Result['status'], error?: string): Result => ({
    ...{ job, status, error, text, tokens, ms: performance.now() - startedAt },
    cache: headers?.get('x-evenkeel-cache') ?? undefined,
    decidedBy: headers?.get('x-evenkeel-limit-source') ?? undefined,
  })
  try {
    if (job.stream) {
      const { data, response } = await client.chat.completions
        .create({ ...request, stream: true })
        .withResponse()
      headers = response.headers
      let ended = false
      for await (const chunk of data) {
        text += chunk.choices[0]?.delta.content ?? ''
        tokens = chunk.usage?.total_tokens ?? tokens
        if (chunk.choices[0]?.finish_reason) ended = true
      }
      // The client takes a stream that was cut for one that ended.
      return ended ? result('answered') : result('failed', 'the stream was cut short')
    }
    const { data, response } = await client.chat.completions.create(request).withResponse()
    headers = response.headers
    text = data.choices[0]?.message.content ?? ''
    tokens = data.usage?.total_tokens ?? 0
    return result('answered')
  } catch (error) {
    if (error instanceof OpenAI.APIError && error.status === 429) {
      headers = error.headers
      return result('refused')
    }
    return result('failed', error instanceof Error ? error.message : String(error))
  }
}
