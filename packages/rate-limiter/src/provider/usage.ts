/** The tokens that an answer reports as used. */
export interface TokenUsage {
  readonly input: number
  readonly output: number
  readonly total: number
}

/** The longest answer that is searched, and the longest line of a stream. Longer answers keep their estimate. */
const maxBytes = 4_000_000

/**
 * Finds the usage in an answer of OpenAI (chat, responses, embeddings), Anthropic, or a compatible provider while it is
 * read: JSON at its end, server-sent events line by line. Other formats are ignored.
 */
export class UsageReader {
  readonly #isEventStream: boolean
  readonly #decoder = new TextDecoder()
  #text = ''
  #bytes = 0
  #input = 0
  #output = 0
  #total = 0

  constructor(contentType: string) {
    this.#isEventStream = contentType.includes('text/event-stream')
  }

  see(chunk: Uint8Array): void {
    this.#bytes += chunk.byteLength
    if (!this.#isEventStream && this.#bytes > maxBytes) {
      this.#text = ''
      return
    }
    this.#text += this.#decoder.decode(chunk, { stream: true })
    if (this.#isEventStream) this.#readLines()
  }

  /** The usage, or `undefined` if none was found. Call it when the whole answer was seen. */
  end(): TokenUsage | undefined {
    if (this.#isEventStream) {
      this.#text += '\n'
      this.#readLines()
    } else this.#read(this.#text)
    const total = Math.max(this.#total, this.#input + this.#output)
    return total === 0 ? undefined : { input: this.#input, output: this.#output, total }
  }

  #readLines(): void {
    const lines = this.#text.split(/\r\n|\r|\n/)
    this.#text = (lines.pop() ?? '').slice(-maxBytes)
    for (const line of lines) {
      // Most events carry a few letters and need not be parsed.
      if (line.startsWith('data:') && line.includes('"usage"')) this.#read(line.slice('data:'.length))
    }
  }

  #read(text: string): void {
    try {
      this.#take(JSON.parse(text))
    } catch {
      // Not JSON: another kind of answer.
    }
  }

  #take(answer: unknown): void {
    const { usage, response, message } = fields(answer)
    // OpenAI's responses and Anthropic's messages wrap the usage when they stream.
    const used = fields(usage ?? fields(response).usage ?? fields(message).usage)
    // Each count in a stream includes the earlier ones, so the highest is the last.
    this.#input = Math.max(this.#input, count(used.prompt_tokens), anthropicInput(used))
    this.#output = Math.max(this.#output, count(used.completion_tokens), count(used.output_tokens))
    this.#total = Math.max(this.#total, count(used.total_tokens))
  }
}

/** Anthropic reports tokens written to its cache separately; tokens read from it do not count towards its limits. */
function anthropicInput(used: Record<string, unknown>): number {
  return count(used.input_tokens) + count(used.cache_creation_input_tokens)
}

function fields(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

function count(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? Math.ceil(value) : 0
}
