import type { Argument } from './port.js'

/** Refuses arguments that a library would turn into text: undefined into `''`, an object into `'[object Object]'`. */
export function wrongArgument(args: readonly Argument[]): TypeError | undefined {
  for (const arg of args) {
    if (typeof arg !== 'string' && !Buffer.isBuffer(arg))
      return new TypeError(`A command takes text and Buffers, not ${typeof arg}`)
  }
  return undefined
}
