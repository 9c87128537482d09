import type { Json } from '../../json.js'
import { parseObject, type WantedForm } from '../../key/request-key.js'
import type { Wire } from '../../key/rules.js'
import { readEvents, type SseEvent, writeEvent } from '../events.js'
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
  toEvents(answer: Json, withUsage: boolean): readonly SseEvent[]
}

/** The providers' protocols that have two forms which say the same. */
const forms: Record<Wire, Forms> = {
  'openai-chat': { toObject: chat.completionOf, toEvents: chat.chunksOf },
  'openai-responses': { toObject: responses.responseOf, toEvents: responses.eventsOf },
  'anthropic-messages': { toObject: anthropic.messageOf, toEvents: anthropic.eventsOf },
}

export function isStream(contentType: string): boolean {
  return contentType.includes('text/event-stream')
}

/**
 * The answer in the wanted form; as it is, byte for byte, where it has that. Nothing where it can't be had: a
 * stream that never told its usage can't become an answer that must.
 */
export function inForm({ contentType, body }: Formed, wanted: WantedForm): Formed | undefined {
  const isOne = isStream(contentType)
  const { wire } = wanted
  if (wire === undefined) return isOne === wanted.streamed ? { contentType, body } : undefined
  try {
    if (!isOne) {
      return wanted.streamed
        ? asStream(forms[wire].toEvents(parsed(body), wanted.usage))
        : { contentType, body }
    }
    if (wire !== 'openai-chat') return wanted.streamed ? { contentType, body } : asObject(wire, body)
    const told = usageAt(body)
    if (wanted.streamed && told === undefined) return wanted.usage ? undefined : { contentType, body }
    if (told === undefined) return undefined
    if (!wanted.streamed) return asObject(wire, body)
    return {
      contentType,
      body: wanted.usage ? body : Buffer.concat([body.subarray(0, told.from), body.subarray(told.to)]),
    }
  } catch {
    // What can't be read is not served; the provider is asked instead.
    return undefined
  }
}

/** What an answer says, for whoever reads answers; nothing where it can't be read. */
export function answerIn({ contentType, body }: Formed, wire: Wire | undefined): Json | undefined {
  try {
    if (!isStream(contentType)) return parseObject(body.toString())
    return wire && forms[wire].toObject(readEvents(body.toString()))
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
  const answer = forms[wire].toObject(readEvents(body.toString()))
  return answer && { contentType: 'application/json', body: Buffer.from(JSON.stringify(answer)) }
}

function asStream(events: readonly SseEvent[]): Formed {
  return {
    contentType: 'text/event-stream; charset=utf-8',
    body: Buffer.from(events.map(writeEvent).join('')),
  }
}

/** Where the event is that tells a chat stream's usage: the last before `[DONE]`, with no choices. */
function usageAt(body: Buffer): { readonly from: number; readonly to: number } | undefined {
  const text = body.toString('latin1')
  const events = /([^\r\n][\s\S]*?)(?:\r\n|\n|\r(?!\n)){2}/g
  for (let match = events.exec(text); match !== null; match = events.exec(text)) {
    const data = /^data: ?(.*)$/m.exec(match[0])?.[1]
    const chunk = data?.includes('"usage"') ? parseObject(data) : undefined
    if (chunk?.usage && Array.isArray(chunk.choices) && chunk.choices.length === 0) {
      return { from: match.index, to: match.index + match[0].length }
    }
  }
  return undefined
}
