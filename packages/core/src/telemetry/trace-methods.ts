import type { AttributeValue } from './provider.js'
import type { Spans } from './spans.js'
import { wrapMethods } from './wrap-methods.js'

/** The names of an object's methods that give a promise. */
type AsyncMethodOf<T> = {
  [K in keyof T]: T[K] extends (...args: never[]) => Promise<unknown> ? K : never
}[keyof T] &
  string

/**
 * Puts a span around each of the methods that are named, on this one object. Without spans it stays as it is, so that a
 * call costs nothing more.
 * @returns the same object
 */
export function traceMethods<T extends object, K extends AsyncMethodOf<T>>(
  spans: Spans | undefined,
  target: T,
  names: Readonly<Record<K, string>>,
  attributes: Readonly<Record<string, AttributeValue>> = {},
): T {
  if (spans === undefined) return target
  return wrapMethods(
    target,
    names,
    (call, name) =>
      (...args) =>
        spans.around(name, { attributes: { ...attributes } }, async () => call(args)),
  )
}
