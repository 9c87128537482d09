import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

export interface Running {
  readonly name: string
  readonly url: string
  readonly child: ChildProcess
  stop(): Promise<void>
}

/** Starts a built script, by default one next to this, in its own process, and waits until it reports its port. */
export async function start(
  script: 'decoder' | 'gateway',
  name: string,
  args: string[],
  env: NodeJS.ProcessEnv = {},
  folder = new URL('.', import.meta.url),
): Promise<Running> {
  const file = fileURLToPath(new URL(`${script}.js`, folder))
  const child = fork(file, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const port = await new Promise<number>((resolve, reject) => {
    child.once('message', (message) => resolve((message as { port: number }).port))
    child.once('exit', (code, signal) =>
      reject(new Error(`${name} ended with ${code ?? signal} before it listened`)),
    )
  })
  return {
    name,
    url: `http://127.0.0.1:${port}`,
    child,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), 3_000)
      await exited
      clearTimeout(timer)
    },
  }
}
