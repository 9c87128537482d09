import { CommandError, exitCodes } from './exit-codes.js'
import type { Io } from './io.js'

/**
 * Work that a signal may end before it is done: then the command says what that leaves, and exits with 130. The work
 * is told by its own signal, and is not waited for.
 */
export async function interruptible<T>(
  io: Io,
  work: (signal: AbortSignal) => Promise<T>,
  consequence: string,
): Promise<T> {
  const ended = new AbortController()
  const stopped = io.stopped().then((): never => {
    ended.abort()
    throw new CommandError(exitCodes.interrupted, `interrupted: ${consequence}`)
  })
  return Promise.race([work(ended.signal), stopped])
}
