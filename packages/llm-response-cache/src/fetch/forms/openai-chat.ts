import { isRecord, type Json } from '../../json.js'
import type { SseEvent } from '../events.js'
import { pieces, recordsOf } from './json.js'

/** The answer has a part that cannot be converted without loss: the provider is called instead. */
class UnknownPart extends Error {}

const headMembers = new Set([
  ...[
    'id',
    'object',
    'created',
    'model',
    'system_fingerprint',
    'service_tier',
    'usage',
    'choices',
    'provider',
  ],
  ...['x_groq', 'prompt_filter_results', 'prompt_annotations', 'obfuscation', 'metadata'],
])
const choiceMembers = new Set([
  ...[
    'index',
    'delta',
    'message',
    'finish_reason',
    'logprobs',
    'native_finish_reason',
    'content_filter_results',
  ],
  ...['content_filter_result', 'content_filter_offsets', 'stop_reason', 'matched_stop'],
])
const textMembers = ['content', 'refusal', 'reasoning_content', 'reasoning'] as const
const listMembers = ['annotations', 'images'] as const
const messageMembers = new Set<string>([
  ...['role', 'tool_calls', 'function_call', 'audio', 'reasoning_details', 'obfuscation'],
  ...textMembers,
  ...listMembers,
])
/** Members that belong to a piece of a stream alone, and are left out of an object. */
const ofThePiece = new Set(['object', 'choices', 'obfuscation', 'content_filter_offsets'])

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null
}

/** The members that are neither null nor undefined. @throws UnknownPart for an unknown one */
function known(value: Json, names: ReadonlySet<string>): [string, unknown][] {
  const given = Object.entries(value).filter(([, member]) => isGiven(member))
  const unknown = given.find(([name]) => !names.has(name))
  if (unknown !== undefined) throw new UnknownPart(unknown[0])
  return given
}

/** Joins the pieces of a streamed chat completion into the completion. @throws UnknownPart */
export function completionOf(events: readonly SseEvent[]): Json | undefined {
  const chunks = events.filter(({ data }) => data !== '[DONE]').map(({ data }) => JSON.parse(data) as Json)
  const choices = new Map<number, Json>()
  const whole: Json = {}
  for (const chunk of chunks) {
    for (const [name, value] of known(chunk, headMembers)) {
      if (ofThePiece.has(name)) continue
      // Later pieces may correct earlier ones: usage, or a model's name after an empty first piece.
      const isEmpty = value === '' || value === 0 || (Array.isArray(value) && value.length === 0)
      if (name === 'usage' || !isEmpty || whole[name] === undefined)
        whole[name] = merged(name, whole[name], value)
    }
    for (const piece of recordsOf(chunk.choices)) mergeChoice(choices, piece)
  }
  if (choices.size === 0) return undefined
  const sorted = [...choices.values()].sort((one, other) => Number(one.index) - Number(other.index))
  return { ...whole, object: 'chat.completion', choices: sorted }
}

/** Usage is replaced, Groq's object is merged, lists are joined; any other member keeps its first value. */
function merged(name: string, before: unknown, value: unknown): unknown {
  if (name === 'usage' || before === undefined || before === '' || before === 0) return value
  if (name === 'x_groq' && isRecord(before) && isRecord(value)) return { ...before, ...value }
  if (Array.isArray(before) && Array.isArray(value)) return [...before, ...value]
  return before
}

function mergeChoice(choices: Map<number, Json>, piece: Json): void {
  const number = Number(piece.index ?? 0)
  const choice = choices.get(number) ?? {
    index: number,
    message: { role: 'assistant', content: null, refusal: null },
    logprobs: null,
    finish_reason: null,
  }
  choices.set(number, choice)
  for (const [name, value] of known(piece, choiceMembers)) {
    if (name === 'delta' || name === 'index' || ofThePiece.has(name)) continue
    if (name === 'message') throw new UnknownPart(name)
    const before = choice[name]
    if (name === 'logprobs' && isRecord(before) && isRecord(value)) mergeLists(before, value)
    else if (isRecord(before) && isRecord(value)) choice[name] = { ...before, ...value }
    else if (value !== '') choice[name] = value
  }
  if (isRecord(piece.delta)) mergeDelta(choice.message as Json, piece.delta)
}

