import { isRecord, type Json } from '../json.js'
import { parseObject } from '../key/parse.js'
import type { Answers } from '../key/rules.js'
import { maxUsage, noUsage, type Usage, usageOf } from '../usage/tokens.js'
import { readEvent, splitEvents } from './events.js'

/** Maximum characters of an event: those of providers have a few hundred. */
const maxEventLength = 4 << 20

/** Maximum bytes that wait to be read: some hundred events. */
const maxPending = 16_384

/** Finish reasons of answers that ended by themselves, in lower case. */
const properReasons = new Set([
  ...[
    'stop',
    'tool_calls',
    'function_call',
    'end_turn',
    'stop_sequence',
    'tool_use',
    'eos',
    'eos_token',
    'complete',
  ],
])

export function isProperReason(reason: unknown): boolean {
  return typeof reason === 'string' && properReasons.has(reason.toLowerCase())
}

/**
 * Whether a buffered answer is complete: it says so in the way of its protocol, and nothing in it is an error, cut off
 * by a limit or a filter, or empty. The status does not tell: failures come with 200 too.
 */
export function isWholeAnswer(answer: Json | undefined, answers: Answers): boolean {
  if (answer === undefined || isSet(answer.error) || answer.type === 'error') return false
  switch (answers) {
    case 'chat':
      return isWholeList(answer.choices, isWholeChoice)
    case 'completions':
      return isWholeList(
        answer.choices,
        (choice) => isProperReason(choice.finish_reason) && isText(choice.text),
      )
    case 'responses':
      return answer.status === 'completed' && !isSet(answer.incomplete_details) && isFilled(answer.output)
    case 'messages':
      return answer.type === 'message' && isProperReason(answer.stop_reason) && isFilled(answer.content)
    case 'embeddings':
      return isWholeList(answer.data ?? answer.embeddings, hasVector) || isWholeVectors(answer.embeddings)
    case 'moderations':
      return isFilled(answer.results)
    case 'ranking':
      return isFilled(answer.results ?? answer.data)
    case 'images':
      return isWholeList(answer.data, ({ url, b64_json }) => isText(url) || isText(b64_json))
    case 'gemini':
      return !isBlocked(answer) && isWholeList(answer.candidates, isWholeCandidate)
    case 'ollama':
      return isWholeOllama(answer)
    case 'ollama-embeddings':
      return isWholeVectors(answer.embeddings) || isVector(answer.embedding)
  }
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null && value !== false && value !== ''
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}

function isFilled(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0
}

function isWholeList(list: unknown, isWhole: (item: Json) => boolean): boolean {
  return Array.isArray(list) && list.length > 0 && list.every((item) => isRecord(item) && isWhole(item))
}

function isWholeChoice({ finish_reason, message, error }: Json): boolean {
  return isProperReason(finish_reason) && !isSet(error) && isRecord(message) && saysSomething(message)
}

/** An empty answer is a known failure of models; it is never served from the cache. */
function saysSomething(message: Json): boolean {
  const { content, tool_calls, function_call, refusal, audio, images } = message
  return (
    isText(content) ||
    [content, tool_calls, images].some(isFilled) ||
    isRecord(function_call) ||
    isRecord(audio) ||
    isText(refusal)
  )
}

function isBlocked({ promptFeedback }: Json): boolean {
  return isRecord(promptFeedback) && isSet(promptFeedback.blockReason)
}

function isWholeCandidate({ finishReason, content }: Json): boolean {
  return isProperReason(finishReason) && isRecord(content) && isFilled(content.parts)
}

/** An answer without `done` may be only the beginning of a stream. */
function isWholeOllama({ done, done_reason, message, response }: Json): boolean {
  if (done !== true || !(done_reason === undefined || isProperReason(done_reason))) return false
  return isRecord(message) ? saysSomething(message) : isText(response)
}

function hasVector({ embedding }: Json): boolean {
  return isVector(embedding)
}

function isWholeVectors(vectors: unknown): boolean {
  return Array.isArray(vectors) && vectors.length > 0 && vectors.every(isVector)
}

