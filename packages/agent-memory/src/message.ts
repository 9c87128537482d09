import { createHash, randomUUID } from 'node:crypto'
import { checkSubject, InvalidInputError } from '@evenkeel/core'
import { MessageTooLargeError } from './errors.js'
import type { ResolvedOptions } from './options.js'
import { type ToolCalls, toolCallsOf } from './tool-calls.js'

/**
 * A message in a provider's own shape: OpenAI's (`tool_calls`, `tool_call_id`), Anthropic's (`tool_use` and
 * `tool_result` blocks) or the Vercel AI SDK's (`tool-call` and `tool-result` parts). Everything that JSON
 * can carry is kept as it is.
 */
export interface Message {
  /** One id, one place, whatever is retried. @default a random one */
  readonly id?: string | undefined
  readonly role: string
  readonly content?: unknown
  readonly [field: string]: unknown
}

/** A message as it is given back: with its id. */
export interface StoredMessage extends Message {
  readonly id: string
}

/** A message as stores hold it. */
export interface PreparedMessage extends ToolCalls {
  readonly id: string
  readonly role: string
  readonly tokens: number
  /** The message without its id, as JSON. */
  readonly body: string
  /** Tells two bodies under one id apart. */
  readonly digest: string
}

const maxIdLength = 512

export function prepare(message: Message, index: number, options: ResolvedOptions): PreparedMessage {
  const field = `messages[${index}]`
  if (typeof message !== 'object' || message === null)
    throw new InvalidInputError(field, 'a message', message)
  const { id = randomUUID(), ...rest } = message
  checkSubject(`${field}.id`, id, maxIdLength)
  if (typeof rest.role !== 'string' || !/^[\w-]{1,64}$/.test(rest.role)) {
    throw new InvalidInputError(
      `${field}.role`,
      'a name of letters, digits, dashes and underscores',
      rest.role,
    )
  }
  const body = toJson(field, rest)
  const bytes = Buffer.byteLength(body)
  if (bytes > options.maxMessageBytes) throw new MessageTooLargeError(field, bytes, options.maxMessageBytes)
  const tokens = options.countTokens(message)
  if (!Number.isFinite(tokens) || tokens < 0)
    throw new InvalidInputError('countTokens', 'a number from 0', tokens)
  const digest = createHash('sha256').update(body).digest('base64url').slice(0, 16)
  return { id, role: rest.role, tokens: Math.ceil(tokens), body, digest, ...toolCallsOf(rest) }
}

export function restore(id: string, body: string): StoredMessage {
  return { ...(JSON.parse(body) as Message), id }
}

function toJson(field: string, value: object): string {
  try {
    return JSON.stringify(value)
  } catch (error) {
    throw new InvalidInputError(
      field,
      `something that JSON can carry (${error instanceof Error ? error.message : error})`,
      value,
    )
  }
}
