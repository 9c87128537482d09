import { InvalidInputError } from '@evenkeel/core'

/** A backup: its lines, or its text or bytes in chunks of any size, such as those of a file's stream. */
export type BackupSource =
  | string
  | Uint8Array
  | Iterable<string | Uint8Array>
  | AsyncIterable<string | Uint8Array>

type Chunks = Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array>

/** Text and bytes are iterable too, but by character or byte, so each is taken as one chunk. */
export function chunksOf(source: BackupSource): Chunks {
  return typeof source === 'string' || source instanceof Uint8Array ? [source] : source
}

/**
 * Splits a backup into lines, whatever its chunks are. A chunk without a line end is a line if it is complete JSON, and
 * otherwise continues in the next chunk. A byte order mark is skipped.
 */
export async function* linesOf(chunks: Chunks): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  let isFirst = true
  for await (const chunk of chunks) {
    let text = textOf(chunk, decoder)
    if (isFirst && text.startsWith('\ufeff')) text = text.slice(1)
    if (text !== '') isFirst = false
    const end = text.lastIndexOf('\n')
    if (end >= 0) {
      yield* `${rest}${text.slice(0, end)}`.split('\n')
      rest = text.slice(end + 1)
    } else rest += text
    if (isWhole(rest)) {
      yield rest
      rest = ''
    }
  }
  yield rest + decoder.decode()
}

function textOf(chunk: unknown, decoder: InstanceType<typeof TextDecoder>): string {
  if (typeof chunk === 'string') return chunk
  if (chunk instanceof Uint8Array) return decoder.decode(chunk, { stream: true })
  throw new InvalidInputError('lines', 'lines of text, or a stream of text or bytes', chunk)
}

/** Each line is a JSON object, and no proper prefix of an object is valid JSON. */
function isWhole(text: string): boolean {
  if (!text.trimEnd().endsWith('}')) return false
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
