import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const gatewayClock = new URL('./gateway-clock.mjs', import.meta.url).href
const scripts = {
  gateway: fileURLToPath(new URL('../../examples/gateway/dist/gateway.js', import.meta.url)),
  decoder: fileURLToPath(new URL('./decoder.mjs', import.meta.url)),
  portkey: fileURLToPath(new URL('./peers/portkey.mjs', import.meta.url)),
}

/** Times at which a process was away: stopped, or dead until it was started again. */
export interface Absence {
  readonly from: number
  to: number
}

/** A process that faults kill, start again on the same port, and stop. */
export class Member {
  readonly name: string
  readonly absences: Absence[] = []
  /** What it wrote to stderr. */
  said = ''
  port = 0
  #child: ChildProcess | undefined
  readonly #script: keyof typeof scripts
  readonly #env: NodeJS.ProcessEnv
  #isClosed = false

  /** @param headers of every request to it */
  constructor(
    name: string,
    script: keyof typeof scripts,
    env: NodeJS.ProcessEnv,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    this.name = name
    this.#script = script
    this.#env = env
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  async start(): Promise<void> {
    const { REDIS_URL: _, ...inherited } = process.env
    const child = fork(scripts[this.#script], [], {
      env: { ...inherited, ...this.#env, PORT: String(this.port) },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      // Without the arguments of the soak's own process.
      execArgv: ['--import', gatewayClock],
    })
    this.#child = child
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.said += text
    })
    child.once('exit', (code, signal) => {
      if (!this.#isClosed && signal !== 'SIGKILL') this.said += `\nended by itself: ${code ?? signal}\n`
    })
    const ended = once(child, 'exit').then(() => {
      throw new Error(`${this.name} ended before it served: ${this.said}`)
    })
    // Once it serves, its exit is no error here.
    ended.catch(() => {})
    const [message] = await Promise.race([once(child, 'message'), ended])
    this.port = (message as { port: number }).port
  }

  /** Sends SIGKILL, and starts the process again after `ms`. */
  async dieFor(ms: number): Promise<void> {
    const child = this.#child
    if (child === undefined) return
    const absence = this.#begin()
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
    await new Promise((resolve) => setTimeout(resolve, ms))
    await this.start()
    absence.to = performance.now()
  }

  /** Sends SIGSTOP, and SIGCONT after `ms`. */
  async hangFor(ms: number): Promise<void> {
    const absence = this.#begin()
    this.#child?.kill('SIGSTOP')
    await new Promise((resolve) => setTimeout(resolve, ms))
    this.#child?.kill('SIGCONT')
    absence.to = performance.now()
  }

  /** Sets its wall clock `offsetMs` ahead of the right time, or behind it if negative. */
  setClock(offsetMs: number): void {
    if (this.#child?.connected) this.#child.send({ clockOffsetMs: offsetMs })
  }

  #begin(): Absence {
    const absence = { from: performance.now(), to: Number.POSITIVE_INFINITY }
    this.absences.push(absence)
    return absence
  }

  /** Whether it was away at some moment between `from` and `to`, or up to `marginMs` before. */
  wasAway(from: number, to: number, marginMs = 0): boolean {
    return this.absences.some((absence) => absence.from <= to && absence.to + marginMs >= from)
  }

  async ask<T>(): Promise<T> {
    const child = this.#child
    if (child === undefined) throw new Error(`${this.name} was not started`)
    const answer = once(child, 'message')
    child.send('tell')
    return (await answer)[0] as T
  }

  async close(): Promise<void> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    this.#isClosed = true
    const exited = once(child, 'exit')
    child.kill('SIGCONT')
    child.kill('SIGKILL')
    await exited
  }
}
