import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { onPath } from './locate.mjs'

export interface ChildServer {
  /** The child's own pid, which is a launcher's where a server runs in a container. */
  readonly pid: number
  readonly exited: boolean
  /** Resolves when the process is gone. */
  gone(): Promise<void>
}

const pids = new Set<number>()
const cleanings = new Set<() => void>()
let watching = false

/** Starts a process that does not outlive this one; what it prints goes to `logFile`. */
export function spawnServer(
  command: string,
  args: readonly string[],
  dir: string,
  { logFile, env }: { readonly logFile: string; readonly env: Readonly<Record<string, string>> },
): ChildServer {
  // An exit handler does not run when this process is killed; with setpriv the kernel then kills the child.
  const setpriv = process.platform === 'linux' ? onPath('setpriv') : undefined
  const line = setpriv ? [setpriv, '--pdeathsig', 'KILL', command, ...args] : [command, ...args]
  const [executable = command, ...rest] = line
  const log = openSync(logFile, 'a')
  let child: ChildProcess
  try {
    child = spawn(executable, rest, {
      cwd: dir,
      stdio: ['ignore', log, log],
      env: { ...process.env, ...env },
    })
  } finally {
    closeSync(log)
  }
  const { pid } = child
  if (pid === undefined) {
    child.on('error', () => {})
    throw new Error(`cannot start ${command}`)
  }
  killAtExit(pid)
  let exited = false
  const end = new Promise<void>((resolve) => {
    child.once('exit', () => {
      exited = true
      forget(pid)
      resolve()
    })
  })
  child.unref()
  return {
    pid,
    get exited() {
      return exited
    },
    gone: async () => {
      child.ref()
      await end
    },
  }
}

/** Has `pid` killed when this process ends. */
export function killAtExit(pid: number): void {
  pids.add(pid)
  watch()
}

export function forget(pid: number): void {
  pids.delete(pid)
}

/** Calls `clean` when this process ends, after the servers were killed. The function returned cancels that. */
export function cleanAtExit(clean: () => void): () => void {
  cleanings.add(clean)
  watch()
  return () => cleanings.delete(clean)
}

function watch(): void {
  if (watching) return
  watching = true
  process.once('exit', () => {
    for (const pid of pids) signal(pid, 'SIGKILL')
    for (const clean of cleanings) clean()
  })
}

/** Sends a signal, unless the process is already gone. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
