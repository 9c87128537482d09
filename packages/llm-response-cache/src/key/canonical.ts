import { createHash, type Hash } from 'node:crypto'

/** A value that has no defined place in a key: a function, a symbol, NaN, a cycle. */
export class UnkeyableError extends Error {
  override readonly name = 'UnkeyableError'
}

export interface EncodingRules {
  /** Members of objects that stay out, at any depth. */
  readonly without?: ReadonlySet<string> | undefined
  /**
   * Ids that a model or a framework makes up (`call_…`, `toolu_…`) count by the order in which they appear:
   * they are new in each run, and to rename them all alike changes no meaning. @default false
   */
  readonly renameIds?: boolean | undefined
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
  return canonicalHashWith({}, ...values)
}

export function canonicalHashWith(rules: EncodingRules, ...values: readonly unknown[]): string {
  const encoder = new Encoder(rules)
  for (const value of values) encoder.value(value, 0)
  return encoder.digest()
}

/** Where ids stand that mean nothing but themselves. */
const idMembers = new Set(['tool_call_id', 'tool_use_id', 'call_id', 'toolCallId', 'id'])
const madeUp = /^(?:call|toolu|msg|rs|fc|chatcmpl|srvtoolu|resp|item)[-_]/

/** Text gathers up to here before it is hashed: each update of the hash is a call into native code. */
const flushLength = 32_768

class Encoder {
  readonly #hash: Hash = createHash('sha256')
  readonly #without: ReadonlySet<string> | undefined
  readonly #ids: Map<string, string> | undefined
  #pending = ''

  constructor({ without, renameIds = false }: EncodingRules) {
    this.#without = without
    this.#ids = renameIds ? new Map() : undefined
  }

  digest(): string {
    this.#hash.update(this.#pending)
    return this.#hash.digest('base64url')
  }

  value(value: unknown, depth: number): void {
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
        return value === null ? this.#write('z') : this.#object(value, depth)
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
    if (depth >= maxDepth) throw new UnkeyableError('The value is nested too deeply, or holds itself')
    if (Array.isArray(value)) {
      this.#write(`a${value.length}:`)
      for (const item of value) this.value(item, depth + 1)
      return
    }
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype !== Object.prototype && prototype !== null && this.#special(value)) return
    const members = value as Record<string, unknown>
    const names: string[] = []
    for (const name of Object.keys(members)) {
      if (members[name] !== undefined && !this.#without?.has(name)) names.push(name)
    }
    if (names.length > 1) names.sort()
    this.#write(`o${names.length}:`)
    for (const name of names) {
      this.#text('k', name)
      const member = members[name]
      if (this.#ids !== undefined && typeof member === 'string' && idMembers.has(name)) this.#id(name, member)
      else this.value(member, depth + 1)
    }
  }

  #special(value: object): boolean {
    if (ArrayBuffer.isView(value)) {
      this.#bytes(Buffer.from(value.buffer, value.byteOffset, value.byteLength))
    } else if (value instanceof ArrayBuffer) this.#bytes(Buffer.from(value))
    else if (value instanceof Date) this.#text('d', value.toISOString())
    else if (value instanceof URL) this.#text('l', value.href)
    else if (value instanceof Map || value instanceof Set || value instanceof Promise) {
      throw new UnkeyableError(`A ${value.constructor.name} can't be part of a key`)
    } else return false
    return true
  }

  #id(name: string, id: string): void {
    // An `id` may be a host's own; the other members are never anything else.
    if (name === 'id' && !madeUp.test(id)) return this.#text('s', id)
    const number = this.#ids?.get(id) ?? String(this.#ids?.size)
    this.#ids?.set(id, number)
    this.#text('#', number)
  }

  #bytes(bytes: Buffer): void {
    this.#text('b', createHash('sha256').update(bytes).digest('hex'))
  }

  #text(type: string, text: string): void {
    // Half of a surrogate pair has no UTF-8 of its own.
    if (!text.isWellFormed()) return this.#write(`${type}!${text.length}:${utf16(text)}`)
    this.#write(`${type}${text.length}:`)
    this.#write(text)
  }

  #write(text: string): void {
    this.#pending += text
    if (this.#pending.length < flushLength) return
    this.#hash.update(this.#pending)
    this.#pending = ''
  }
}

function utf16(text: string): string {
  return Buffer.from(text, 'utf16le').toString('hex')
}
