import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import type { Context } from '../context.js'
import { exitCodes } from '../exit-codes.js'
import { portNumber } from '../flags.js'
import { show } from '../output.js'
import { type DevServer, startServer, stateOf, stopServer } from './server.js'

interface Flags {
  readonly folder: string
  readonly json?: boolean
}

interface StartFlags extends Flags {
  readonly port: number
  readonly maxmemory: string
  readonly with?: string
}

const defaultFolder = join(homedir(), '.evenkeel', 'redis')

/** The command `redis`: a server for development. */
export function addRedis(program: Command, context: Context): void {
  const command = program
    .command('redis')
    .description('starts and stops a Redis for development on this machine')
  const folder = ['--folder <path>', 'where its data, log and state are kept', defaultFolder] as const
  command
    .command('start')
    .description('starts one that goes on running; does nothing where it runs already')
    .option(...folder)
    .option('--port <number>', 'port', portNumber, 6379)
    .option('--maxmemory <amount>', 'memory limit', '256mb')
    .option(
      '--with <program>',
      'redis-server, valkey-server, a path to one, or docker (default: the first that is there)',
    )
    .option('--json', 'one JSON document')
    .addHelpText('after', '\nExample:\n  evenkeel redis start --port 6380 --folder ./.redis')
    .action((flags: StartFlags) => start(flags, context))
  command
    .command('stop')
    .description('stops the one that this command started; its data stays')
    .option(...folder)
    .option('--json', 'one JSON document')
    .action(async (flags: Flags) => {
      const wasRunning = await stopServer(flags.folder)
      show(context.io, flags.json === true, { stopped: wasRunning }, () => [
        wasRunning ? 'stopped' : 'none was running',
      ])
    })
  command
    .command('status')
    .description('says whether it runs; exits 1 where it does not')
    .option(...folder)
    .option('--json', 'one JSON document')
    .action((flags: Flags) => {
      const state = stateOf(flags.folder)
      const isRunning = state?.isRunning === true
      show(
        context.io,
        flags.json === true,
        { running: isRunning, ...(isRunning ? urlOf(state.server) : {}) },
        () => [isRunning ? describe(state.server) : `none runs from ${flags.folder}`],
      )
      context.end(isRunning ? exitCodes.done : exitCodes.failed)
    })
}

async function start({ folder, json, ...flags }: StartFlags, { io }: Context): Promise<void> {
  const state = stateOf(folder)
  const wasRunning = state?.isRunning === true
  const server = wasRunning
    ? state.server
    : await startServer({ folder, port: flags.port, maxmemory: flags.maxmemory, with: flags.with })
  show(io, json === true, { started: !wasRunning, ...urlOf(server) }, () => [
    `${wasRunning ? 'runs already' : 'started'}: ${describe(server)}`,
    `export REDIS_URL=${urlOf(server).url}`,
  ])
}

function urlOf({ port, pid }: DevServer): { readonly url: string; readonly pid: number } {
  return { url: `redis://127.0.0.1:${port}`, pid }
}

function describe({ command, pid, port, container, startedAt }: DevServer): string {
  const what = container === undefined ? `process ${pid}` : `container ${container.slice(0, 12)}`
  return `${command} (${what}) on port ${port}, since ${startedAt}`
}
