import { isRecord, type Json } from '../../json.js'
import type { SseEvent } from '../events.js'
import { pieces, recordsOf } from './json.js'

/** The pieces of a streamed chat completion, put together as the completion that they stand for. */
export function completionOf(events: readonly SseEvent[]): Json | undefined {
  const chunks = events.filter(({ data }) => data !== '[DONE]').map(({ data }) => JSON.parse(data) as Json)
  const [first] = chunks
  if (first === undefined) return undefined
  const choices = new Map<number, Json>()
  const whole: Json = {}
  for (const chunk of chunks) {
    for (const [name, value] of Object.entries(chunk)) {
      if (name !== 'choices' && value !== null && value !== undefined) whole[name] ??= value
    }
    for (const piece of recordsOf(chunk.choices)) mergeChoice(choices, piece)
  }
  const sorted = [...choices.values()].sort((one, other) => Number(one.index) - Number(other.index))
  return { ...whole, object: 'chat.completion', choices: sorted }
}

function mergeChoice(choices: Map<number, Json>, { index, delta, ...rest }: Json): void {
  const number = Number(index ?? 0)
  const choice = choices.get(number) ?? {
    index: number,
    message: { role: 'assistant', content: null, refusal: null },
    logprobs: null,
    finish_reason: null,
  }
  choices.set(number, choice)
  for (const [name, value] of Object.entries(rest)) {
    if (value === null || value === undefined) continue
    if (name === 'logprobs' && isRecord(choice.logprobs)) mergeLists(choice.logprobs, value as Json)
    else choice[name] = value
  }
  if (isRecord(delta)) mergeDelta(choice.message as Json, delta)
}

/** Texts grow, lists of tool calls grow by their index, and everything else is what was said last. */
function mergeDelta(message: Json, delta: Json): void {
  for (const [name, value] of Object.entries(delta)) {
    if (value === null || value === undefined) continue
    const known = message[name]
    if (name === 'tool_calls') message[name] = mergeCalls(recordsOf(known), recordsOf(value))
    else if (isRecord(value)) {
      const member = isRecord(known) ? known : {}
      mergeDelta(member, value)
      message[name] = member
    } else message[name] = grows(name, known, value) ? String(known) + value : value
  }
}

function grows(name: string, known: unknown, value: unknown): boolean {
  return typeof known === 'string' && typeof value === 'string' && !['role', 'id', 'type'].includes(name)
}

function mergeCalls(known: readonly Json[], pieces: readonly Json[]): Json[] {
  const calls = [...known]
  for (const { index, ...piece } of pieces) {
    const at = Number(index ?? 0)
    const call = calls[at] ?? {}
    mergeDelta(call, piece)
    calls[at] = call
  }
  return calls
}

function mergeLists(known: Json, more: Json): void {
  for (const [name, value] of Object.entries(more)) {
    known[name] = Array.isArray(known[name]) && Array.isArray(value) ? [...known[name], ...value] : value
  }
}

/** A completion as the stream that it could have been. */
export function chunksOf(completion: Json, withUsage: boolean): SseEvent[] {
  const { choices, usage, object: _, ...head } = completion
  const events: SseEvent[] = []
  const send = (own: readonly Json[], told: unknown = null) => {
    const chunk = {
      ...head,
      object: 'chat.completion.chunk',
      choices: own,
      ...(withUsage ? { usage: told } : {}),
    }
    events.push({ event: undefined, data: JSON.stringify(chunk) })
  }
  for (const { index, message, finish_reason, logprobs } of recordsOf(choices)) {
    const { role, content, tool_calls, ...others } = isRecord(message) ? message : ({} as Json)
    const delta = (members: Json, more: Json = {}) =>
      send([{ index, delta: members, logprobs: null, finish_reason: null, ...more }])
    delta({ role: role ?? 'assistant', content: typeof content === 'string' ? '' : null })
    for (const [name, value] of Object.entries(others)) {
      if (value !== null && value !== undefined) delta({ [name]: value })
    }
    if (typeof content === 'string') for (const text of pieces(content)) delta({ content: text })
    for (const [at, call] of recordsOf(tool_calls).entries()) {
      const named = isRecord(call.function) ? call.function : {}
      delta({ tool_calls: [{ ...call, index: at, function: { ...named, arguments: '' } }] })
      for (const text of pieces(String(named.arguments ?? ''))) {
        delta({ tool_calls: [{ index: at, function: { arguments: text } }] })
      }
    }
    delta({}, { finish_reason, logprobs: logprobs ?? null })
  }
  if (withUsage) send([], usage ?? null)
  return [...events, { event: undefined, data: '[DONE]' }]
}
