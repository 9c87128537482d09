import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'

export interface RunOptions {
  /** Environment variables, in addition to PATH and such as are needed for caches, temporary files and proxies. */
  readonly env?: Readonly<Record<string, string>>
  readonly args?: readonly string[]
  /**
   * How long it may run. It is no measure of speed: a process that ends only because it is killed has kept something
   * open. @default 90_000
   */
  readonly timeoutMs?: number
  /**
   * A warning is a failure, unless the test is about one. `outages` allows our warnings that Redis is down and up
   * again. @default 'refused'
   */
  readonly stderr?: 'refused' | 'outages' | 'allowed'
  /** Whether a code other than 0 is given back as `code`. @default false, it is an error */
  readonly mayFail?: boolean
}

export interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  /** The last line of stdout, which the script has printed as JSON. */
  readonly value: unknown
}

/** A service in a process of its own. */
export interface Service extends AsyncDisposable {
  /** Such as `http://127.0.0.1:41234`. */
  readonly url: string
  readonly pid: number
  /** What it has printed so far. */
  readonly output: { readonly stdout: string; readonly stderr: string }
  /** Sends it a request, by the global `fetch`. */
  fetch(path: string, init?: RequestInit): Promise<Response>
  /** Sends SIGTERM and waits; rejects if the process does not end within 30 s, or not with success. */
  stop(): Promise<void>
}

/** Runs a command to its end. */
export async function execute(
  command: string,
  args: readonly string[],
  cwd: string,
  options: RunOptions = {},
): Promise<Outcome> {
  const running = start(command, [...args, ...(options.args ?? [])], cwd, options)
  const { timeoutMs = 90_000 } = options
  const timer = setTimeout(() => running.child.kill('SIGKILL'), timeoutMs)
  const { code, signal } = await running.end
  clearTimeout(timer)
  const { stdout, stderr } = running
  const quiet = options.stderr === 'allowed' || unexpected(stderr, options.stderr === 'outages') === ''
  if (code === null || (code !== 0 && options.mayFail !== true) || !quiet) {
    const how = signal === 'SIGKILL' ? `did not end within ${timeoutMs} ms` : `ended with ${code ?? signal}`
    throw new Error(`${command} ${args.join(' ')} ${how}\n--- stdout\n${stdout}\n--- stderr\n${stderr}`)
  }
  return {
    code,
    stdout,
    stderr,
    get value() {
      const line = stdout.trimEnd().split('\n').at(-1) ?? ''
      return JSON.parse(line) as unknown
    },
  }
}

function unexpected(stderr: string, outagesAreExpected: boolean): string {
  if (!outagesAreExpected) return stderr
  return stderr.replace(
    /^\(node:\d+\) \[EVENKEEL_REDIS_(DOWN|UP)\] .*\n|^\(Use `node --trace-warnings .*\n/gm,
    '',
  )
}

/** Starts a command that prints `listening <port>` once it serves. */
export async function serve(
  command: string,
  args: readonly string[],
  cwd: string,
  options: RunOptions = {},
): Promise<Service> {
  const running = start(command, [...args, ...(options.args ?? [])], cwd, options)
  const { child, end } = running
  let ended = false
  void end.then(() => {
    ended = true
  })
  const deadline = performance.now() + (options.timeoutMs ?? 90_000)
  let port: string | undefined
  while (port === undefined) {
    port = /^listening (\d+)$/m.exec(running.stdout)?.[1]
    if (port === undefined && (ended || performance.now() > deadline)) {
      child.kill('SIGKILL')
      throw new Error(
        `the service did not start\n--- stdout\n${running.stdout}\n--- stderr\n${running.stderr}`,
      )
    }
    if (port === undefined) await sleep(20)
  }
  const url = `http://127.0.0.1:${port}`
  return {
    url,
    pid: child.pid ?? 0,
    output: running,
    fetch: (path, init) => fetch(url + path, init),
    async stop() {
      child.kill('SIGTERM')
      const killed = setTimeout(() => child.kill('SIGKILL'), 30_000)
      const { code, signal } = await end
      clearTimeout(killed)
      if (code !== 0) {
        throw new Error(
          `the service ended with ${code ?? signal}\n--- stdout\n${running.stdout}\n--- stderr\n${running.stderr}`,
        )
      }
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await end
    },
  }
}

interface Running {
  readonly child: ChildProcess
  readonly stdout: string
  readonly stderr: string
  readonly end: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
}

const alive = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL')
})

function start(command: string, args: readonly string[], cwd: string, { env }: RunOptions): Running {
  const child = spawn(command, args, { cwd, env: environment(env), stdio: ['ignore', 'pipe', 'pipe'] })
  alive.add(child)
  const output = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output.stderr += text
  })
  const end = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      alive.delete(child)
      resolve({ code, signal })
    })
  })
  return {
    child,
    end,
    get stdout() {
      return output.stdout
    },
    get stderr() {
      return output.stderr
    },
  }
}

/** Keeps the test runner's own variables away from a project, such as those of Redis and vitest, and NODE_OPTIONS. */
function environment(given: Readonly<Record<string, string>> = {}): Record<string, string> {
  const kept = ['PATH', 'HOME', 'TMPDIR', 'TEMP', 'SystemRoot', 'http_proxy', 'https_proxy', 'no_proxy']
  const env: Record<string, string> = {}
  for (const [name, value] of Object.entries(process.env)) {
    if (value === undefined) continue
    const isKept = kept.some((each) => each.toLowerCase() === name.toLowerCase())
    if (isKept || /^(npm_config_(?!user_agent)|SSL_CERT_|NODE_EXTRA_CA)/i.test(name)) env[name] = value
  }
  return { ...env, ...given }
}
