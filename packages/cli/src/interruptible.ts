import { CommandError, exitCodes } from './exit-codes.js'
import type { Io } from './io.js'

/**
 * Runs work that a signal may interrupt. The command then says what is left unfinished and exits with 130. The work
 * learns of it through its own signal, and is not waited for.
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
