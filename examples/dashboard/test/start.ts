import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const script = fileURLToPath(new URL('../dist/server/dashboard.js', import.meta.url))

export interface RunningDashboard {
  readonly url: string
  stop(): Promise<void>
}

/** Starts the built dashboard as its command does, but opens no browser. */
export async function startDashboard(): Promise<RunningDashboard> {
  const { REDIS_URL: _, ...env } = process.env
  const child: ChildProcess = fork(script, ['--no-open'], {
    env,
    // The options of the test process would resolve packages to their sources.
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const url = await new Promise<string>((resolve, reject) => {
    child.once('message', (message) => resolve((message as { url: string }).url))
    child.once('exit', (code) => reject(new Error(`The dashboard ended with ${code}`)))
  })
  return {
    url,
    async stop() {
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      await exited
    },
  }
}
