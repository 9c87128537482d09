import { types } from 'node:util'
import { InvalidInputError } from '@evenkeel/core'

/**
 * Marks values that JSON does not have: such a value is written as `{"$evenkeel": [kind, …]}`, and an object that has
 * such a member itself as `{"$evenkeel": ["object", {…}]}`.
 */
const mark = '$evenkeel'

/** Maximum nesting. JSON itself fails at some thousands of levels, depending on the free stack. */
const maxDepth = 1_000

/** Maximum characters of a path in an error. */
const maxPlaceLength = 200

/** A value as JSON, and a canonical text: equal only for equal values, whatever the order of their members. */
export interface Encoded {
  readonly json: string
  readonly canonical: string
}

/**
 * Encodes a value so that {@link fromJson} returns it unchanged, including bytes, dates, maps, sets, big integers, URLs
 * and numbers that JSON does not have. A member that is `undefined` is left out, as in JSON.
 * @throws InvalidInputError that names the path of a value that can't be encoded: a function, a symbol, an object of a
 * class
 */
export function encodeJson(field: string, value: unknown): Encoded {
  const found: Found = { parts: [], isPlain: true, above: new Set() }
  look(value, field, found)
  const json = JSON.stringify(found.isPlain ? value : marked(value))
  return { json, canonical: found.parts.join('') }
}

/** @throws InvalidInputError as {@link encodeJson} */
export function toJson(field: string, value: unknown): string {
  if (value === undefined) throw new InvalidInputError(field, 'something that can be kept', value)
  return encodeJson(field, value).json
}

export function fromJson(json: string): unknown {
  const value: unknown = JSON.parse(json)
  return isMarked(json) ? unmarked(value) : value
}

/** Whether a JSON text contains marked values. */
export function isMarked(json: string): boolean {
  return json.includes(`"${mark}"`)
}

/** A copy of a value that was read, which its owner may change. */
export function copyOf<T>(value: T): T {
  return copied(value) as T
}

/**
 * A value as SDKs send it: objects of classes are replaced by their `toJSON` or their own members, and functions are
 * left out. Values that {@link encodeJson} can encode stay unchanged.
 */
export function withoutClasses(value: unknown, field: string, depth = 0): unknown {
  if (depth > maxDepth) throw unkept(field, `nested deeper than ${maxDepth} levels`)
  if (typeof value !== 'object' || value === null || specialOf(value) !== undefined) return value
  if (Array.isArray(value)) {
    return Array.from(value, (own: unknown, index) =>
      withoutClasses(sent(own), `${field}[${index}]`, depth + 1),
    )
  }
  if (!isPlainObject(value) && 'toJSON' in value && typeof value.toJSON === 'function') {
    return withoutClasses(value.toJSON(), field, depth + 1)
  }
  return mapFields(value, (own, name) => withoutClasses(sent(own), `${field}.${name}`, depth + 1))
}

function sent(value: unknown): unknown {
  return typeof value === 'function' || typeof value === 'symbol' ? undefined : value
}

interface Found {
  /** Parts of the canonical text. */
  readonly parts: string[]
  isPlain: boolean
  /** The objects around the present value, to find cycles. */
  readonly above: Set<object>
}

function look(value: unknown, place: string, found: Found): void {
  const { parts } = found
  switch (typeof value) {
    case 'string':
      parts.push('s', String(value.length), ':', value)
      return
    case 'number':
      found.isPlain &&= Number.isFinite(value) && !Object.is(value, -0)
      parts.push('n', Object.is(value, -0) ? '-0' : String(value), ';')
      return
    case 'boolean':
      parts.push(value ? 't' : 'f')
      return
    case 'object':
      if (value === null) parts.push('0')
      else lookInto(value, place, found)
      return
    case 'bigint':
    case 'undefined':
      found.isPlain = false
      parts.push('$', `${typeof value} ${String(value)};`)
      return
    default:
      throw unkept(place, typeof value)
  }
}

function lookInto(value: object, place: string, found: Found): void {
  const { parts, above } = found
  if (above.has(value)) throw unkept(place, 'a part of itself')
  if (above.size >= maxDepth) throw unkept(place, `nested deeper than ${maxDepth} levels`)
  const special = specialOf(value)
  if (special !== undefined) {
    found.isPlain = false
    const [kind, ...own] = special
    parts.push('$', kind, String(own.length))
    above.add(value)
    for (const part of own) look(part, place, found)
    above.delete(value)
    return
  }
  above.add(value)
  if (Array.isArray(value)) {
    parts.push('[')
    // By index, so that holes are checked too.
    for (let index = 0; index < value.length; index++) look(value[index], `${place}[${index}]`, found)
    parts.push(']')
  } else if (isPlainObject(value)) {
    const fields = value as Readonly<Record<string, unknown>>
    if (Object.hasOwn(fields, mark)) found.isPlain = false
    parts.push('{')
    for (const name of Object.keys(fields).sort()) {
      const own = fields[name]
      if (own === undefined) continue
      parts.push(String(name.length), ':', name)
      look(own, `${place}.${name}`, found)
    }
    parts.push('}')
  } else throw unkept(place, `an object of the class ${classOf(value)}`)
  above.delete(value)
}

