import { isRecord, type Json } from '../../json.js'
import type { SseEvent } from '../events.js'
import { pieces, recordsOf } from './json.js'

/** A Responses stream ends with the whole response. */
export function responseOf(events: readonly SseEvent[]): Json | undefined {
  for (const { data } of events) {
    if (data === '[DONE]') continue
    const event = JSON.parse(data) as Json
    if (event.type === 'response.completed' && isRecord(event.response)) return event.response
  }
  return undefined
}

/** A response as the stream that it could have been. */
export function eventsOf(response: Json): SseEvent[] {
  const events: SseEvent[] = []
  const send = (type: string, members: Json) =>
    events.push({ event: type, data: JSON.stringify({ type, sequence_number: events.length, ...members }) })
  const begun = { ...response, status: 'in_progress', output: [], usage: null }
  send('response.created', { response: begun })
  send('response.in_progress', { response: begun })
  for (const [output_index, item] of recordsOf(response.output).entries()) {
    const entryKey = { output_index, item_id: item.id }
    send('response.output_item.added', { output_index, item: { ...item, ...emptied(item) } })
    if (item.type === 'message') {
      for (const [content_index, part] of recordsOf(item.content).entries()) {
        sendPart(send, { ...entryKey, content_index }, part)
      }
    } else if (item.type === 'function_call') {
      for (const delta of pieces(String(item.arguments ?? ''))) {
        send('response.function_call_arguments.delta', { ...entryKey, delta })
      }
      send('response.function_call_arguments.done', {
        ...entryKey,
        name: item.name,
        arguments: item.arguments,
      })
    }
    send('response.output_item.done', { output_index, item })
  }
  send('response.completed', { response })
  return events
}

function emptied({ type }: Json): Json {
  if (type === 'message') return { status: 'in_progress', content: [] }
  return type === 'function_call' ? { status: 'in_progress', arguments: '' } : {}
}

function sendPart(send: (type: string, members: Json) => void, entryKey: Json, part: Json): void {
  const isRefusal = part.type === 'refusal'
  const text = String((isRefusal ? part.refusal : part.text) ?? '')
  const name = isRefusal ? 'refusal' : 'output_text'
  const own = isRefusal ? {} : { logprobs: [] }
  send('response.content_part.added', {
    ...entryKey,
    part: { ...part, [isRefusal ? 'refusal' : 'text']: '' },
  })
  for (const delta of pieces(text)) send(`response.${name}.delta`, { ...entryKey, delta, ...own })
  send(`response.${name}.done`, { ...entryKey, [isRefusal ? 'refusal' : 'text']: text, ...own })
  send('response.content_part.done', { ...entryKey, part })
}
