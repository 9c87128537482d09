import { setImmediate as setRealImmediate } from 'node:timers'

/*
 * The event loop's own functions, as they are when this module is loaded. The fake timers of Jest, Vitest and Sinon
 * replace them later, and then what waits for no more than the end of a turn would wait for ever. Time-outs and
 * intervals are not here: these follow a test's fake time, as its author expects.
 */

export const nextTick: typeof process.nextTick = process.nextTick.bind(process)
export const setImmediate: typeof setRealImmediate = setRealImmediate
export const queueMicrotask: typeof globalThis.queueMicrotask = globalThis.queueMicrotask
