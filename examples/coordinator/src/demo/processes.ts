import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Running {
  readonly name: string
  readonly url: string
  readonly child: ChildProcess
}

/** Starts a built script in a process of its own and waits until it reports its port. */
export async function start(
  script: 'coordinator' | 'node',
  name: string,
  args: readonly string[] = [],
  env: NodeJS.ProcessEnv = {},
): Promise<Running> {
  const file = fileURLToPath(new URL(`./${script}.js`, import.meta.url))
  const child = fork(file, args, {
    // Overrides a PORT that the user has set: only one process could listen on it.
    env: { ...process.env, PORT: '0', ...env },
    // The coordinator logs every broken stream at length; the demo counts them instead.
    stdio: ['ignore', 'inherit', script === 'coordinator' ? 'ignore' : 'inherit', 'ipc'],
  })
  const [{ port }] = (await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`${name} ended with ${code}`))),
  ])) as [{ port: number }]
  return { name, url: `http://127.0.0.1:${port}`, child }
}

/** Runs `evenkeel register-decoder --keep`, as on the node's machine: it registers the node and renews its lease. */
export async function register(args: readonly string[]): Promise<ChildProcess> {
  const manifest = createRequire(import.meta.url).resolve('evenkeel/package.json')
  const command = join(dirname(manifest), 'dist', 'bin.js')
  const child = spawn(process.execPath, [command, 'register-decoder', '--keep', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`register-decoder ended with ${code}`))),
  ])
  return child
}

export async function end(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill(signal)
  await exited
}