/** Recognises plain objects of any realm: a test runner's sandbox has an Object of its own. */
function isPlainObject(value: object): boolean {
  const above: unknown = Object.getPrototypeOf(value)
  return (
    above === null ||
    (Object.getPrototypeOf(above) === null && Object.hasOwn(above as object, 'isPrototypeOf'))
  )
}

function classOf(value: object): string {
  const { constructor: own } = value
  return typeof own === 'function' && own.name !== '' ? own.name.slice(0, 64) : '?'
}

function unkept(place: string, what: string): InvalidInputError {
  // Only the path, since values are private.
  const short = place.length > maxPlaceLength ? `${place.slice(0, maxPlaceLength)}…` : place
  return new InvalidInputError(short, `something that can be kept as it is, which ${what} can not`, undefined)
}

type ViewType = new (buffer: ArrayBuffer) => ArrayBufferView

const viewTypes: Readonly<Record<string, ViewType>> = {
  Uint8Array,
  Uint8ClampedArray,
  Int8Array,
  Uint16Array,
  Int16Array,
  Uint32Array,
  Int32Array,
  Float32Array,
  Float64Array,
  BigUint64Array,
  BigInt64Array,
  DataView,
}

type Special = readonly [kind: string, ...unknown[]]

/** What is written in place of an object that JSON does not have; `undefined` for any other object. */
function specialOf(value: object): Special | undefined {
  if (ArrayBuffer.isView(value)) {
    const name = Buffer.isBuffer(value) ? 'Buffer' : Object.prototype.toString.call(value).slice(8, -1)
    if (name !== 'Buffer' && !Object.hasOwn(viewTypes, name)) return undefined
    return ['bytes', name, base64Of(value.buffer, value.byteOffset, value.byteLength)]
  }
  if (types.isArrayBuffer(value)) return ['bytes', 'ArrayBuffer', base64Of(value)]
  if (types.isDate(value)) {
    const ms = value.getTime()
    return ['date', Number.isNaN(ms) ? null : ms]
  }
  if (types.isMap(value)) return ['map', [...value]]
  if (types.isSet(value)) return ['set', [...value]]
  if (types.isRegExp(value)) return ['regexp', value.source, value.flags]
  if (value instanceof URL) return ['url', value.href]
  return undefined
}

function base64Of(buffer: ArrayBufferLike, offset = 0, length = buffer.byteLength): string {
  return Buffer.from(buffer as ArrayBuffer, offset, length).toString('base64')
}

/** A value with marks in it, for JSON.stringify. */
function marked(value: unknown): unknown {
  if (typeof value === 'bigint') return { [mark]: ['bigint', String(value)] }
  if (value === undefined) return { [mark]: ['undefined'] }
  if (typeof value === 'number') {
    if (Number.isFinite(value) && !Object.is(value, -0)) return value
    return { [mark]: ['number', Object.is(value, -0) ? '-0' : String(value)] }
  }
  if (typeof value !== 'object' || value === null) return value
  const special = specialOf(value)
  if (special !== undefined) return { [mark]: special.map((own) => marked(own)) }
  if (Array.isArray(value)) return Array.from(value, (own) => marked(own))
  const fields = mapFields(value, (own) => marked(own))
  return Object.hasOwn(fields, mark) ? { [mark]: ['object', fields] } : fields
}

function unmarked(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((own) => unmarked(own))
  const special: unknown = Object.hasOwn(value, mark) ? Reflect.get(value, mark) : undefined
  if (!Array.isArray(special)) return mapFields(value, (own) => unmarked(own))
  const [kind, first, second] = special as unknown[]
  switch (kind) {
    case 'object':
      return mapFields(Object(first) as object, (own) => unmarked(own))
    case 'bigint':
      return BigInt(String(first))
    case 'undefined':
      return undefined
    case 'number':
      return Number(first)
    case 'date':
      return new Date(first === null ? Number.NaN : Number(first))
    case 'map':
      return new Map(unmarked(first) as [unknown, unknown][])
    case 'set':
      return new Set(unmarked(first) as unknown[])
    case 'regexp':
      return new RegExp(String(first), String(second))
    case 'url':
      return new URL(String(first))
    case 'bytes':
      return bytesOf(String(first), String(second))
    default:
      // A mark of a later version is returned as it is.
      return value
  }
}

function bytesOf(name: string, base64: string): unknown {
  if (name === 'Buffer') return Buffer.from(base64, 'base64')
  const buffer = new Uint8Array(Buffer.from(base64, 'base64')).buffer
  if (name === 'ArrayBuffer') return buffer
  const View = viewTypes[name] ?? Uint8Array
  return new View(buffer)
}

function copied(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(copied)
  if (types.isMap(value)) return new Map([...value].map(([key, own]) => [copied(key), copied(own)]))
  if (types.isSet(value)) return new Set([...value].map(copied))
  const special = specialOf(value)
  return special === undefined ? mapFields(value, (own) => copied(own)) : unmarked({ [mark]: special })
}

/** Changes all members, one that is called `__proto__` included. */
function mapFields(value: object, change: (value: unknown, name: string) => unknown): object {
  const changed: Record<string, unknown> = {}
  for (const [name, own] of Object.entries(value)) {
    if (own === undefined) continue
    if (name === '__proto__') {
      Object.defineProperty(changed, name, {
        value: change(own, name),
        enumerable: true,
        configurable: true,
        writable: true,
      })
    } else changed[name] = change(own, name)
  }
  return changed
}
