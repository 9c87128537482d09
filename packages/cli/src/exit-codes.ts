/** What the command's exit code says; they never change their meaning. */
export const exitCodes = {
  done: 0,
  /** Something unforeseen. */
  failed: 1,
  /** Wrong or missing flags, or a node that the coordinator refuses as such. */
  usage: 2,
  /** The node does not answer its health check. */
  unhealthy: 3,
  /** Every way to register failed. */
  unreachable: 4,
} as const

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]

/** An end of the command that is told in one line. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly exitCode: ExitCode

  constructor(exitCode: ExitCode, message: string) {
    super(message)
    this.exitCode = exitCode
  }
}