/** Numbers, not all of them 0; or bytes in base64, not all of them `A`, which stands for 0. */
export function isVector(vector: unknown): boolean {
  if (typeof vector === 'string') return /[^A=]/.test(vector)
  return Array.isArray(vector) && vector.length > 0 && vector.every(Number.isFinite) && vector.some(Boolean)
}

/** Reads a stream as it passes, and judges at its end whether it was complete. */
export interface AnswerJudge {
  push(chunk: Uint8Array): void
  /** Call it at the end of the stream; half a character or half a piece at the end is damage. */
  end(): void
  /** What the stream itself reported. */
  readonly usage: Usage
  /** Whether the stream has an error, or can't be read, so that no other caller should get it. */
  readonly spoilt: boolean
  /** Whether the stream was a complete, proper answer. */
  readonly whole: boolean
}

/** For streams with a line of JSON for each piece (Ollama), of which the last one says so, and why it ended. */
export class LineJudge implements AnswerJudge {
  readonly #decoder = new TextDecoder('utf-8', { fatal: true })
  #rest = ''
  #spoilt = false
  #filled = false
  #last: Json = {}

  push(chunk: Uint8Array): void {
    if (this.#spoilt) return
    try {
      this.#rest += this.#decoder.decode(chunk, { stream: true })
    } catch {
      this.#spoilt = true
      return
    }
    const lines = this.#rest.split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) this.#line(line)
    if (this.#rest.length > maxEventLength) this.#spoilt = true
  }

  end(): void {
    try {
      this.#rest += this.#decoder.decode()
    } catch {
      this.#spoilt = true
    }
    this.#line(this.#rest)
    this.#rest = ''
  }

  get usage(): Usage {
    return usageOf(this.#last)
  }

  get spoilt(): boolean {
    return this.#spoilt
  }

  get whole(): boolean {
    const { done, done_reason } = this.#last
    const isProper = done_reason === undefined || isProperReason(done_reason)
    return done === true && isProper && this.#filled && !this.#spoilt
  }

  #line(line: string): void {
    if (line.trim() === '') return
    const piece = parseObject(line)
    // Nothing comes after the last one.
    if (piece === undefined || isSet(piece.error) || this.#last.done === true) {
      this.#spoilt = true
      return
    }
    this.#last = piece
    if (isText(piece.response) || (isRecord(piece.message) && saysSomething(piece.message)))
      this.#filled = true
  }
}

/**
 * Reads a stream of server-sent events as it passes, and judges at its end whether it was complete: it ended in the
 * way of its protocol (OpenAI's `[DONE]` after a proper finish of every choice, Anthropic's `message_stop`,
 * `response.completed`, Gemini's last piece), without an error and with nothing cut off. Bytes may be split anywhere,
 * within a character too, and lines may end in LF, CR or CRLF.
 */
export class StreamJudge implements AnswerJudge {
  readonly #decoder = new TextDecoder('utf-8', { fatal: true })
  #rest = ''
  /** Chunks that were not read yet. */
  #pending: Uint8Array[] = []
  #pendingLength = 0
  #ended = false
  #spoilt = false
  /** A finish reason said that the answer ended by itself. */
  #proper = false
  /** The answer is not empty. */
  #filled = false
  readonly #open = new Set<number>()
  readonly #finished = new Set<number>()
  #usage = noUsage
  /** Gemini's protocol has no event for the end: a proper reason for every candidate is the end. */
  #isGemini = false

  /** Gathers chunks until some have come, or the judgement is needed: reading each one by itself is much slower. */
  push(chunk: Uint8Array): void {
    if (this.#spoilt) return
    this.#pending.push(chunk)
    this.#pendingLength += chunk.byteLength
    if (this.#pendingLength >= maxPending) this.#read()
  }

  #read(): void {
    if (this.#pending.length === 0) return
    const chunk = Buffer.concat(this.#pending)
    this.#pending = []
    this.#pendingLength = 0
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

  /** The stream has ended; half a character or half an event at its end is damage. */
  end(): void {
    this.#read()
    try {
      this.#decoder.decode()
    } catch {
      this.#spoilt = true
    }
    // Some servers write no blank line after their last word.
    if (this.#rest.trim() === 'data: [DONE]' || this.#rest.trim() === 'data:[DONE]') {
      this.#event(this.#rest.trim())
      this.#rest = ''
    }
  }

  /** What the stream itself reported. */
  get usage(): Usage {
    this.#read()
    return this.#usage
  }

  /** Whether the stream has an error, or can't be read, so that no other caller should get it. */
  get spoilt(): boolean {
    this.#read()
    return this.#spoilt
  }

  /** Whether the stream was a complete, proper answer. */
  get whole(): boolean {
    this.#read()
    const isOver = (this.#ended || this.#isGemini) && this.#open.size === 0 && this.#rest.trim() === ''
    return isOver && this.#proper && this.#filled && !this.#spoilt
  }

  #event(block: string): void {
    const event = readEvent(block)
    if (event === undefined || event.data === '') return
    if (event.event === 'error') {
      this.#spoilt = true
      return
    }
    // Some servers send `[DONE]` after protocols that have an end of their own, and pings at any time.
    if (event.data === '[DONE]') this.#ended = true
    else this.#message(event.data)
  }

  #message(data: string): void {
    const message = parseObject(data)
    if (message === undefined || isSet(message.error) || message.type === 'error' || isBlocked(message)) {
      this.#spoilt = true
      return
    }
    if (message.type === 'ping') return
    if (this.#ended) {
      // Only bookkeeping may follow: usage, or a filter's late result.
      if (this.#saysMore(message)) this.#spoilt = true
      return
    }
    this.#usage = maxUsage(this.#usage, usageOf(message))
    if (message.candidates !== undefined || message.usageMetadata !== undefined) return this.#gemini(message)
    this.#choices(message.choices)
    this.#typed(message)
  }

  #saysMore(message: Json): boolean {
    return typeof message.type === 'string' || (Array.isArray(message.choices) && message.choices.length > 0)
  }

  #typed(message: Json): void {
    switch (message.type) {
      case 'content_block_start':
        this.#filled = true
        break
      case 'message_stop':
        this.#ended = true
        break
      case 'response.completed':
        this.#ended = true
        this.#proper = isRecord(message.response) && message.response.status === 'completed'
        this.#filled = true
        break
      case 'message_delta':
        this.#reason(isRecord(message.delta) ? message.delta.stop_reason : undefined)
        break
      case 'response.failed':
      case 'response.incomplete':
      case 'response.cancelled':
        this.#spoilt = true
    }
  }

  #choices(choices: unknown): void {
    if (!Array.isArray(choices)) return
    for (const choice of choices) {
      if (!isRecord(choice)) continue
      const index = Number(choice.index ?? 0)
      const isFilled = isText(choice.text) || (isRecord(choice.delta) && saysSomething(choice.delta))
      if (isFilled) this.#filled = true
      if (isSet(choice.finish_reason)) {
        this.#reason(choice.finish_reason)
        this.#open.delete(index)
        this.#finished.add(index)
      } else if (isFilled || !this.#finished.has(index)) this.#open.add(index)
    }
  }

  /** Every piece has the form of an answer; the last one says why it ended. */
  #gemini({ candidates }: Json): void {
    for (const candidate of Array.isArray(candidates) ? candidates : []) {
      if (!isRecord(candidate)) continue
      const index = Number(candidate.index ?? 0)
      if (isRecord(candidate.content) && isFilled(candidate.content.parts)) this.#filled = true
      if (isSet(candidate.finishReason)) {
        this.#reason(candidate.finishReason)
        this.#open.delete(index)
      } else this.#open.add(index)
    }
    this.#isGemini = true
  }

  /** An answer cut off by a limit or a filter is for its own caller only. */
  #reason(reason: unknown): void {
    if (!isSet(reason)) return
    if (isProperReason(reason)) this.#proper = true
    else this.#spoilt = true
  }
}
