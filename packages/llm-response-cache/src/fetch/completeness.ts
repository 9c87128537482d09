import { parseObject } from '../key/request-key.js'
import { maxUsage, noUsage, type Usage, usageOf } from '../usage/tokens.js'
import { readEvent, splitEvents } from './events.js'

/** An event may not be larger: a provider's own are a few hundred bytes. */
const maxEventLength = 4 << 20

const properReasons = new Set([
  'stop',
  'tool_calls',
  'function_call',
  'end_turn',
  'stop_sequence',
  'tool_use',
])

/** Whether a buffered answer ended by itself, and was not cut off by a limit or a filter. */
export function isProperEnd(answer: Record<string, unknown>): boolean {
  const choices = Array.isArray(answer.choices) ? (answer.choices as { finish_reason?: unknown }[]) : []
  const candidates = Array.isArray(answer.candidates)
    ? (answer.candidates as { finishReason?: unknown }[])
    : []
  const reasons = [
    ...choices.map((choice) => choice?.finish_reason),
    ...candidates.map((candidate) => String(candidate?.finishReason).toLowerCase()),
    answer.stop_reason,
    answer.done_reason,
  ]
  // One that was asked for as a stream, and came in another form, may be only its beginning.
  if (answer.done === false) return false
  if (reasons.some((reason) => typeof reason === 'string' && !properReasons.has(reason))) return false
  return answer.status === undefined || answer.status === 'completed'
}

/**
 * Reads a stream of server-sent events as it passes, and says at its end whether it was whole: it ended as
 * its protocol ends (OpenAI's `[DONE]` after a proper finish of every choice, Anthropic's `message_stop`,
 * `response.completed`), with no error inside and nothing cut off. Works on bytes as they come: events may
 * be split anywhere, within a character too, and end in LF or CRLF.
 */
export class StreamJudge {
  readonly #decoder = new TextDecoder('utf-8', { fatal: true })
  #rest = ''
  #ended = false
  #spoilt = false
  /** Something said that the answer ended by itself. */
  #proper = false
  #open = new Set<number>()
  #usage = noUsage
  #toldUsage = false

  push(chunk: Uint8Array): void {
    if (this.#spoilt) return
    try {
      this.#rest += this.#decoder.decode(chunk, { stream: true })
    } catch {
      this.#spoilt = true
      return
    }
    const events = splitEvents(this.#rest)
    this.#rest = events.pop() ?? ''
    for (const event of events) this.#event(event)
    if (this.#rest.length > maxEventLength) this.#spoilt = true
  }

  /** The stream has ended; half a character at its end is damage. */
  end(): void {
    try {
      this.#decoder.decode()
    } catch {
      this.#spoilt = true
    }
  }

  /** What the stream itself told of. */
  get usage(): Usage {
    return this.#usage
  }

  /** Whether it told what it used, as streams of chat completions do only when asked to. */
  get toldUsage(): boolean {
    return this.#toldUsage
  }

  /** Whether it holds an error, or can't be read: nobody else should be given it. */
  get spoilt(): boolean {
    return this.#spoilt
  }

  /** Whether what was pushed is a whole, proper answer. */
  get whole(): boolean {
    return this.#ended && this.#proper && !this.#spoilt && this.#open.size === 0 && this.#rest.trim() === ''
  }

  #event(event: string): void {
    const data = readEvent(event)?.data
    if (data === undefined || data === '') return
    // Some servers send `[DONE]` after protocols that have an end of their own.
    if (data === '[DONE]') this.#ended = true
    else if (this.#ended) this.#spoilt = true
    else this.#message(data)
  }

  #message(data: string): void {
    const message = parseObject(data)
    if (message === undefined || message.error || message.type === 'error') {
      this.#spoilt = true
      return
    }
    this.#usage = maxUsage(this.#usage, usageOf(message))
    if (message.usage) this.#toldUsage = true
    this.#choices(message.choices)
    switch (message.type) {
      case 'message_stop':
        this.#ended = true
        break
      case 'response.completed':
        this.#ended = true
        this.#proper = true
        break
      case 'message_delta':
        this.#reason((message.delta as { stop_reason?: unknown } | undefined)?.stop_reason)
        break
      case 'response.failed':
      case 'response.incomplete':
      case 'response.cancelled':
        this.#spoilt = true
    }
  }

  #choices(choices: unknown): void {
    if (!Array.isArray(choices)) return
    for (const choice of choices as { index?: number; finish_reason?: unknown }[]) {
      const index = choice?.index ?? 0
      if (choice?.finish_reason) {
        this.#reason(choice.finish_reason)
        this.#open.delete(index)
      } else this.#open.add(index)
    }
  }

  /** Cut off by a limit or a filter: right for its caller, wrong to give to others. */
  #reason(reason: unknown): void {
    if (typeof reason !== 'string') return
    if (properReasons.has(reason)) this.#proper = true
    else this.#spoilt = true
  }
}
