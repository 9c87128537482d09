import type { Json } from '../../json.js'
import { parseObject } from '../../key/parse.js'
import type { WantedForm } from '../../key/request-key.js'
import type { Wire } from '../../key/rules.js'
import { eventRanges, readEvents, type SseEvent, writeEvent } from '../events.js'
import * as anthropic from './anthropic-messages.js'
import * as chat from './openai-chat.js'
import * as responses from './openai-responses.js'

/** An answer's body, in one form or another. */
export interface Formed {
  readonly contentType: string
  readonly body: Buffer
}

interface Forms {
  toObject(events: readonly SseEvent[]): Json | undefined
  toEvents(answer: Json, withUsage: boolean): readonly SseEvent[] | undefined
}

/** The providers' protocols whose two forms, stream and object, can be converted into each other. */
const forms: Readonly<Record<Exclude<Wire, 'openai-completions'>, Forms>> = {
  'openai-chat': { toObject: chat.completionOf, toEvents: chat.chunksOf },
  'openai-responses': { toObject: responses.responseOf, toEvents: responses.eventsOf },
  'anthropic-messages': { toObject: anthropic.messageOf, toEvents: anthropic.eventsOf },
}

/** Whether a body is handed on as it comes: server-sent events, or a line of JSON for each piece (Ollama). */
export function isStream(contentType: string): boolean {
  return contentType.includes('text/event-stream') || isLines(contentType)
}

export function isLines(contentType: string): boolean {
  return /\/(?:x-)?(?:ndjson|jsonl|jsonlines)\b/.test(contentType)
}

/**
 * The answer in the wanted form, unchanged if it has that form already. `undefined` if it can't be converted: a
 * stream without usage can't become an answer that must have it.
 */
export function inForm({ contentType, body }: Formed, wanted: WantedForm): Formed | undefined {
  const isOne = isStream(contentType)
  const { wire } = wanted
  const as = { contentType, body }
  if (wire === undefined) return isOne === wanted.streamed ? as : undefined
  try {
    if (!isOne) return wanted.streamed ? asStream(wire, body, wanted.usage) : as
    if (wire !== 'openai-chat' && wire !== 'openai-completions')
      return wanted.streamed ? as : asObject(wire, body)
    const told = usageAt(body)
    if (!wanted.streamed) return told === undefined ? undefined : asObject(wire, body)
    if (told === undefined) return wanted.usage ? undefined : as
    const [first] = told
    if (wanted.usage || first === undefined) return as
    return { contentType, body: withoutParts(body, told) }
  } catch {
    // An answer that can't be read or converted is not served; the provider is called instead.
    return undefined
  }
}

/** The answer as an object; `undefined` if it can't be read. */
export function answerIn({ contentType, body }: Formed, wire: Wire | undefined): Json | undefined {
  try {
    if (!isStream(contentType)) return parseObject(body.toString())
    return wire && wire !== 'openai-completions'
      ? forms[wire].toObject(readEvents(body.toString()))
      : undefined
  } catch {
    return undefined
  }
}

function parsed(body: Buffer): Json {
  const answer = parseObject(body.toString())
  if (answer === undefined) throw new SyntaxError('The answer is no object')
  return answer
}

function asObject(wire: Wire, body: Buffer): Formed | undefined {
  if (wire === 'openai-completions') return undefined
  const answer = forms[wire].toObject(readEvents(body.toString()))
  return answer && { contentType: 'application/json', body: Buffer.from(JSON.stringify(answer)) }
}

function asStream(wire: Wire, body: Buffer, withUsage: boolean): Formed | undefined {
  if (wire === 'openai-completions') return undefined
  const events = forms[wire].toEvents(parsed(body), withUsage)
  return (
    events && {
      contentType: 'text/event-stream; charset=utf-8',
      body: Buffer.from(events.map(writeEvent).join('')),
    }
  )
}

interface BodyPart {
  readonly from: number
  readonly to: number
}

/**
 * The events with a stream's usage and nothing else, which a caller that did not ask for it must not get. The list is
 * empty if the usage is in a piece of the answer, as some servers send it unasked; `undefined` if there is no usage.
 */
function usageAt(body: Buffer): readonly BodyPart[] | undefined {
  const text = body.toString('latin1')
  const apart: BodyPart[] = []
  let isTold = false
  for (const { from, to } of eventRanges(text)) {
    const data = /^data: ?(.*)$/m.exec(text.slice(from, to))?.[1]
    const chunk = data?.includes('"usage"') ? parseObject(data) : undefined
    if (!chunk?.usage) continue
    isTold = true
    if (Array.isArray(chunk.choices) && chunk.choices.length === 0) {
      apart.push({ from, to })
    }
  }
  return isTold ? apart : undefined
}

function withoutParts(body: Buffer, parts: readonly BodyPart[]): Buffer {
  let at = 0
  const left: Buffer[] = []
  for (const { from, to } of parts) {
    left.push(body.subarray(at, from))
    at = to
  }
  return Buffer.concat([...left, body.subarray(at)])
}
