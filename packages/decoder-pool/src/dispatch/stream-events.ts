import { type Judged, judgeError } from './outcome.js'

/** A longer line is ignored. */
const maxLine = 64 << 10
const newline = 10
/** Begins a comment, by which a stream is kept alive. */
const colon = 58
/** An event that only keeps the connection alive is not longer than this; most pieces of an answer are. */
const maxKeepAlive = 96

const streamTypes =
  /^(?:text\/event-stream|application\/(?:x-ndjson|ndjson|jsonl|x-jsonlines|stream\+json))\b/i

/** Whether an answer streams its tokens one by one. */
export function isEventStream(contentType: string | null): boolean {
  return contentType !== null && streamTypes.test(contentType.trim())
}

/**
 * Finds errors that a stream of events reports, because a 200 had been sent when the engine failed. For that, only
 * events that contain the word `error` are parsed, and only their outermost members are read.
 */
export class StreamEvents {
  /** Pieces of an answer, without the comments and events that only keep the connection alive. */
  count = 0
  failure: Judged | undefined
  readonly #decoder = new TextDecoder()
  /** A line whose end has not arrived. */
  #rest = ''
  /** The event's name, until its data has come. */
  #event = ''

  see(chunk: Uint8Array, nowMs: number): void {
    const isWhole = this.#rest === '' && this.#event === '' && chunk.at(-1) === newline
    const isPlain = isWhole && chunk[0] !== colon && chunk.byteLength > maxKeepAlive
    // Most chunks are whole lines without an error; after the first counted piece they need not be parsed.
    if (isPlain && this.count > 0 && !bytesOf(chunk).includes('error')) {
      this.count++
      return
    }
    const text = this.#rest + this.#decoder.decode(chunk, { stream: true })
    const end = text.lastIndexOf('\n')
    this.#rest = text.slice(end + 1)
    if (this.#rest.length > maxLine) this.#rest = ''
    if (end >= 0) this.#lines(text.slice(0, end), nowMs)
  }

  /** What came after the last line. */
  end(nowMs: number): void {
    if (this.#rest !== '') this.#lines(this.#rest, nowMs)
    this.#rest = ''
  }

  #lines(text: string, nowMs: number): void {
    for (const raw of text.split('\n')) {
      const line = raw.trim()
      if (line.startsWith('event:')) this.#event = line.slice('event:'.length).trim()
      // JSON lines have no field name before them.
      const data = /^(?:data:\s*|error:\s*|(?=[{["]))(?=\S)/.exec(line)
      if (data === null) continue
      const said = line.slice(data[0].length)
      const failure = failureIn(said, this.#event === 'error' || line.startsWith('error:'))
      if (failure !== undefined) this.failure ??= judgeFailure(failure, nowMs)
      else if (!isKeepAlive(this.#event, said) && (this.count > 0 || isPiece(said))) this.count++
      this.#event = ''
    }
  }
}

const keepAlives = new Set(['ping', 'heartbeat', 'keepalive', 'keep-alive', 'keep_alive'])

/** Whether an event only shows that the server is alive; the engine behind it may hang. */
function isKeepAlive(event: string, said: string): boolean {
  if (keepAlives.has(event) || said === '{}' || said === 'null') return true
  const type = said.length > maxKeepAlive ? undefined : /"(?:type|event)"\s*:\s*"([^"]*)"/.exec(said)?.[1]
  return type !== undefined && keepAlives.has(type)
}

function bytesOf(chunk: Uint8Array): Buffer {
  return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
}

/** Events by which a provider says that it begins, before it has a token. */
const beginnings = new Set([
  'message_start',
  'content_block_start',
  'response.created',
  'response.queued',
  'response.in_progress',
])

/** Whether an event contains a piece of the answer, unlike `[DONE]` or only a role. */
function isPiece(json: string): boolean {
  if (json.startsWith('[DONE]')) return false
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    return true
  }
  if (typeof value !== 'object' || value === null) return true
  const { type, choices } = value as Record<string, unknown>
  if (typeof type === 'string' && beginnings.has(type)) return false
  if (!Array.isArray(choices)) return true
  return choices.some((choice: unknown) => {
    if (typeof choice !== 'object' || choice === null) return true
    const { delta, finish_reason: reason } = choice as Record<string, unknown>
    if (typeof delta !== 'object' || delta === null || (reason !== null && reason !== undefined)) return true
    return Object.entries(delta).some(([name, said]) => name !== 'role' && said !== '' && said !== null)
  })
}

/**
 * vLLM, SGLang, llama.cpp: `{ error: { … } }`; TGI, Ollama: `{ error: 'text' }`; older vLLM: `{ object: 'error' }`;
 * Anthropic: `{ type: 'error' }`.
 */
function failureIn(json: string, isError: boolean): Record<string, unknown> | undefined {
  if (!isError && !json.includes('error')) return undefined
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    return isError ? { message: json } : undefined
  }
  if (typeof value !== 'object' || value === null) return isError ? { message: json } : undefined
  const { error, object, type } = value as Record<string, unknown>
  if (typeof error === 'object' && error !== null) return { ...error }
  const says = typeof error === 'string' && error !== ''
  return says || object === 'error' || type === 'error' || isError ? { ...value } : undefined
}

const overloaded = /overloaded|rate_limit|too_many_requests/i
const callersTypes = /invalid_request|bad_?request|validation|not_found|authentication|permission/i

/** By the status that it names as a code, else by its type. */
function judgeFailure(failure: Record<string, unknown>, nowMs: number): Judged {
  const { code, status, type, error_type: errorType } = failure
  const named = [code, status].map(Number).find((one) => Number.isInteger(one) && one >= 400 && one < 600)
  if (named !== undefined) return judgeError({ status: named }, nowMs)
  const kind = `${type ?? ''} ${errorType ?? ''}`
  if (overloaded.test(kind)) return judgeError({ status: 429 }, nowMs)
  return { kind: callersTypes.test(kind) ? 'blameless' : 'fault' }
}
