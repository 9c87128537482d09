import { CommandError, type ExitCode, exitCodes } from './exit-codes.js'
import type { Io } from './io.js'
import { registerDecoder, registerDecoderHelp } from './register-decoder/command.js'

const help = `evenkeel <command> [flags]

  register-decoder   registers an inference node with a decoder pool

evenkeel <command> --help tells a command's flags.`

/** Runs one command; gives its exit code, and never rejects. */
export async function main(args: readonly string[], io: Io): Promise<ExitCode> {
  const [command, ...rest] = args
  try {
    switch (command) {
      case 'register-decoder':
        if (rest.includes('--help')) {
          io.out(registerDecoderHelp)
          return exitCodes.done
        }
        return await registerDecoder(rest, io)
      case undefined:
      case 'help':
      case '--help':
        io.out(help)
        return command === undefined ? exitCodes.usage : exitCodes.done
      default:
        throw new CommandError(exitCodes.usage, `there is no command '${command}'; see evenkeel --help`)
    }
  } catch (error) {
    if (error instanceof CommandError) {
      io.err(`evenkeel: ${error.message}`)
      return error.exitCode
    }
    io.err(`evenkeel: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
    return exitCodes.failed
  }
}
