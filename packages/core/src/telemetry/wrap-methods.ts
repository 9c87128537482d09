/**
 * Replaces the named methods of this one object.
 * @param names a value for each name of a method, passed on to `wrap`
 * @param wrap makes the new method; `call` calls the former one with the arguments that it is given
 * @returns the same object
 */
export function wrapMethods<T extends object>(
  target: T,
  names: Readonly<Record<string, string>>,
  wrap: (call: (args: unknown[]) => unknown, value: string) => (...args: unknown[]) => unknown,
): T {
  for (const [method, value] of Object.entries(names)) {
    const former: unknown = Reflect.get(target, method)
    if (typeof former !== 'function') throw new TypeError(`No method ${method}`)
    const call = (args: unknown[]): unknown => Reflect.apply(former, target, args)
    Object.defineProperty(target, method, { configurable: true, value: wrap(call, value) })
  }
  return target
}
