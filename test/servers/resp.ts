/** An error reply; the first word of the message is its code (`WRONGTYPE`, `MOVED`). */
export class ReplyError extends Error {
  override readonly name = 'ReplyError'
  get code(): string {
    return this.message.split(' ', 1)[0] ?? ''
  }
}

/** A reply, its strings as `S`. Maps read as flat arrays; errors inside an array are values. */
export type Reply<S = string> = S | string | number | null | ReplyError | Reply<S>[]

export interface Frame<S> {
  readonly value: Reply<S>
  /** The RESP type byte, such as `+` or `>`. */
  readonly type: string
  /** The frame as it was on the wire. */
  readonly bytes: Buffer
}

/** Cuts a stream of RESP2 or RESP3, requests or replies, into whole frames. Throws at what is not RESP. */
export class FrameReader<S> {
  #rest: Buffer = Buffer.alloc(0)

  constructor(private readonly decode: (bytes: Buffer) => S) {}

  /** The frames that `chunk` completes. */
  push(chunk: Buffer): Frame<S>[] {
    const buffer = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const frames: Frame<S>[] = []
    let start = 0
    while (start < buffer.length) {
      const parsed = parse(buffer, start, this.decode)
      if (!parsed) break
      const type = String.fromCharCode(buffer[start] ?? 0)
      frames.push({ value: parsed.value, type, bytes: buffer.subarray(start, parsed.next) })
      start = parsed.next
    }
    this.#rest = buffer.subarray(start)
    return frames
  }
}

interface Parsed<S> {
  readonly value: Reply<S>
  readonly next: number
}

/** The frame that starts at `start`, or undefined when it is not all there. */
function parse<S>(buffer: Buffer, start: number, decode: (bytes: Buffer) => S): Parsed<S> | undefined {
  // The buffer ends between two items of an array.
  if (start === buffer.length) return undefined
  const type = String.fromCharCode(buffer[start] ?? 0)
  if (!'+-:,#(_$=!*~>%|'.includes(type))
    throw new Error(`not RESP: a frame that starts with byte ${buffer[start]}`)
  const lineEnd = buffer.indexOf('\r\n', start)
  if (lineEnd === -1) return undefined
  const line = buffer.toString('utf8', start + 1, lineEnd)
  const next = lineEnd + 2
  switch (type) {
    case '+':
    case '(':
      return { value: line, next }
    case '-':
      return { value: new ReplyError(line), next }
    case ':':
    case ',':
      return { value: Number(line), next }
    case '#':
      return { value: line === 't' ? 1 : 0, next }
    case '_':
      return { value: null, next }
    case '$':
    case '=':
    case '!': {
      const length = Number(line)
      if (length < 0) return { value: null, next }
      if (buffer.length < next + length + 2) return undefined
      const bytes = buffer.subarray(next, next + length)
      const value = type === '!' ? new ReplyError(bytes.toString()) : decode(bytes)
      return { value, next: next + length + 2 }
    }
    default: {
      const items = Number(line) * (type === '%' || type === '|' ? 2 : 1)
      if (items < 0) return { value: null, next }
      const parsed = parseItems(buffer, next, items, decode)
      // Attributes come before the reply that they are about.
      return parsed && type === '|' ? parse(buffer, parsed.next, decode) : parsed
    }
  }
}

function parseItems<S>(buffer: Buffer, start: number, items: number, decode: (bytes: Buffer) => S) {
  const value: Reply<S>[] = []
  let next = start
  while (value.length < items) {
    const item = parse(buffer, next, decode)
    if (!item) return undefined
    value.push(item.value)
    next = item.next
  }
  return { value, next }
}

export type Argument = string | number | Buffer

export function encodeCommand(args: readonly Argument[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`*${args.length}\r\n`)]
  for (const arg of args) {
    const bytes = Buffer.isBuffer(arg) ? arg : Buffer.from(String(arg))
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'))
  }
  return Buffer.concat(parts)
}
