export type Json = Record<string, unknown>

export function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** An object literal, of this realm or of another one, as test runners and `vm` make them. */
export function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === null || prototype === Object.prototype) return true
  if (typeof prototype !== 'object' || Object.getPrototypeOf(prototype) !== null) return false
  return Object.hasOwn(prototype, 'isPrototypeOf') && Object.hasOwn(prototype, 'hasOwnProperty')
}

/** For errors and keys: the name of an object's class. A Buffer is a Uint8Array. */
export function classOf(value: object): string {
  const tag: unknown = Reflect.get(value, Symbol.toStringTag)
  if (typeof tag === 'string') return tag
  const made: unknown = value.constructor
  return typeof made === 'function' && made.name !== '' ? made.name : 'unknown'
}
