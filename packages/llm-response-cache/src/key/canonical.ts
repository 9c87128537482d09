import * as crypto from 'node:crypto'
import { UnkeyableError } from '../errors.js'
import { classOf, isPlainObject } from '../json.js'

export { UnkeyableError }

/** What a protocol says of single objects of a value, found by where they stand in it. */
export interface ProtocolPlaces {
  /**
   * Members that are ids which a model or a framework makes up (`call_…`, `toolu_…`): they count by the order in
   * which they appear, since they are new in each run, and to rename them all alike changes no meaning.
   */
  readonly ids: ReadonlyMap<object, ReadonlySet<string>>
  /** Members that change no answer. */
  readonly omitted: ReadonlyMap<object, ReadonlySet<string>>
  /** Objects whose members come, at any depth, in the order in which they are written: schemas. */
  readonly ordered: ReadonlySet<object>
}

/** At once, which costs half; other runtimes and Node before 20.12 have it not. */
const hashOf: typeof crypto.hash | undefined = crypto.hash

const nowhere: ProtocolPlaces = { ids: new Map(), omitted: new Map(), ordered: new Set() }

const maxDepth = 200

/** Members and items of a value. More take a second to sort and write. */
const maxMembers = 100_000

/**
 * SHA-256 over a typed, length-prefixed encoding, so that no two different values share a key: `1` is not
 * `'1'`, an absent field is not a null one. Members of objects come in the order of their names; numbers
 * are their IEEE 754 bits, with -0 as 0, so that 1 and 1.0 agree (RFC 8785 gives them one text too). Text
 * is taken as it is. Binary data counts by its class and digest, a Date by its ISO text, a URL by its href.
 * Objects of any other class are refused, since what makes them differ can't be seen. Time and memory are linear in
 * the value; text is hashed as it is met.
 * @throws UnkeyableError for a value, or a part of one, that has no defined place in a key
 */
export function canonicalHash(...values: readonly unknown[]): string {
  return canonicalHashWith(nowhere, ...values)
}

export function canonicalHashWith(places: ProtocolPlaces, ...values: readonly unknown[]): string {
  const encoder = new Encoder(places)
  for (const value of values) encoder.value(value, 0, false)
  return encoder.digest()
}

/** Text gathers up to here before it is hashed: each update of the hash is a call into native code. */
const flushLength = 32_768

class Encoder {
  /** Made for a value that is too long to be hashed at once: it costs as much as the hash of 5 KB. */
  #hash: crypto.Hash | undefined
  readonly #places: ProtocolPlaces
  readonly #ids = new Map<string, string>()
  #members = 0
  #pending = ''

  constructor(places: ProtocolPlaces) {
    this.#places = places
  }

  digest(): string {
    if (this.#hash === undefined && hashOf !== undefined) return hashOf('sha256', this.#pending, 'base64url')
    this.#hash ??= crypto.createHash('sha256')
    return this.#hash.update(this.#pending).digest('base64url')
  }

  value(value: unknown, depth: number, isOrdered: boolean): void {
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
        return value === null ? this.#write('z') : this.#object(value, depth, isOrdered)
      default:
        throw new UnkeyableError(`A ${typeof value} can't be part of a key`)
    }
  }

  #number(value: number): void {
    if (!Number.isFinite(value)) throw new UnkeyableError(`${value} can't be part of a key`)
    // The shortest text that reads back as the same number names its bits.
    this.#text('n', String(value === 0 ? 0 : value))
  }

  #object(value: object, depth: number, isWithinOrdered: boolean): void {
    if (depth >= maxDepth) throw new UnkeyableError('The value is nested too deeply, or holds itself')
    if (Array.isArray(value)) {
      this.#count(value.length)
      this.#write(`a${value.length}:`)
      for (const item of value) this.value(item, depth + 1, isWithinOrdered)
      return
    }
    if (!isPlainObject(value)) return this.#special(value)
    const isOrdered = isWithinOrdered || this.#places.ordered.has(value)
    const omitted = this.#places.omitted.get(value)
    const ids = this.#places.ids.get(value)
    const members = value as Record<string, unknown>
    const names: string[] = []
    for (const name of Object.keys(members)) {
      if (members[name] !== undefined && omitted?.has(name) !== true) names.push(name)
    }
    this.#count(names.length)
    if (names.length > 1 && !isOrdered) names.sort()
    this.#write(`o${names.length}:`)
    for (const name of names) {
      this.#text('k', name)
      const member = members[name]
      if (typeof member === 'string' && ids?.has(name)) this.#id(member)
      else this.value(member, depth + 1, isOrdered)
    }
  }

  #count(more: number): void {
    this.#members += more
    if (this.#members > maxMembers) {
      throw new UnkeyableError(`The value has more than ${maxMembers} members and items`)
    }
  }

  #special(value: object): void {
    if (ArrayBuffer.isView(value)) {
      this.#bytes(classOf(value), Buffer.from(value.buffer, value.byteOffset, value.byteLength))
    } else if (value instanceof ArrayBuffer) this.#bytes('ArrayBuffer', Buffer.from(value))
    else if (value instanceof Date) this.#text('d', String(value.getTime()))
    else if (value instanceof URL) this.#text('l', value.href)
    else throw new UnkeyableError(`An object of the class ${classOf(value)} can't be part of a key`)
  }

  #id(id: string): void {
    const number = this.#ids.get(id) ?? String(this.#ids.size)
    this.#ids.set(id, number)
    this.#text('#', number)
  }

  #bytes(type: string, bytes: Buffer): void {
    this.#text('b', `${type} ${crypto.createHash('sha256').update(bytes).digest('hex')}`)
  }

  #text(type: string, text: string): void {
    // Half of a surrogate pair has no UTF-8 of its own.
    if (!text.isWellFormed()) return this.#write(`${type}!${text.length}:${utf16(text)}`)
    this.#write(`${type}${text.length}:${text}`)
  }

  #write(text: string): void {
    this.#pending += text
    if (this.#pending.length < flushLength) return
    this.#hash ??= crypto.createHash('sha256')
    this.#hash.update(this.#pending)
    this.#pending = ''
  }
}

function utf16(text: string): string {
  return Buffer.from(text, 'utf16le').toString('hex')
}
