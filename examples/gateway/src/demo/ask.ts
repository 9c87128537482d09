import OpenAI from 'openai'
import type { Said } from '../decoder/text.js'
import type { Job } from './workload.js'

export interface Reply {
  /** Milliseconds from sending to the end of the answer. */
  readonly ms: number
  readonly status: 'answered' | 'refused' | 'failed'
  /** What the gateway reports: hit, miss, coalesced or bypass. */
  readonly cache: string | undefined
  /** What decided on the limit: redis or memory. */
  readonly decidedBy: string | undefined
  /** How much of the conversation the gateway knew: whole, stale or partial. */
  readonly history: string | undefined
  readonly text: string
  readonly error: string | undefined
}

/** Sends one request as any user of OpenAI's client does, and reads the answer to its end. Never rejects. */
export async function ask(
  client: OpenAI,
  { kind, prompt, maxTokens, stream }: Job,
  messages: readonly Said[],
  headers: Readonly<Record<string, string>>,
): Promise<Reply> {
  const startedAt = performance.now()
  let answered: Headers | undefined
  const reply = (status: Reply['status'], text: string, error?: string): Reply => ({
    status,
    text,
    error,
    ms: performance.now() - startedAt,
    cache: answered?.get('x-evenkeel-cache') ?? undefined,
    decidedBy: answered?.get('x-evenkeel-limit-source') ?? undefined,
    history: answered?.get('x-evenkeel-history') ?? undefined,
  })
  const chat = {
    model: 'demo',
    messages: messages as OpenAI.ChatCompletionMessageParam[],
    max_tokens: maxTokens,
    temperature: 0,
  }
  try {
    if (kind === 'embedding') {
      const { data, response } = await client.embeddings
        .create({ model: 'demo-embed', input: prompt })
        .withResponse()
      answered = response.headers
      return reply('answered', JSON.stringify(data.data[0]?.embedding))
    }
    if (!stream) {
      const { data, response } = await client.chat.completions.create(chat, { headers }).withResponse()
      answered = response.headers
      return reply('answered', data.choices[0]?.message.content ?? '')
    }
    const { data, response } = await client.chat.completions
      .create({ ...chat, stream: true }, { headers })
      .withResponse()
    answered = response.headers
    let text = ''
    let ended = false
    for await (const { choices } of data) {
      text += choices[0]?.delta.content ?? ''
      if (choices[0]?.finish_reason) ended = true
    }
    // OpenAI's client reports no error if a stream is cut, so a complete answer is told by its finish reason.
    return ended ? reply('answered', text) : reply('failed', text, 'the stream was cut short')
  } catch (error) {
    if (error instanceof OpenAI.APIError) answered ??= error.headers
    if (error instanceof OpenAI.RateLimitError) return reply('refused', '')
    return reply('failed', '', error instanceof Error ? error.message : String(error))
  }
}
