import { type OpenSpan, type Spans, spanKind, watchedBody } from '@evenkeel/core/kit'
import type { DecoderNode } from '../nodes/node.js'
import type { PoolRequest } from './pool-request.js'

/** The last parts of a path that OpenAI's API has, and what OpenTelemetry's conventions call the operation. */
const operations: Readonly<Record<string, string>> = {
  'chat/completions': 'chat',
  responses: 'chat',
  messages: 'chat',
  completions: 'text_completion',
  embeddings: 'embeddings',
}

/** The usage of a longer answer is not read, because it would have to be kept in memory. */
const maxReadBytes = 1 << 20

/**
 * One call of a pool's fetch in a host's traces: a CLIENT span for each node that is tried, by the GenAI conventions.
 * No text of a prompt or an answer is in it.
 */
export class CallSpans {
  readonly #spans: Spans
  readonly #seen: PoolRequest
  /** The span of the attempt that was answered, until its body has ended. */
  #answered: OpenSpan | undefined

  constructor(spans: Spans, seen: PoolRequest) {
    this.#spans = spans
    this.#seen = seen
  }

  /** One attempt. The headers are those that are sent. */
  async attempt(
    node: DecoderNode,
    headers: Headers,
    call: (headers: Headers) => Promise<Response>,
  ): Promise<Response> {
    const { name, attributes } = describe(this.#seen, node)
    return this.#spans.open(name, { kind: spanKind.client, attributes }, async (span) => {
      if (span === undefined) return call(headers)
      const own = new Headers(headers)
      this.#spans.inject(own)
      const answer = await call(own)
      span.set({ 'http.response.status_code': answer.status })
      // An answer before this one was not good enough, otherwise this attempt would not have been made.
      this.#answered?.end('_OTHER')
      this.#answered = span
      if (answer.status >= 400) span.end(`${answer.status}`)
      return answer
    })
  }

  /** The span of the attempt whose answer is given ends with its body. */
  follow(answer: Response): Response {
    const span = this.#answered
    if (span === undefined) return answer
    const reader = new UsageReader(answer.headers.get('content-type') ?? '')
    return watchedBody(answer, {
      onChunk: (chunk) => reader.read(chunk),
      onEnd: (end) => {
        span.set(reader.attributes())
        span.end(end.kind === 'broken' ? (end.error ?? '_OTHER') : undefined)
      },
    })
  }

  /** The call failed. */
  failed(error: unknown): void {
    this.#answered?.end(error)
  }
}

function describe(seen: PoolRequest, node: DecoderNode) {
  const url = new URL(seen.url)
  const [previous = '', last = ''] = url.pathname.replace(/\/$/, '').split('/').slice(-2)
  const operation = operations[`${previous}/${last}`] ?? operations[last]
  const endpoint = new URL(node.endpoint)
  const server = {
    'http.request.method': seen.method,
    'server.address': endpoint.hostname,
    'server.port': Number(endpoint.port) || (endpoint.protocol === 'https:' ? 443 : 80),
    'evenkeel.decoder_pool.node': node.id,
  }
  if (operation === undefined) return { name: seen.method, attributes: server }
  const asked = (seen.json ?? {}) as Record<string, unknown>
  const model = typeof asked.model === 'string' ? asked.model : undefined
  const maxTokens = asked.max_completion_tokens ?? asked.max_tokens ?? asked.max_output_tokens
  return {
    name: model === undefined ? operation : `${operation} ${model}`,
    attributes: {
      ...server,
      'gen_ai.operation.name': operation,
      // The nodes speak OpenAI's API; whose model it is, they do not say.
      'gen_ai.provider.name': 'openai',
      ...(model !== undefined && { 'gen_ai.request.model': model }),
      ...numeric('gen_ai.request.max_tokens', maxTokens),
      ...numeric('gen_ai.request.temperature', asked.temperature),
      ...numeric('gen_ai.request.top_p', asked.top_p),
    },
  }
}

function numeric(name: string, value: unknown): Record<string, number> {
  return typeof value === 'number' ? { [name]: value } : {}
}

/** Reads an answer's id, model and usage while it passes. */
class UsageReader {
  readonly #isStream: boolean
  readonly #decoder = new TextDecoder()
  readonly #finished = new Set<string>()
  #text = ''
  #isTooLong = false
  #found: Record<string, string | number> = {}

  constructor(contentType: string) {
    this.#isStream = /^text\/event-stream\b/i.test(contentType)
  }

  read(chunk: Uint8Array): void {
    if (this.#isTooLong) return
    this.#text += this.#decoder.decode(chunk, { stream: true })
    if (this.#isStream) {
      const lines = this.#text.split('\n')
      this.#text = lines.pop() ?? ''
      for (const line of lines) if (line.startsWith('data:')) this.#take(line.slice('data:'.length))
    }
    this.#isTooLong = this.#text.length > maxReadBytes
    if (this.#isTooLong) this.#text = ''
  }

  attributes(): Record<string, string | number | string[]> {
    if (!this.#isStream && this.#text !== '') this.#take(this.#text)
    const reasons = [...this.#finished]
    return { ...this.#found, ...(reasons.length > 0 && { 'gen_ai.response.finish_reasons': reasons }) }
  }

  #take(json: string): void {
    let parsed: unknown
    try {
      parsed = JSON.parse(json)
    } catch {
      return
    }
    if (typeof parsed !== 'object' || parsed === null) return
    // An event of the Responses API holds the response, and one of the Messages API the message.
    const { response, message } = parsed as { readonly response?: unknown; readonly message?: unknown }
    for (const part of [response, message, parsed])
      if (typeof part === 'object' && part !== null) this.#note(part)
  }

  #note(part: object): void {
    const { id, model, usage, choices } = part as Record<string, unknown>
    if (typeof id === 'string') this.#found['gen_ai.response.id'] = id
    if (typeof model === 'string') this.#found['gen_ai.response.model'] = model
    const { prompt_tokens, completion_tokens, input_tokens, output_tokens } = (usage ?? {}) as Record<
      string,
      unknown
    >
    Object.assign(this.#found, numeric('gen_ai.usage.input_tokens', prompt_tokens ?? input_tokens))
    Object.assign(this.#found, numeric('gen_ai.usage.output_tokens', completion_tokens ?? output_tokens))
    if (!Array.isArray(choices)) return
    for (const choice of choices as readonly ({ readonly finish_reason?: unknown } | null)[])
      if (typeof choice?.finish_reason === 'string') this.#finished.add(choice.finish_reason)
  }
}
