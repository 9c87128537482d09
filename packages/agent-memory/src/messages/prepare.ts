import { InvalidInputError } from '@evenkeel/core'
import { checkSubject } from '@evenkeel/core/kit'
import { MessageTooLargeError } from '../errors.js'
import type { ResolvedOptions } from '../options.js'
import { digestText, newId } from './ids.js'
import { encodeJson } from './json.js'
import type { Message, MessageLike } from './message.js'
import { type ToolCalls, toolCallsOf } from './tool-calls.js'

/** A message as stores take it. */
export interface PreparedMessage extends ToolCalls {
  readonly id: string
  readonly role: string
  readonly tokens: number
  /** The message without its id, as JSON. */
  readonly body: string
  /** Digest of the body; the order of members does not change it. */
  readonly digest: string
}

const maxIdLength = 512

/** Maximum tokens of a message, so that a thread's sum stays an exact whole number in scripts. */
const maxTokens = 1e9

/** Maximum number of messages of one append. */
const maxAtOnce = 1_000

/** @param operation names the append: messages without an id get one derived from it */
export function prepareAll(
  input: MessageLike | readonly MessageLike[],
  options: ResolvedOptions,
  operation?: string,
  max = maxAtOnce,
): readonly PreparedMessage[] {
  const list = Array.isArray(input) ? (input as readonly Message[]) : [input as Message]
  if (list.length === 0 || list.length > max) {
    throw new InvalidInputError('messages', `1 to ${max} messages`, list)
  }
  const messages = list.map((message, index) => prepare(message, index, options, operation))
  const ids = new Set<string>()
  for (const { id } of messages) {
    if (ids.has(id)) throw new InvalidInputError('messages', 'each id once', id)
    ids.add(id)
  }
  return messages
}

export function prepare(
  message: Message,
  index: number,
  options: ResolvedOptions,
  operation?: string,
): PreparedMessage {
  const field = `messages[${index}]`
  if (typeof message !== 'object' || message === null)
    throw new InvalidInputError(field, 'a message', message)
  const { id = operation === undefined ? newId() : `${digestText(operation)}.${index}`, ...rest } = message
  checkSubject(`${field}.id`, id, maxIdLength)
  const role = roleOf(field, rest)
  const { json: body, canonical } = encodeJson(field, rest)
  const bytes = Buffer.byteLength(body)
  if (bytes > options.maxMessageBytes)
    throw new MessageTooLargeError(field, bytes, options.maxMessageBytes, id)
  const tokens = options.countTokens(message)
  if (!Number.isFinite(tokens) || tokens < 0 || tokens > maxTokens)
    throw new InvalidInputError('countTokens', `a number from 0 to ${maxTokens}`, tokens)
  return {
    id,
    role,
    tokens: Math.ceil(tokens),
    body,
    digest: digestText(canonical),
    // The message with its id, since some calls and approvals are identified by their item's id.
    ...toolCallsOf(message),
  }
}

/** The role of a message; an item of OpenAI's Responses API may have none, and gets it from its type. */
function roleOf(field: string, { role, type }: Readonly<Record<string, unknown>>): string {
  if (role === undefined && typeof type === 'string') {
    if (type === 'reasoning') return type
    return /_(?:output|result|response)$/.test(type) ? 'tool' : 'assistant'
  }
  if (typeof role === 'string' && /^[\w-]{1,64}$/.test(role)) return role
  throw new InvalidInputError(`${field}.role`, 'a name of letters, digits, dashes and underscores', role)
}
