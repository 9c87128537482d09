import { isRecord } from '../json.js'
import { canonicalHash, UnkeyableError } from '../key/canonical.js'

/** A question: the text that is compared by meaning, and the context that must be equal. */
export interface Question {
  /** Text of the last user message. */
  readonly text: string
  /** Everything else that the answer depends on: model, system prompt, tools, parameters, earlier turns. */
  readonly context: unknown
}

/** The placeholder of the text. No text can be equal to it. */
const place = { evenkeel: 'the text that is compared' }

/**
 * Takes a provider's request apart: the text of its last user message, and everything else as the context that must
 * match exactly. Supports chat messages (OpenAI, Anthropic, AI SDK), `input` (OpenAI's Responses) and `prompt`.
 * `undefined` if the last message is not a user's, or has more than one text: such a request is not looked up by
 * meaning.
 */
export function questionOf(request: unknown): Question | undefined {
  if (typeof request === 'string') return { text: request, context: null }
  if (!isRecord(request)) return undefined
  for (const field of ['messages', 'input', 'prompt'] as const) {
    if (request[field] === undefined) continue
    const taken = takeText(request[field])
    return taken && { text: taken.text, context: { ...request, [field]: taken.rest } }
  }
  return undefined
}

/** Name of a context; equal contexts have equal names. `undefined` if it has none (functions, cycles). */
export function scopeOf(context: unknown, ...more: readonly unknown[]): string | undefined {
  try {
    return canonicalHash('semantic', context, ...more)
  } catch (error) {
    if (error instanceof UnkeyableError) return undefined
    throw error
  }
}

interface Taken {
  readonly text: string
  readonly rest: unknown
}

function takeText(value: unknown): Taken | undefined {
  if (typeof value === 'string') return { text: value, rest: place }
  if (!Array.isArray(value)) return undefined
  const last: unknown = value.at(-1)
  if (!isRecord(last) || last.role !== 'user') return undefined
  const taken = takeFromContent(last.content)
  return taken && { text: taken.text, rest: [...value.slice(0, -1), { ...last, content: taken.rest }] }
}

/** The single text among the parts; images and files stay in the context, where they must be equal. */
function takeFromContent(content: unknown): Taken | undefined {
  if (typeof content === 'string') return { text: content, rest: place }
  if (!Array.isArray(content)) return undefined
  const texts = content.filter((part) => isRecord(part) && typeof part.text === 'string')
  const [only] = texts
  if (texts.length !== 1 || !isRecord(only)) return undefined
  const rest = content.map((part: unknown) => (part === only ? { ...only, text: place } : part))
  // A message with a single text part is equal to a plain text.
  return { text: String(only.text), rest: content.length === 1 && isPlainText(only) ? place : rest }
}

function isPlainText(part: Record<string, unknown>): boolean {
  return Object.keys(part).every((name) => name === 'type' || name === 'text')
}
