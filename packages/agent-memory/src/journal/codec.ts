import { crc32 } from 'node:zlib'
import { FieldError, fields, integer } from '../stores/fields.js'
import { checkWrite } from './check.js'
import type { ThreadWrite } from './entry.js'

/** A line of a journal's file: an entry, or the number of an entry that is done. */
export type Line = { readonly number: number; readonly entry: ThreadWrite } | { readonly done: number }

/** One line: eight hex digits of CRC-32, a blank, JSON. */
export function encodeLine(line: Line): string {
  const json =
    'done' in line
      ? JSON.stringify({ d: line.done })
      : JSON.stringify({ n: line.number, i: line.entry.id, w: line.entry.write })
  return `${checksumOf(json)} ${json}\n`
}

/** The content of a file: the entries that are not done, in order, and the number of damaged lines. */
export interface Decoded {
  readonly entries: readonly ThreadWrite[]
  readonly spoilt: number
}

/**
 * Takes the lines of a file one by one. It skips a line that is damaged (cut off by a crash, or corrupted on disk) or
 * contains no valid write, since every other line is an acknowledged write by itself.
 */
export class LineDecoder {
  readonly #open = new Map<number, ThreadWrite>()
  #spoilt = 0

  take(text: string): void {
    if (text === '') return
    const line = parse(text)
    if (line === undefined) this.#spoilt++
    else if ('done' in line) this.#open.delete(line.done)
    else this.#open.set(line.number, line.entry)
  }

  /** Counts a line that is too long to be read. */
  spoil(): void {
    this.#spoilt++
  }

  end(): Decoded {
    return { entries: [...this.#open.values()], spoilt: this.#spoilt }
  }
}

export function decodeLines(text: string): Decoded {
  const decoder = new LineDecoder()
  for (const line of text.split('\n')) decoder.take(line)
  return decoder.end()
}

function parse(line: string): Line | undefined {
  const json = line.slice(9)
  if (line[8] !== ' ' || checksumOf(json) !== line.slice(0, 8)) return undefined
  try {
    const value = fields('line', JSON.parse(json))
    if ('d' in value) return { done: integer('d', value.d) }
    return { number: integer('n', value.n), entry: checkWrite(value) }
  } catch (error) {
    if (error instanceof FieldError || error instanceof SyntaxError) return undefined
    throw error
  }
}

function checksumOf(json: string): string {
  return crc32(json).toString(16).padStart(8, '0')
}
