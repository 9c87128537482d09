import { isRecord, type Json } from '../../json.js'
import type { SseEvent } from '../events.js'
import { pieces, recordsOf } from './json.js'

/** A Responses stream ends with the whole response, in which some servers leave out the items that they have sent. */
export function responseOf(events: readonly SseEvent[]): Json | undefined {
  const items = new Map<number, unknown>()
  for (const { data } of events) {
    if (data === '[DONE]') continue
    const event = JSON.parse(data) as Json
    if (event.type === 'response.output_item.done') items.set(Number(event.output_index), event.item)
    if (event.type !== 'response.completed' || !isRecord(event.response)) continue
    if (recordsOf(event.response.output).length > 0) return event.response
    const output = [...items].sort(([one], [other]) => one - other).map(([, item]) => item)
    return output.length === 0 ? undefined : { ...event.response, output }
  }
  return undefined
}

type Send = (type: string, members: Json) => void

/** Converts a response into a stream; `undefined` if it has an item of an unknown kind. */
export function eventsOf(response: Json): SseEvent[] | undefined {
  const events: SseEvent[] = []
  const send: Send = (type, members) => {
    events.push({ event: type, data: JSON.stringify({ type, sequence_number: events.length, ...members }) })
  }
  const begun = { ...response, status: 'in_progress', output: [], usage: null }
  send('response.created', { response: begun })
  send('response.in_progress', { response: begun })
  for (const [output_index, item] of recordsOf(response.output).entries()) {
    const empty = emptied(item)
    if (empty === undefined) return undefined
    send('response.output_item.added', { output_index, item: { ...item, ...empty } })
    if (!sendItem(send, { output_index, item_id: item.id }, item)) return undefined
    send('response.output_item.done', { output_index, item })
  }
  send('response.completed', { response })
  return events
}

function emptied({ type }: Json): Json | undefined {
  switch (type) {
    case 'message':
      return { status: 'in_progress', content: [] }
    case 'function_call':
      return { status: 'in_progress', arguments: '' }
    case 'custom_tool_call':
      return { status: 'in_progress', input: '' }
    case 'reasoning':
      return { summary: [] }
    default:
      return undefined
  }
}

/** Returns whether the whole item could be sent. */
function sendItem(send: Send, place: Json, item: Json): boolean {
  switch (item.type) {
    case 'message':
      return recordsOf(item.content).every((part, content_index) =>
        sendPart(send, { ...place, content_index }, part),
      )
    case 'reasoning':
      for (const [summary_index, part] of recordsOf(item.summary).entries()) {
        sendSummary(send, { ...place, summary_index }, part)
      }
      for (const [content_index, { text }] of recordsOf(item.content).entries()) {
        const at = { ...place, content_index }
        for (const delta of pieces(String(text ?? '')))
          send('response.reasoning_text.delta', { ...at, delta })
        send('response.reasoning_text.done', { ...at, text })
      }
      return true
    case 'function_call':
      for (const delta of pieces(String(item.arguments ?? ''))) {
        send('response.function_call_arguments.delta', { ...place, delta })
      }
      send('response.function_call_arguments.done', { ...place, name: item.name, arguments: item.arguments })
      return true
    default:
      for (const delta of pieces(String(item.input ?? ''))) {
        send('response.custom_tool_call_input.delta', { ...place, delta })
      }
      send('response.custom_tool_call_input.done', { ...place, input: item.input })
      return true
  }
}

function sendSummary(send: Send, place: Json, part: Json): void {
  const text = String(part.text ?? '')
  send('response.reasoning_summary_part.added', { ...place, part: { ...part, text: '' } })
  for (const delta of pieces(text)) send('response.reasoning_summary_text.delta', { ...place, delta })
  send('response.reasoning_summary_text.done', { ...place, text })
  send('response.reasoning_summary_part.done', { ...place, part })
}

function sendPart(send: Send, place: Json, part: Json): boolean {
  if (part.type === 'refusal') {
    const refusal = String(part.refusal ?? '')
    send('response.content_part.added', { ...place, part: { ...part, refusal: '' } })
    for (const delta of pieces(refusal)) send('response.refusal.delta', { ...place, delta })
    send('response.refusal.done', { ...place, refusal })
    send('response.content_part.done', { ...place, part })
    return true
  }
  if (part.type !== 'output_text') return false
  const text = String(part.text ?? '')
  const logprobs = recordsOf(part.logprobs)
  const isByToken = logprobs.length > 0
  // Probabilities are sent with their tokens, so the tokens must make up the text.
  if (isByToken && logprobs.map(({ token }) => String(token)).join('') !== text) return false
  const empty = { ...part, text: '', annotations: [], ...(isByToken ? { logprobs: [] } : {}) }
  send('response.content_part.added', { ...place, part: empty })
  if (isByToken) {
    for (const own of logprobs)
      send('response.output_text.delta', { ...place, delta: own.token, logprobs: [own] })
  } else
    for (const delta of pieces(text)) send('response.output_text.delta', { ...place, delta, logprobs: [] })
  for (const [annotation_index, annotation] of recordsOf(part.annotations).entries()) {
    send('response.output_text.annotation.added', { ...place, annotation_index, annotation })
  }
  send('response.output_text.done', { ...place, text, logprobs })
  send('response.content_part.done', { ...place, part })
  return true
}
