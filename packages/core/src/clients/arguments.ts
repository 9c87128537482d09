import type { Argument } from './port.js'

/** What a library would turn into text of its own: `''` for undefined, `'[object Object]'` for an object. */
export function wrongArgument(args: readonly Argument[]): TypeError | undefined {
  for (const arg of args) {
    if (typeof arg !== 'string' && !Buffer.isBuffer(arg))
      return new TypeError(`A command takes text and Buffers, not ${typeof arg}`)
  }
  return undefined
}
