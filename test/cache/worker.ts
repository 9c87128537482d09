import { connect, EvenkeelError } from '@evenkeel/core'
import { createResponseCache } from '@evenkeel/llm-response-cache'

export interface Task {
  readonly redisUrl: string
  readonly providerUrl: string
  /** Names this process to the provider. */
  readonly name: string
  readonly leaseMs: number
  readonly prompt: string
}

export interface Outcome {
  readonly name: string
  readonly status: number
  readonly cache: string | null
  readonly text: string
  /** The code of the error that ended it. */
  readonly error: string | null
}

/** One instance of a service: it waits for a prompt, and streams the answer through the cache. */
process.on('message', async (task: Task) => {
  // Ten processes may make the machine busy, and a late reply must not count as an outage in these tests.
  const redis = await connect({ url: task.redisUrl, required: true, commandTimeout: '5s' })
  const cache = createResponseCache({ redis, lease: task.leaseMs })
  const cached = cache.fetch()
  const decoder = new TextDecoder()
  let [status, text, told, error]: [number, string, string | null, string | null] = [0, '', null, null]
  try {
    const response = await cached(task.providerUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-worker': task.name },
      body: JSON.stringify({ model: 'm', stream: true, messages: [{ role: 'user', content: task.prompt }] }),
    })
    status = response.status
    told = response.headers.get('x-evenkeel-cache')
    for await (const chunk of response.body ?? []) {
      if (text === '') process.send?.('reading')
      text += decoder.decode(chunk, { stream: true })
    }
  } catch (thrown) {
    error = EvenkeelError.isInstance(thrown) ? thrown.code : String(thrown)
  }
  const outcome: Outcome = { name: task.name, status, cache: told, text, error }
  process.send?.(outcome)
})
process.send?.('ready')
