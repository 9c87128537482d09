import type { ExitCode } from './exit-codes.js'
import type { Io } from './io.js'

/** What every command is given. */
export interface Context {
  readonly io: Io
  /** Sets the exit code of the whole command. */
  end(code: ExitCode): void
}
