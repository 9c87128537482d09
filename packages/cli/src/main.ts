import { EvenkeelError } from '@evenkeel/core'
import { Command, CommanderError } from 'commander'
import { addCache } from './cache/command.js'
import { addCompletion } from './completion.js'
import type { Context } from './context.js'
import { addDoctor } from './doctor/command.js'
import { CommandError, type ExitCode, exitCodes } from './exit-codes.js'
import type { Io } from './io.js'
import { addLimits } from './limits/command.js'
import { addMemory } from './memory/command.js'
import { addPool } from './pool/command.js'
import { addRedis } from './redis/command.js'
import { addRedisConf } from './redis-conf/command.js'
import { registerDecoder, registerDecoderHelp } from './register-decoder/command.js'
import { version } from './version.js'
import { addWatch } from './watch/command.js'

/** Runs one command. Resolves with its exit code and never rejects. With `--json`, errors are JSON documents too. */
export async function main(args: readonly string[], io: Io): Promise<ExitCode> {
  let code: ExitCode = exitCodes.done
  const context: Context = {
    io,
    end: (given) => {
      code = given
    },
  }
  try {
    const program = createProgram(context)
    if (args.length === 0) {
      io.err(program.helpInformation().trimEnd())
      return exitCodes.usage
    }
    // This command has its own flags and its own help.
    if (args[0] === 'help' && args[1] === 'register-decoder') {
      io.out(registerDecoderHelp)
      return exitCodes.done
    }
    await program.parseAsync(args, { from: 'user' })
    return code
  } catch (error) {
    return failed(error, args.includes('--json'), io)
  }
}

/** All commands, with their flags. */
export function createProgram(context: Context): Command {
  const { io } = context
  const program = new Command('evenkeel')
    .description('Operates what evenkeel keeps in Redis, and the Redis itself.')
    .version(version, '-V, --version')
    .helpCommand(true)
    .showSuggestionAfterError(true)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.out(text.trimEnd()),
      writeErr: () => {},
      getOutHasColors: () => io.hasColours,
    })
  addDoctor(program, context)
  addWatch(program, context)
  addRedisConf(program, context)
  addRedis(program, context)
  addMemory(program, context)
  addCache(program, context)
  addLimits(program, context)
  addPool(program, context)
  addRegisterDecoder(program, context)
  addCompletion(program, context)
  inherit(program)
  return program
}

/** `register-decoder` parses its flags itself. */
function addRegisterDecoder(program: Command, context: Context): void {
  program
    .command('register-decoder')
    .description('registers an inference node with a decoder pool')
    .allowUnknownOption()
    .allowExcessArguments()
    .argument('[flags...]')
    .action(async (flags: readonly string[]) => {
      if (flags.includes('--help') || flags.includes('-h')) return context.io.out(registerDecoderHelp)
      context.end(await registerDecoder(flags, context.io))
    })
}

/** Commander does not pass these settings on to subcommands. */
function inherit(command: Command): void {
  for (const child of command.commands) {
    child.copyInheritedSettings(command)
    if (child.name() === 'register-decoder') child.helpOption(false)
    inherit(child)
  }
}

function failed(error: unknown, isJson: boolean, io: Io): ExitCode {
  io.progress(undefined)
  if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.done
  const message = messageOf(error)
  const isShown = error instanceof CommandError && error.isShown
  if (isJson && !isShown) io.out(JSON.stringify({ error: message }))
  io.err(`evenkeel: ${message}`)
  if (error instanceof CommandError) return error.exitCode
  return error instanceof CommanderError ? exitCodes.usage : exitCodes.failed
}

function messageOf(error: unknown): string {
  if (error instanceof CommanderError) return error.message.replace(/^error: /, '')
  if (error instanceof CommandError || EvenkeelError.isInstance(error)) return error.message
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
