import { CommandError, exitCodes } from './exit-codes.js'
import type { Io } from './io.js'

/** Asks before an action that can't be undone. @throws CommandError if the answer is not yes, or nobody can be asked */
export async function confirm(io: Io, yes: boolean | undefined, what: string): Promise<void> {
  if (yes === true) return
  if (io.ask === undefined) throw new CommandError(exitCodes.usage, `${what}; say so with --yes`)
  const answer = await io.ask(`${what}. Go on? [y/N]`)
  if (!/^y(es)?$/i.test(answer)) throw new CommandError(exitCodes.usage, 'nothing was done')
}
