import { CommandError, exitCodes } from './exit-codes.js'
import type { Io } from './io.js'

/** Catches the signals that tell the process to stop, from its creation on. */
export interface Interruption {
  /**
   * Runs work that a signal may interrupt. The command then says what is left unfinished and exits with 130. The work
   * learns of it through its own signal, and is not waited for.
   */
  during<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T>
}

/** Created before anything that an interrupted command has to remove. @param consequence what an interruption leaves */
export function interruption(io: Io, consequence: string): Interruption {
  const ended = new AbortController()
  const stopped = io.stopped().then((): never => {
    ended.abort()
    throw new CommandError(exitCodes.interrupted, `interrupted: ${consequence}`)
  })
  // A signal may come before the work, which then reports it.
  stopped.catch(() => {})
  return { during: (work) => Promise.race([stopped, work(ended.signal)]) }
}

/** Runs work that a signal may interrupt, and that leaves nothing to remove. See {@link Interruption.during}. */
export function interruptible<T>(
  io: Io,
  work: (signal: AbortSignal) => Promise<T>,
  consequence: string,
): Promise<T> {
  return interruption(io, consequence).during(work)
}
