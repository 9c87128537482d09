import { setImmediate } from '../kit/event-loop.js'

/** Turns of the event loop in which replies that wait in the socket are read. */
const graceTurns = 3

/**
 * Calls back when replies that have arrived were read. The timer of a blocked event loop is late, and then the answer
 * that it misses may be in the socket already.
 */
export function afterGrace(callback: () => void, turns = graceTurns): void {
  setImmediate(() => (turns > 1 ? afterGrace(callback, turns - 1) : callback()))
}
