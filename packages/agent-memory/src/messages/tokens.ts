import type { Message } from './message.js'

/** Approximate tokens of a picture, whatever its size. */
const imageTokens = 1_500

/** Characters of encoded bytes (of a recording or a document) that count as a token. */
const encodedPerToken = 100

/** Types of parts whose text is encoded bytes: OpenAI's, Anthropic's, the AI SDK's. */
const media = new Set([
  'image',
  'image_url',
  'input_image',
  'input_audio',
  'audio',
  'file',
  'input_file',
  'document',
])

/** Fields of such a part that contain its bytes, or their address. */
const mediaFields = new Set([
  'data',
  'image',
  'image_url',
  'url',
  'file_data',
  'source',
  'bytes',
  'file',
  'input_audio',
])

/** Tokens of a message by a function that counts those of a text. */
export function tokenCounter(count: (text: string) => number): (message: Message) => number {
  return (message) => {
    const { texts, tokens } = partsOf(message)
    return tokens + texts.reduce((sum, text) => sum + count(text), 0)
  }
}

/** Estimates the tokens of everything in a message that is sent to a model. */
export const estimateTokens: (message: Message) => number = (message) => {
  const { texts, tokens } = partsOf(message)
  return Math.ceil(tokens + texts.reduce((sum, text) => sum + estimateText(text), 0))
}

/**
 * Four characters a token in Latin letters, two in others that write sounds, and one in those that write words or
 * syllables (Chinese, Japanese, Korean) and in pictures.
 */
function estimateText(text: string): number {
  let [latin, sounds, signs] = [0, 0, 0]
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code < 0x80) latin++
    else if (code < 0x1100) sounds++
    else if (code < 0xdc00 || code > 0xdfff) signs++
  }
  return latin / 4 + sounds / 2 + signs
}

interface Parts {
  readonly texts: string[]
  /** Tokens of the parts that are no text. */
  tokens: number
}

function partsOf({ id: _, role: _role, ...fields }: Message): Parts {
  const parts: Parts = { texts: [], tokens: 0 }
  const { content } = fields
  if (typeof content === 'string' && Object.keys(fields).length === 1) {
    parts.texts.push(content)
    return parts
  }
  for (const value of Object.values(fields)) collect(value, parts, false)
  return parts
}

function collect(value: unknown, parts: Parts, isMedia: boolean): void {
  if (typeof value === 'string') {
    if (value.startsWith('data:')) parts.tokens += encodedTokens(value, value.startsWith('data:image/'))
    else parts.texts.push(value)
    return
  }
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint') {
    parts.texts.push(String(value))
  }
  if (typeof value !== 'object' || value === null) return
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
    parts.tokens += isMedia ? imageTokens : value.byteLength / encodedPerToken
    return
  }
  if (Array.isArray(value) || value instanceof Map || value instanceof Set) {
    for (const one of value) collect(one, parts, isMedia)
    return
  }
  if (value instanceof Date || value instanceof URL) {
    parts.texts.push(String(value))
    return
  }
  collectObject(value, parts)
}

function collectObject(value: object, parts: Parts): void {
  const { type, mediaType, mimeType, media_type } = value as Readonly<Record<string, unknown>>
  const told = [mediaType, mimeType, media_type].find((one) => typeof one === 'string')
  const isMedia = (typeof type === 'string' && media.has(type)) || told !== undefined || 'inlineData' in value
  const isImage = typeof told === 'string' ? told.startsWith('image') : /image/.test(String(type))
  for (const [name, own] of Object.entries(value)) {
    if (name === 'id' || name === 'type') continue
    if (isMedia && mediaFields.has(name)) {
      if (typeof own === 'string') parts.tokens += encodedTokens(own, isImage)
      else if (ArrayBuffer.isView(own))
        parts.tokens += isImage ? imageTokens : own.byteLength / encodedPerToken
      else collect(own, parts, true)
      continue
    }
    parts.texts.push(name)
    collect(own, parts, false)
  }
}

function encodedTokens(text: string, isImage: boolean): number {
  return isImage ? imageTokens : Math.max(imageTokens, text.length / encodedPerToken)
}
