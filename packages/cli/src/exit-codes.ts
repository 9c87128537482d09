/** The exit codes of the command. Their meanings never change. */
export const exitCodes = {
  done: 0,
  /** An unexpected error; warnings with --strict; `redis status` if no server runs. */
  failed: 1,
  /** Wrong or missing flags, errors in a checked file, failures found by `doctor`, or a refused node. */
  usage: 2,
  /** The node does not answer its health check. */
  unhealthy: 3,
  /** Redis can't be reached, or all ways to register a node failed. */
  unreachable: 4,
  /** SIGINT or SIGTERM arrived before the work was done. */
  interrupted: 130,
  /** The reader of standard output left before everything was written, as for a command that SIGPIPE ends. */
  readerLeft: 141,
} as const

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]

/** Ends the command with an exit code and a message of one line. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly exitCode: ExitCode
  /** Whether the command has already written its JSON document. */
  readonly isShown: boolean

  constructor(exitCode: ExitCode, message: string, isShown = false) {
    super(message)
    this.exitCode = exitCode
    this.isShown = isShown
  }
}
