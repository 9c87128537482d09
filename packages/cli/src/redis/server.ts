import { execFileSync, spawn } from 'node:child_process'
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createConnection } from 'node:net'
import { delimiter, join, resolve } from 'node:path'
import { CommandError, exitCodes } from '../exit-codes.js'

/** A server for development that this command started, as recorded in its folder. */
export interface DevServer {
  readonly pid: number
  readonly port: number
  readonly command: string
  readonly startedAt: string
  readonly container?: string
}

export interface StartOptions {
  readonly folder: string
  readonly port: number
  readonly maxmemory: string
  /** A server program or `docker`. @default the first of redis-server, valkey-server and docker that is there */
  readonly with: string | undefined
}

const stateFile = 'evenkeel-redis.json'
const waitMs = 10_000

/** The server that was started in a folder, and whether it runs. */
export function stateOf(
  folder: string,
): { readonly server: DevServer; readonly isRunning: boolean } | undefined {
  const file = join(folder, stateFile)
  if (!existsSync(file)) return undefined
  const server = JSON.parse(readFileSync(file, 'utf8')) as DevServer
  return {
    server,
    isRunning: server.container === undefined ? isOurs(server) : isContainerRunning(server.container),
  }
}

/** Starts a server that outlives the command. @throws CommandError if the port is taken or no server can be started */
export async function startServer(options: StartOptions): Promise<DevServer> {
  const folder = resolve(options.folder)
  mkdirSync(folder, { recursive: true })
  if (await isListening(options.port)) {
    throw new CommandError(
      exitCodes.usage,
      `port ${options.port} is taken by something that this command did not start; choose another with --port`,
    )
  }
  const command =
    options.with ?? ['redis-server', 'valkey-server', 'docker'].find((name) => onPath(name) !== undefined)
  if (command === undefined) {
    throw new CommandError(
      exitCodes.failed,
      'neither redis-server, valkey-server nor docker is on the PATH; install one, such as apt-get install redis-server',
    )
  }
  if (onPath(command) === undefined)
    throw new CommandError(exitCodes.usage, `${command} is no program that can be run; see --with`)
  const server =
    command === 'docker' ? startContainer(options, folder) : startProgram(command, options, folder)
  writeFileSync(join(folder, stateFile), `${JSON.stringify(server, undefined, 2)}\n`)
  const deadline = Date.now() + waitMs
  while (!(await isListening(options.port))) {
    if (Date.now() > deadline || !stateOf(folder)?.isRunning) {
      await stopServer(folder)
      throw new CommandError(exitCodes.failed, `it did not start; see ${join(folder, 'redis.log')}`)
    }
    await new Promise((done) => setTimeout(done, 50))
  }
  return server
}

/** Stops the server that was started in this folder, and no other. Its data stays. `false` if no server runs. */
export async function stopServer(folder: string): Promise<boolean> {
  const state = stateOf(folder)
  rmSync(join(folder, stateFile), { force: true })
  if (state === undefined || !state.isRunning) return false
  const { pid, container } = state.server
  if (container !== undefined) {
    execFileSync('docker', ['stop', container], { stdio: 'ignore' })
    return true
  }
  process.kill(pid, 'SIGTERM')
  const deadline = Date.now() + waitMs
  while (isAlive(pid)) {
    if (Date.now() > deadline) throw new CommandError(exitCodes.failed, `process ${pid} does not end`)
    await new Promise((done) => setTimeout(done, 50))
  }
  return true
}

function startProgram(command: string, { port, maxmemory }: StartOptions, folder: string): DevServer {
  const log = openSync(join(folder, 'redis.log'), 'a')
  const child = spawn(
    command,
    [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--dir',
      folder,
      '--maxmemory',
      maxmemory,
      '--appendonly',
      'yes',
      '--save',
      '',
    ],
    { detached: true, stdio: ['ignore', log, log] },
  )
  child.unref()
  if (child.pid === undefined) throw new CommandError(exitCodes.failed, `${command} can't be run`)
  return { pid: child.pid, port, command, startedAt: new Date().toISOString() }
}

function startContainer({ port, maxmemory }: StartOptions, folder: string): DevServer {
  const id = execFileSync(
    'docker',
    [
      'run',
      '--detach',
      '--rm',
      '--publish',
      `127.0.0.1:${port}:6379`,
      '--volume',
      `${folder}:/data`,
      'redis:8',
      '--maxmemory',
      maxmemory,
      '--appendonly',
      'yes',
    ],
    { encoding: 'utf8' },
  ).trim()
  return { pid: 0, port, command: 'docker', startedAt: new Date().toISOString(), container: id }
}

/** Process ids are reused: only a server on our port is ours. Servers show their port in their process title. */
function isOurs({ pid, port }: DevServer): boolean {
  if (!isAlive(pid)) return false
  const file = `/proc/${pid}/cmdline`
  if (!existsSync(file)) return true
  const title = readFileSync(file, 'utf8')
  return /redis|valkey/.test(title) && title.includes(String(port))
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

function isContainerRunning(id: string): boolean {
  try {
    return (
      execFileSync('docker', ['inspect', '--format', '{{.State.Running}}', id], {
        encoding: 'utf8',
      }).trim() === 'true'
    )
  } catch {
    return false
  }
}

function isListening(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = createConnection({ port, host: '127.0.0.1' })
    socket.setTimeout(1_000)
    const end = (isOpen: boolean) => {
      socket.destroy()
      done(isOpen)
    }
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
    socket.once('timeout', () => end(false))
  })
}

/** The program with that name or path. */
function onPath(name: string): string | undefined {
  const candidates = name.includes('/')
    ? [name]
    : (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, name))
  return candidates.find((file) => {
    try {
      accessSync(file, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}
