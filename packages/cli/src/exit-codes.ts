/** What the command's exit code says; they never change their meaning. */
export const exitCodes = {
  done: 0,
  /** Something unforeseen; with --strict, warnings; `redis status` where none runs. */
  failed: 1,
  /** Wrong or missing flags, errors in a checked file, failures that the doctor found, a refused node. */
  usage: 2,
  /** The node does not answer its health check. */
  unhealthy: 3,
  /** Redis can't be reached, or every way to register failed. */
  unreachable: 4,
  /** SIGINT or SIGTERM came before the work was done. */
  interrupted: 130,
  /** The reader of standard output left before all was written, as for a command that SIGPIPE ends. */
  readerLeft: 141,
} as const

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]

/** An end of the command that is told in one line. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly exitCode: ExitCode
  /** Whether the command has written its JSON document already. */
  readonly isShown: boolean

  constructor(exitCode: ExitCode, message: string, isShown = false) {
    super(message)
    this.exitCode = exitCode
    this.isShown = isShown
  }
}
