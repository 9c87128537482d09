/**
 * Estimated tokens of an image, whatever its bytes, because providers charge by its area: at most about 1,600 with
 * Anthropic (1,092 squared pixels), and 765 to 1,105 with OpenAI in high detail.
 */
const tokensPerImage = 1_600

/** Characters of encoded bytes (of a recording or a document) that count as a token. */
const encodedPerToken = 100

/** Types of parts whose text is encoded bytes: OpenAI's, Anthropic's, the AI SDK's. */
const fileTypes = new Set([
  'image',
  'image_url',
  'input_image',
  'input_audio',
  'audio',
  'file',
  'input_file',
  'document',
])

/** Fields of such a part that contain its bytes or their address, or an object with one of both. */
const fileFields = new Set([
  'data',
  'image',
  'image_url',
  'url',
  'file_data',
  'source',
  'bytes',
  'file',
  'input_audio',
  'inlineData',
])

/** A shorter text is counted as text even if it begins as an image's bytes do. */
const shortestBare = 4 * tokensPerImage

/** How the Base64 of a PNG, JPEG, GIF or WebP image begins, and that of a PDF. */
const imageBeginning = /^(?:iVBORw0KGgo|\/9j\/|R0lGOD|UklGR)/
const documentBeginning = /^JVBERi0/
const dataUrl = /^data:[\w.+-]+\/[\w.+-]+[;,]/

type FileKind = 'image' | 'other'

/**
 * Estimates the tokens of a value that is sent to a model, such as a message or the body of a request: its texts by
 * their script, 1,600 for an image, and for another file a hundredth of its encoded characters but at least 1,600.
 * Linear in the length of all texts. A reference back to an object that contains it counts nothing.
 */
export function estimateTokens(value: unknown): number {
  return Math.ceil(countTokens(value, estimateTextTokens))
}

/** As {@link estimateTokens}, but the tokens of each text are counted by a function. */
export function countTokens(value: unknown, countText: (text: string) => number): number {
  const collector = new Collector(countText)
  collector.collect(value)
  return collector.tokens
}

/**
 * Four characters a token in Latin letters, two in others that write sounds, and one in those that write words or
 * syllables (Chinese, Japanese, Korean) and in pictures.
 */
function estimateTextTokens(text: string): number {
  let [latin, sounds, signs] = [0, 0, 0]
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code < 0x80) latin++
    else if (code < 0x1100) sounds++
    else if (code < 0xdc00 || code > 0xdfff) signs++
  }
  return latin / 4 + sounds / 2 + signs
}

interface Pending {
  readonly value: unknown
  /** The kind of file whose bytes or address the value is, if it is in a field of one. */
  readonly file: FileKind | undefined
  /** Whether everything in the value has been counted. */
  readonly isDone?: boolean
}

/** Goes through a value without recursion, so that no depth of nesting exhausts the stack. */
class Collector {
  tokens = 0
  readonly #countText: (text: string) => number
  readonly #pending: Pending[] = []
  /** The objects that contain the value that is being counted. */
  readonly #containers = new Set<unknown>()

  constructor(countText: (text: string) => number) {
    this.#countText = countText
  }

  collect(value: unknown): void {
    let next: Pending | undefined = { value, file: undefined }
    while (next !== undefined) {
      if (next.isDone === true) this.#containers.delete(next.value)
      else this.#one(next)
      next = this.#pending.pop()
    }
  }

  #one({ value, file }: Pending): void {
    if (typeof value === 'string') this.#text(value, file)
    else if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint')
      this.tokens += this.#countText(String(value))
    else if (typeof value === 'object' && value !== null) this.#object(value, file)
  }

  #text(text: string, file: FileKind | undefined): void {
    const kind = file ?? kindOfText(text)
    if (kind === undefined) this.tokens += this.#countText(text)
    else this.tokens += kind === 'image' ? tokensPerImage : fileTokens(text.length)
  }

  #bytes(length: number, file: FileKind | undefined): void {
    if (file === undefined) this.tokens += length / encodedPerToken
    else this.tokens += file === 'image' ? tokensPerImage : fileTokens(length)
  }

  #object(value: object, file: FileKind | undefined): void {
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) this.#bytes(value.byteLength, file)
    else if (value instanceof Date || value instanceof URL) this.#text(String(value), file)
    else if (!this.#containers.has(value)) this.#contents(value, file)
  }

  #contents(value: object, file: FileKind | undefined): void {
    this.#containers.add(value)
    this.#pending.push({ value, file, isDone: true })
    if (Array.isArray(value) || value instanceof Map || value instanceof Set)
      for (const one of value) this.#pending.push({ value: one, file })
    else this.#fields(value, file)
  }

  #fields(value: object, outer: FileKind | undefined): void {
    const file = kindOfPart(value, outer)
    for (const [name, own] of Object.entries(value)) {
      if (name === 'id' || name === 'type') continue
      if (file !== undefined && fileFields.has(name)) this.#pending.push({ value: own, file })
      else {
        this.tokens += this.#countText(name)
        this.#pending.push({ value: own, file: undefined })
      }
    }
  }
}

function kindOfText(text: string): FileKind | undefined {
  if (dataUrl.test(text)) return text.startsWith('data:image/') ? 'image' : 'other'
  if (text.length < shortestBare) return undefined
  if (imageBeginning.test(text)) return 'image'
  return documentBeginning.test(text) ? 'other' : undefined
}

/** The kind of file that an object is by its type or media type, or else by the part that it is in. */
function kindOfPart(value: object, outer: FileKind | undefined): FileKind | undefined {
  const { type, mediaType, mimeType, media_type } = value as Readonly<Record<string, unknown>>
  // Such as Anthropic's documents of plain text.
  if (type === 'text') return undefined
  const told = [mediaType, mimeType, media_type].find((one) => typeof one === 'string')
  if (told !== undefined) return told.startsWith('image') ? 'image' : 'other'
  if (typeof type === 'string' && fileTypes.has(type)) return type.includes('image') ? 'image' : 'other'
  return outer ?? ('inlineData' in value ? 'other' : undefined)
}

function fileTokens(length: number): number {
  return Math.max(tokensPerImage, length / encodedPerToken)
}