function mergeDelta(message: Json, delta: Json): void {
  for (const [name, value] of known(delta, messageMembers)) {
    switch (name) {
      case 'role':
        if (value !== '') message.role = value
        break
      case 'content':
      case 'refusal':
      case 'reasoning_content':
      case 'reasoning':
        message[name] = grown(message[name], value)
        break
      case 'tool_calls':
        message.tool_calls = mergeCalls(recordsOf(message.tool_calls), recordsOf(value))
        break
      case 'function_call':
        message.function_call = mergeFunction(
          isRecord(message.function_call) ? message.function_call : {},
          value,
        )
        break
      case 'annotations':
      case 'images':
        if (!Array.isArray(value)) throw new UnknownPart(name)
        message[name] = [...(Array.isArray(message[name]) ? message[name] : []), ...value]
        break
      case 'reasoning_details':
        message.reasoning_details = mergeDetails(recordsOf(message.reasoning_details), recordsOf(value))
        break
      case 'audio':
        message.audio = mergeAudio(isRecord(message.audio) ? message.audio : {}, value)
    }
  }
}

/** A text grows. A list of parts (Mistral's thinking) grows by parts, whose texts grow. */
function grown(before: unknown, value: unknown): unknown {
  if (typeof value === 'string') {
    if (!Array.isArray(before)) return `${typeof before === 'string' ? before : ''}${value}`
    return value === '' ? before : grownParts(before as Json[], [{ type: 'text', text: value }])
  }
  if (!Array.isArray(value) || !value.every(isRecord)) throw new UnknownPart('content')
  const known = Array.isArray(before) ? (before as Json[]) : []
  const begun = typeof before === 'string' && before !== '' ? [{ type: 'text', text: before }] : known
  return grownParts(begun, value)
}

function grownParts(known: readonly Json[], more: readonly Json[]): Json[] {
  const parts = [...known]
  for (const part of more) {
    const last = parts.at(-1)
    if (last !== undefined && last.type === part.type && part.type === 'text') {
      parts[parts.length - 1] = {
        ...last,
        ...part,
        text: `${String(last.text ?? '')}${String(part.text ?? '')}`,
      }
    } else if (last !== undefined && last.type === part.type && part.type === 'thinking') {
      const thinking = grownParts(recordsOf(last.thinking), recordsOf(part.thinking))
      parts[parts.length - 1] = { ...last, ...part, thinking }
    } else parts.push(part)
  }
  return parts
}

const callMembers = new Set(['index', 'id', 'type', 'function', 'custom', 'extra_content'])

/** Merges calls by their index; a server without indexes sends each call with an id of its own. */
function mergeCalls(known_: readonly Json[], more: readonly Json[]): Json[] {
  const calls = [...known_]
  for (const piece of more) {
    known(piece, callMembers)
    const last = Math.max(0, calls.length - 1)
    const isNew = typeof piece.id === 'string' && piece.id !== '' && calls[last]?.id !== piece.id
    const unnumbered = isNew && calls[last] !== undefined ? calls.length : last
    const at = typeof piece.index === 'number' ? piece.index : unnumbered
    const call = { ...(calls[at] ?? {}) }
    if (typeof piece.id === 'string' && piece.id !== '') call.id ??= piece.id
    if (typeof piece.type === 'string' && piece.type !== '') call.type ??= piece.type
    if (isGiven(piece.extra_content)) call.extra_content = piece.extra_content
    if (isGiven(piece.function))
      call.function = mergeFunction(isRecord(call.function) ? call.function : {}, piece.function)
    if (isGiven(piece.custom))
      call.custom = mergeCustom(isRecord(call.custom) ? call.custom : {}, piece.custom)
    calls[at] = call
  }
  return calls
}

const functionMembers = new Set(['name', 'arguments'])
const customMembers = new Set(['name', 'input'])

function mergeFunction(before: Json, piece: unknown): Json {
  if (!isRecord(piece)) throw new UnknownPart('function')
  known(piece, functionMembers)
  return namedText(before, piece, 'arguments')
}

function mergeCustom(before: Json, piece: unknown): Json {
  if (!isRecord(piece)) throw new UnknownPart('custom')
  known(piece, customMembers)
  return namedText(before, piece, 'input')
}

