import { types } from 'node:util'

/**
 * Whether a value is an error, whichever realm made it. Jest runs modules in a context of their own, where errors of
 * Node itself (of sockets, files and `fetch`) are no instances of that context's `Error`.
 */
export function isError(value: unknown): value is Error {
  return value instanceof Error || types.isNativeError(value) || value instanceof DOMException
}

/** Whether a value can be awaited: a promise of any realm, or another library's. */
export function isPromiseLike<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
