import type { ExitCode } from './exit-codes.js'
import type { Io } from './io.js'

/** What every command receives. */
export interface Context {
  readonly io: Io
  /** Sets the exit code of the process. */
  end(code: ExitCode): void
}