/** The first name counts, since some servers repeat it; the text grows. */
function namedText(before: Json, piece: Json, member: string): Json {
  const more = piece[member] ?? ''
  if (typeof more !== 'string') throw new UnknownPart(member)
  const name = before.name ?? (piece.name === '' ? undefined : piece.name)
  return { ...(name === undefined ? {} : { name }), [member]: `${String(before[member] ?? '')}${more}` }
}

const detailMembers = new Set(['type', 'index', 'id', 'format', 'text', 'summary', 'data', 'signature'])

/** OpenRouter's details: pieces of the same index and type are one detail. */
function mergeDetails(before: readonly Json[], more: readonly Json[]): Json[] {
  const details = [...before]
  for (const piece of more) {
    const given = known(piece, detailMembers)
    const at = details.findIndex(({ index, type }) => index === piece.index && type === piece.type)
    const detail = { ...(details[at] ?? {}) }
    for (const [name, value] of given) {
      const isText = name === 'text' || name === 'summary' || name === 'data'
      detail[name] = isText ? `${String(detail[name] ?? '')}${String(value)}` : value
    }
    if (at === -1 || piece.index === undefined) details.push(at === -1 ? detail : piece)
    else details[at] = detail
  }
  return details
}

const audioMembers = new Set(['id', 'data', 'transcript', 'expires_at'])

function mergeAudio(before: Json, piece: unknown): Json {
  if (!isRecord(piece)) throw new UnknownPart('audio')
  const audio = { ...before }
  for (const [name, value] of known(piece, audioMembers)) {
    const isText = name === 'data' || name === 'transcript'
    audio[name] = isText ? `${String(audio[name] ?? '')}${String(value)}` : value
  }
  return audio
}

function mergeLists(before: Json, more: Json): void {
  for (const [name, value] of Object.entries(more)) {
    if (!isGiven(value)) continue
    before[name] = Array.isArray(before[name]) && Array.isArray(value) ? [...before[name], ...value] : value
  }
}

/** Converts a completion into a stream. @throws UnknownPart */
export function chunksOf(completion: Json, withUsage: boolean): SseEvent[] {
  known(completion, headMembers)
  const { choices, usage, object: _, ...head } = completion
  const events: SseEvent[] = []
  const send = (own: readonly Json[], told: unknown = null) => {
    const usageOf = withUsage ? { usage: told } : {}
    const chunk = { ...head, object: 'chat.completion.chunk', choices: own, ...usageOf }
    events.push({ event: undefined, data: JSON.stringify(chunk) })
  }
  for (const choice of recordsOf(choices)) {
    known(choice, choiceMembers)
    const { index, message, finish_reason, logprobs, ...more } = choice
    const delta = (members: Json, own: Json = {}) =>
      send([{ index, delta: members, logprobs: null, finish_reason: null, ...own }])
    for (const members of deltasOf(isRecord(message) ? message : {})) delta(members)
    delta({}, { ...more, finish_reason, logprobs: logprobs ?? null })
  }
  if (withUsage) send([], usage ?? null)
  return [...events, { event: undefined, data: '[DONE]' }]
}

function deltasOf(message: Json): Json[] {
  known(message, messageMembers)
  const { role, content, tool_calls, function_call, ...others } = message
  const deltas: Json[] = [{ role: role ?? 'assistant', content: typeof content === 'string' ? '' : null }]
  for (const [name, value] of Object.entries(others)) {
    if (isGiven(value)) deltas.push({ [name]: value })
  }
  if (typeof content === 'string') for (const text of pieces(content)) deltas.push({ content: text })
  else if (isGiven(content)) deltas.push({ content })
  if (isRecord(function_call)) deltas.push({ function_call })
  for (const [index, call] of recordsOf(tool_calls).entries()) {
    known(call, callMembers)
    const kind = isRecord(call.custom) ? 'custom' : 'function'
    const member = kind === 'custom' ? 'input' : 'arguments'
    const named = isRecord(call[kind]) ? call[kind] : {}
    deltas.push({ tool_calls: [{ ...call, index, [kind]: { ...named, [member]: '' } }] })
    for (const text of pieces(String(named[member] ?? ''))) {
      deltas.push({ tool_calls: [{ index, [kind]: { [member]: text } }] })
    }
  }
  return deltas
}
