/**
 * Replaces the named methods of this one object.
 * @param names a value for each method name, which is passed on to `wrap`
 * @param wrap makes the new method; `call` calls the former method with the arguments that it is given
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
