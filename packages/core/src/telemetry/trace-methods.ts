import type { AttributeValue } from './provider.js'
import type { Spans } from './spans.js'
import { wrapMethods } from './wrap-methods.js'

/** The names of an object's methods that return a promise. */
type AsyncMethodOf<T> = {
  [K in keyof T]: T[K] extends (...args: never[]) => Promise<unknown> ? K : never
}[keyof T] &
  string

/**
 * Puts a span around each call of the named methods of this one object. Without `spans` the object stays as it is, so
 * that its calls cost nothing more.
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
