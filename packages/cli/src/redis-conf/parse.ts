/** A line of a redis.conf. Comments, blank lines and unreadable lines keep their text, so the file can be restored. */
export interface Line {
  /** From 1. */
  readonly number: number
  /** As written in the file. */
  readonly text: string
  /** In lower case, as servers compare names; `undefined` for a comment or blank line. */
  readonly name: string | undefined
  readonly values: readonly string[]
  /** Why the server would refuse the line as such. */
  readonly error: string | undefined
}

/** Parses a configuration as the server does: a name, then values, which are quoted if they contain blanks. */
export function parseConf(text: string): readonly Line[] {
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/)
  if (lines.at(-1) === '') lines.pop()
  return lines.map((line, index) => parseLine(line, index + 1))
}

function parseLine(text: string, number: number): Line {
  const trimmed = text.trim()
  if (trimmed === '' || trimmed.startsWith('#'))
    return { number, text, name: undefined, values: [], error: undefined }
  const parts = splitArguments(trimmed)
  if (typeof parts === 'string') return { number, text, name: undefined, values: [], error: parts }
  const [name = '', ...values] = parts
  return { number, text, name: name.toLowerCase(), values, error: undefined }
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', a: '\x07' }

/** Splits a line into words. Double quotes allow escapes, single quotes only `\'`. Returns the error as text. */
export function splitArguments(line: string): readonly string[] | string {
  const words: string[] = []
  let at = 0
  while (at < line.length) {
    if (isBlank(line[at])) {
      at++
      continue
    }
    const quote = line[at] === '"' || line[at] === "'" ? line[at] : undefined
    const word = quote === undefined ? bareWord(line, at) : quotedWord(line, at, quote)
    if (typeof word === 'string') return word
    words.push(word.text)
    at = word.end
  }
  return words
}

function bareWord(line: string, from: number): { text: string; end: number } | string {
  let end = from
  while (end < line.length && !isBlank(line[end])) end++
  return { text: line.slice(from, end), end }
}

function quotedWord(
  line: string,
  from: number,
  quote: string | undefined,
): { text: string; end: number } | string {
  let text = ''
  for (let at = from + 1; at < line.length; at++) {
    const char = line[at] ?? ''
    if (char === quote) {
      if (at + 1 < line.length && !isBlank(line[at + 1])) return 'a closing quote is followed by text'
      return { text, end: at + 1 }
    }
    if (char !== '\\') {
      text += char
      continue
    }
    const next = line[at + 1] ?? ''
    if (quote === "'") {
      text += next === "'" ? "'" : '\\'
      if (next === "'") at++
      continue
    }
    const hex = /^x([0-9a-f]{2})/i.exec(line.slice(at + 1))
    text += hex ? String.fromCharCode(Number.parseInt(hex[1] ?? '', 16)) : (escapes[next] ?? next)
    at += hex ? 3 : 1
  }
  return 'a quote is not closed'
}

function isBlank(char: string | undefined): boolean {
  return char === ' ' || char === '\t'
}

/** A value as it is written to a file: quoted if it is empty or contains blanks or quotes. */
export function quoted(value: string): string {
  if (value !== '' && !/[\s"'\\#]/.test(value)) return value
  return `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n').replaceAll('\r', '\\r')}"`
}

const units: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 1_000,
  kb: 1_024,
  m: 1_000_000,
  mb: 1_048_576,
  g: 1_000_000_000,
  gb: 1_073_741_824,
}

/** Bytes of a memory value such as `512mb`; `undefined` for anything else. */
export function bytesOf(value: string): number | undefined {
  const match = /^(\d+)(b|k|kb|m|mb|g|gb)?$/i.exec(value)
  return match ? Number(match[1]) * (units[(match[2] ?? '').toLowerCase()] ?? 1) : undefined
}
