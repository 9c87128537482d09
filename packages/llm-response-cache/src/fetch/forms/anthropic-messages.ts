import { isRecord, type Json } from '../../json.js'
import type { SseEvent } from '../events.js'
import { pieces, recordsOf } from './json.js'

/** Joins the events of a streamed message into the message; `undefined` for unknown kinds of events. */
export function messageOf(events: readonly SseEvent[]): Json | undefined {
  let message: Json | undefined
  const blocks: Json[] = []
  const inputs = new Map<number, string>()
  for (const { data } of events) {
    const event = JSON.parse(data) as Json
    const index = Number(event.index ?? 0)
    switch (event.type) {
      case 'message_start':
        message = { ...(event.message as Json) }
        break
      case 'content_block_start':
        blocks[index] = { ...(event.content_block as Json) }
        break
      case 'content_block_delta':
        if (!isRecord(event.delta) || !addTo(blocks[index] ?? {}, index, event.delta, inputs))
          return undefined
        break
      case 'message_delta':
        if (message === undefined) return undefined
        message = withEnd(message, event)
        break
      case 'content_block_stop':
      case 'message_stop':
      case 'ping':
        break
      default:
        return undefined
    }
  }
  for (const [index, json] of inputs) {
    const block = blocks[index]
    if (block !== undefined) block.input = json === '' ? {} : JSON.parse(json)
  }
  return message && { ...message, content: blocks }
}

/** The event at the end has the stop reason, the usage, and members that a server adds to a message. */
function withEnd(message: Json, { type: _, delta, usage, ...more }: Json): Json {
  const told = isRecord(usage) ? { usage: { ...(message.usage as Json), ...usage } } : {}
  return { ...message, ...(delta as Json), ...more, ...told }
}

/** Returns whether the kind of the delta is known. */
function addTo(block: Json, index: number, delta: Json, inputs: Map<number, string>): boolean {
  switch (delta.type) {
    case 'text_delta':
      block.text = String(block.text ?? '') + String(delta.text)
      break
    case 'thinking_delta':
      block.thinking = String(block.thinking ?? '') + String(delta.thinking)
      break
    case 'signature_delta':
      block.signature = String(block.signature ?? '') + String(delta.signature)
      break
    case 'input_json_delta':
      inputs.set(index, (inputs.get(index) ?? '') + String(delta.partial_json))
      break
    case 'citations_delta':
      block.citations = [...(Array.isArray(block.citations) ? block.citations : []), delta.citation]
      break
    default:
      return false
  }
  return true
}

/** Converts a message into a stream; `undefined` if it has a block of an unknown kind. */
export function eventsOf(message: Json): SseEvent[] | undefined {
  const { content, stop_reason, stop_sequence, usage, ...head } = message
  const told = isRecord(usage) ? usage : {}
  const events: SseEvent[] = []
  const send = (type: string, members: Json) =>
    events.push({ event: type, data: JSON.stringify({ type, ...members }) })
  send('message_start', {
    message: {
      ...head,
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: { ...told, output_tokens: 1 },
    },
  })
  for (const [index, block] of recordsOf(content).entries()) {
    const inPieces = blockInPieces(block)
    if (inPieces === undefined) return undefined
    const { start, deltas } = inPieces
    send('content_block_start', { index, content_block: start })
    for (const delta of deltas) send('content_block_delta', { index, delta })
    send('content_block_stop', { index })
  }
  send('message_delta', {
    delta: { stop_reason, stop_sequence },
    usage: { output_tokens: told.output_tokens ?? 0 },
  })
  send('message_stop', {})
  return events
}

/** `undefined` for a block of an unknown kind. */
function blockInPieces(block: Json): { readonly start: Json; readonly deltas: readonly Json[] } | undefined {
  switch (block.type) {
    case 'text': {
      const citations = Array.isArray(block.citations) ? block.citations : []
      return {
        start: { ...block, text: '', ...(citations.length > 0 ? { citations: [] } : {}) },
        deltas: [
          ...pieces(String(block.text ?? '')).map((text) => ({ type: 'text_delta', text })),
          ...citations.map((citation: unknown) => ({ type: 'citations_delta', citation })),
        ],
      }
    }
    case 'thinking':
      return {
        start: { ...block, thinking: '', signature: '' },
        deltas: [
          ...pieces(String(block.thinking ?? '')).map((thinking) => ({ type: 'thinking_delta', thinking })),
          { type: 'signature_delta', signature: block.signature ?? '' },
        ],
      }
    case 'tool_use':
    case 'server_tool_use':
      return {
        start: { ...block, input: {} },
        deltas: [{ type: 'input_json_delta', partial_json: JSON.stringify(block.input ?? {}) }],
      }
    case 'redacted_thinking':
      return { start: block, deltas: [] }
    default:
      return String(block.type).endsWith('_tool_result') ? { start: block, deltas: [] } : undefined
  }
}
