import { classOf, isPlainObject, isRecord } from '../json.js'
import { type Usage, usageOf } from '../usage/tokens.js'

/** Encodes and decodes values of one kind. */
export interface ValueCodec<T> {
  readonly contentType: string
  /** `undefined` for a value that should not be stored. @throws for what can't be */
  encode(value: T): string | undefined
  decode(body: string | Buffer): T
  describe(value: T): { readonly model: string; readonly usage: Usage }
  /** Called with the reason why a value was not kept. */
  onRefused?(error: unknown): void
}

/** Converts values to text, and back to equal values. */
export interface Codec<T> {
  encode(value: T): string
  decode(text: string): T
}

export function textCodec<T>(codec: Codec<T>): ValueCodec<T> {
  return {
    contentType: 'text/plain',
    encode: (value) => codec.encode(value),
    decode: (body) => codec.decode(String(body)),
    describe: jsonCodec.describe,
  }
}

/** A value that JSON does not give back as it was. */
export class NotJsonError extends TypeError {
  override readonly name = 'NotJsonError'

  constructor(path: string, what: string) {
    super(`${path} is ${what}, which JSON does not give back as it was`)
  }
}

/** JSON, for plain values. Members that are `undefined` are left out, as in JSON; all else must come back unchanged. */
export const jsonCodec: ValueCodec<unknown> = {
  contentType: 'application/json',
  encode: (value) => {
    if (value === undefined) return undefined
    checkPlain(value, 'the value', 0)
    return JSON.stringify(value)
  },
  decode: (body) => JSON.parse(typeof body === 'string' ? body : body.toString()),
  describe: (value) => ({ model: modelOf(value), usage: usageOf(value) }),
}

const maxDepth = 500

/** @throws NotJsonError that names the path of the first value that JSON would change */
function checkPlain(value: unknown, path: string, depth: number): void {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return
    case 'number':
      if (Number.isFinite(value)) return
      throw new NotJsonError(path, String(value))
    case 'object':
      break
    default:
      throw new NotJsonError(path, `a ${typeof value}`)
  }
  if (value === null) return
  if (depth >= maxDepth) throw new NotJsonError(path, 'nested too deeply, or holds itself')
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++)
      checkPlain(value[index], `${path}[${index}]`, depth + 1)
    return
  }
  if (!isPlainObject(value)) {
    throw new NotJsonError(path, `a ${classOf(value)}`)
  }
  if ('toJSON' in value && typeof value.toJSON === 'function')
    throw new NotJsonError(path, 'an object with toJSON')
  for (const name of Object.keys(value)) {
    const member: unknown = Reflect.get(value, name)
    if (member !== undefined) checkPlain(member, `${path}.${name}`, depth + 1)
  }
}

function modelOf(value: unknown): string {
  return isRecord(value) && typeof value.model === 'string' ? value.model : 'unknown'
}
