import type { Message } from '@evenkeel/agent-memory'
import { Problem } from './problems.js'

export interface ChatRequest extends Readonly<Record<string, unknown>> {
  readonly model: string
  readonly messages: readonly Message[]
  readonly stream?: boolean | null
  readonly max_tokens?: number | null
  readonly max_completion_tokens?: number | null
  readonly n?: number | null
}

export interface EmbeddingsRequest extends Readonly<Record<string, unknown>> {
  readonly model: string
  readonly input: string | readonly string[] | readonly number[] | readonly (readonly number[])[]
}

type Fields = Readonly<Record<string, unknown>>

const roles = ['developer', 'system', 'user', 'assistant', 'tool', 'function']
/** Roles whose messages may lack content, such as an assistant's message that calls a tool. */
const mayBeSilent = new Set(['assistant', 'function'])
const maxInputs = 2_048

/** @throws Problem 400, with the message, `param` and `code` that OpenAI's own API gives */
export function checkChat(body: Fields, maxOutputTokens: number): ChatRequest {
  checkModel(body)
  checkMessages(body.messages)
  for (const name of ['max_tokens', 'max_completion_tokens']) {
    integer(body, name, { min: 1 })
    const value = body[name]
    if (typeof value === 'number' && value > maxOutputTokens) {
      throw invalid(
        name,
        null,
        `${name} is too large: ${value}. This gateway supports at most ${maxOutputTokens} completion tokens.`,
      )
    }
  }
  if (isGiven(body.max_tokens) && isGiven(body.max_completion_tokens)) {
    throw invalid(
      'max_tokens',
      'invalid_parameter_combination',
      "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
    )
  }
  integer(body, 'n', { min: 1, max: 128 })
  decimal(body, 'temperature', 0, 2)
  decimal(body, 'top_p', 0, 1)
  if (isGiven(body.stream) && typeof body.stream !== 'boolean')
    throw wrongType('stream', 'a boolean', body.stream)
  if (isGiven(body.stream_options) && body.stream !== true) {
    throw invalid(
      'stream_options',
      null,
      "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
    )
  }
  return body as ChatRequest
}

/** @throws Problem 400 */
export function checkEmbeddings(body: Fields): EmbeddingsRequest {
  checkModel(body)
  const { input } = body
  if (!isGiven(input)) throw missing('input')
  if (typeof input !== 'string' && !Array.isArray(input))
    throw wrongType('input', 'a string or an array', input)
  if (input.length === 0) throw invalid('input', null, "'input' cannot be an empty string or array.")
  if (input.length > maxInputs && Array.isArray(input)) {
    throw invalid(
      'input',
      'array_above_max_length',
      `Invalid 'input': at most ${maxInputs} elements are taken.`,
    )
  }
  if (Array.isArray(input)) {
    const isTexts = input.every((one) => typeof one === 'string' && one !== '')
    const isTokens = input.every((one) => isToken(one))
    const isTokenLists = input.every((one) => Array.isArray(one) && one.length > 0 && one.every(isToken))
    if (!isTexts && !isTokens && !isTokenLists) {
      throw invalid('input', null, "'input' must be texts that are not empty, or lists of tokens.")
    }
  }
  return body as EmbeddingsRequest
}

/** @throws Problem 400 if the body is no JSON object */
export function parseBody(text: string): Fields {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    value = undefined
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Problem(
      400,
      'We could not parse the JSON body of your request. The gateway expects a JSON payload with an object.',
    )
  }
  return value as Fields
}

function checkModel({ model }: Fields): void {
  if (!isGiven(model) || model === '') throw new Problem(400, 'you must provide a model parameter')
  if (typeof model !== 'string') throw wrongType('model', 'a string', model)
}

function checkMessages(messages: unknown): void {
  if (!isGiven(messages)) throw missing('messages')
  if (!Array.isArray(messages)) throw wrongType('messages', 'an array of objects', messages)
  if (messages.length === 0) {
    throw invalid(
      'messages',
      'empty_array',
      "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
    )
  }
  messages.forEach(checkMessage)
}

function checkMessage(message: unknown, index: number): void {
  const at = `messages[${index}]`
  if (typeof message !== 'object' || message === null || Array.isArray(message)) {
    throw wrongType(at, 'an object', message)
  }
  const { role, content } = message as Fields
  if (!isGiven(role)) throw missing(`${at}.role`)
  if (typeof role !== 'string' || !roles.includes(role)) {
    throw invalid(
      `${at}.role`,
      'invalid_value',
      `Invalid value: ${JSON.stringify(role)}. Supported values are: ${roles.map((one) => `'${one}'`).join(', ')}.`,
    )
  }
  if (!isGiven(content)) {
    if (mayBeSilent.has(role)) return
    throw missing(`${at}.content`)
  }
  if (typeof content !== 'string' && !Array.isArray(content)) {
    throw wrongType(`${at}.content`, 'a string or an array of content parts', content)
  }
}

function integer(
  body: Fields,
  name: string,
  { min, max = Number.MAX_SAFE_INTEGER }: { min: number; max?: number },
): void {
  const value = body[name]
  if (!isGiven(value)) return
  if (typeof value !== 'number' || !Number.isInteger(value)) throw wrongType(name, 'an integer', value)
  if (value < min) {
    throw invalid(
      name,
      'integer_below_min_value',
      `Invalid '${name}': integer below minimum value. Expected a value >= ${min}, but got ${value} instead.`,
    )
  }
  if (value > max) {
    throw invalid(
      name,
      'integer_above_max_value',
      `Invalid '${name}': integer above maximum value. Expected a value <= ${max}, but got ${value} instead.`,
    )
  }
}

function decimal(body: Fields, name: string, min: number, max: number): void {
  const value = body[name]
  if (!isGiven(value)) return
  if (typeof value !== 'number') throw wrongType(name, 'a decimal', value)
  if (value < min || value > max) {
    const [word, bound] = value < min ? ['below minimum', `>= ${min}`] : ['above maximum', `<= ${max}`]
    const code = value < min ? 'decimal_below_min_value' : 'decimal_above_max_value'
    throw invalid(
      name,
      code,
      `Invalid '${name}': decimal ${word} value. Expected a value ${bound}, but got ${value} instead.`,
    )
  }
}

function isToken(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0
}

/** Clients send `null` for parameters that they leave to the provider. */
function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null
}

function missing(param: string): Problem {
  return invalid(param, 'missing_required_parameter', `Missing required parameter: '${param}'.`)
}

function wrongType(param: string, expected: string, value: unknown): Problem {
  const got =
    value === null
      ? 'null'
      : Array.isArray(value)
        ? 'an array'
        : `${/^[aeiou]/.test(typeof value) ? 'an' : 'a'} ${typeof value}`
  return invalid(
    param,
    'invalid_type',
    `Invalid type for '${param}': expected ${expected}, but got ${got} instead.`,
  )
}

function invalid(param: string, code: string | null, message: string): Problem {
  return new Problem(400, message, { param, code })
}
