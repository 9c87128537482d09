import { createHash, type Hash } from 'node:crypto'

/** A value that has no defined place in a key: a function, a symbol, NaN, a cycle. */
export class UnkeyableError extends Error {
  override readonly name = 'UnkeyableError'
}

const maxDepth = 200

/**
 * SHA-256 over a typed, length-prefixed encoding, so that no two different values share a key: `1` is not
 * `'1'`, an absent field is not a null one. Members of objects come in the order of their names; numbers
 * are their IEEE 754 bits, with -0 as 0, so that 1 and 1.0 agree (RFC 8785 gives them one text too). Text
 * is taken as it is. Binary data counts by its digest, a Date by its ISO text, a URL by its href.
 * Time and memory are linear in the value; text is hashed as it is met.
 */
export function canonicalHash(...values: readonly unknown[]): string {
  const hash = createHash('sha256')
  for (const value of values) new Encoder(hash).encode(value, 0)
  return hash.digest('base64url')
}

class Encoder {
  readonly #hash: Hash
  #pending = ''

  constructor(hash: Hash) {
    this.#hash = hash
  }

  encode(value: unknown, depth: number): void {
    this.#value(value, depth)
    this.#flush()
  }

  #value(value: unknown, depth: number): void {
    if (depth > maxDepth) throw new UnkeyableError('The value is nested too deeply, or holds itself')
    if (value === null) return this.#write('z')
    switch (typeof value) {
      case 'string':
        return this.#text('s', value)
      case 'number':
        return this.#number(value)
      case 'boolean':
        return this.#write(value ? 't' : 'f')
      case 'undefined':
        return this.#write('u')
      case 'bigint':
        return this.#text('i', value.toString())
      case 'object':
        return this.#object(value, depth)
      default:
        throw new UnkeyableError(`A ${typeof value} can't be part of a key`)
    }
  }

  #number(value: number): void {
    if (!Number.isFinite(value)) throw new UnkeyableError(`${value} can't be part of a key`)
    // The shortest text that reads back as the same number names its bits.
    this.#text('n', String(value === 0 ? 0 : value))
  }

  #object(value: object, depth: number): void {
    if (Array.isArray(value)) {
      this.#write(`a${value.length}:`)
      for (const item of value) this.#value(item, depth + 1)
      return
    }
    if (ArrayBuffer.isView(value))
      return this.#bytes(Buffer.from(value.buffer, value.byteOffset, value.byteLength))
    if (value instanceof ArrayBuffer) return this.#bytes(Buffer.from(value))
    if (value instanceof Date) return this.#text('d', value.toISOString())
    if (value instanceof URL) return this.#text('l', value.href)
    if (value instanceof Map || value instanceof Set || value instanceof Promise) {
      throw new UnkeyableError(`A ${value.constructor.name} can't be part of a key`)
    }
    const entries = Object.entries(value).filter(([, member]) => member !== undefined)
    entries.sort(([one], [other]) => (one < other ? -1 : 1))
    this.#write(`o${entries.length}:`)
    for (const [name, member] of entries) {
      this.#text('k', name)
      this.#value(member, depth + 1)
    }
  }

  #bytes(bytes: Buffer): void {
    this.#text('b', createHash('sha256').update(bytes).digest('hex'))
  }

  #text(type: string, text: string): void {
    this.#write(`${type}${text.length}:${text}`)
  }

  /** Small pieces are joined, since each update of the hash is a call into native code. */
  #write(text: string): void {
    this.#pending += text
    if (this.#pending.length > 4_096) this.#flush()
  }

  #flush(): void {
    // UTF-16, so that a lone surrogate keeps its own place.
    this.#hash.update(this.#pending, 'utf16le')
    this.#pending = ''
  }
}
