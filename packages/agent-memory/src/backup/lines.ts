import { InvalidInputError } from '@evenkeel/core'

/** A backup as it comes: its lines, or its text or bytes in any pieces, such as a file's stream gives them. */
export type BackupSource =
  | string
  | Uint8Array
  | Iterable<string | Uint8Array>
  | AsyncIterable<string | Uint8Array>

type Chunks = Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array>

/** Text and bytes are iterable too, by their characters: they are one chunk. */
export function chunksOf(source: BackupSource): Chunks {
  return typeof source === 'string' || source instanceof Uint8Array ? [source] : source
}

/**
 * The lines of a backup, whatever pieces it comes in. A piece without a line end is a line where it is whole, and
 * otherwise goes on with the next one. A byte order mark is passed over.
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

/** Every line is an object, and no beginning of one is. */
function isWhole(text: string): boolean {
  if (!text.trimEnd().endsWith('}')) return false
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
