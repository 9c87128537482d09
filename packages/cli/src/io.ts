import { once } from 'node:events'
import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { exitCodes } from './exit-codes.js'
import { cut } from './text-width.js'

/** What the command sees of the process it runs in, so that it can be tried without one. */
export interface Io {
  out(line: string): void
  /** Resolves when standard output takes more: for what is longer than memory should hold. */
  drained(): Promise<void>
  err(line: string): void
  /** Replaces what `show` last showed on a terminal's standard error: progress. Does nothing elsewhere. */
  progress(line: string | undefined): void
  /** Replaces what a terminal shows by these lines; elsewhere they are written one below the other. */
  screen(lines: readonly string[]): void
  /** Asks a person; nothing where there is none. */
  readonly ask: ((question: string) => Promise<string>) | undefined
  /** The same, without showing what is typed. */
  readonly askSecret: ((question: string) => Promise<string>) | undefined
  /** From now on the process has more to do than to tell: who reads its output may leave. */
  detach(): void
  /** Resolves when the process is told to end. */
  stopped(): Promise<void>
  readonly env: Readonly<Record<string, string | undefined>>
  /** Whether standard output is a terminal that shows colours. */
  readonly hasColours: boolean
  /** Whether standard output is a terminal. */
  readonly isTerminal: boolean
}

/**
 * The real process. Output to a pipe that was closed (`| head`) ends the command without a word, but not as if it had
 * done all; where standard error is closed, the work goes on.
 */
export function processIo(): Io {
  const { stdin, stdout, stderr, env } = process
  let isDetached = false
  stderr.on('error', () => {})
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (isDetached) return
    if (error.code !== 'EPIPE') stderr.write(`evenkeel: standard output: ${error.message}\n`)
    process.exit(error.code === 'EPIPE' ? exitCodes.readerLeft : exitCodes.failed)
  })
  const isPerson = stdin.isTTY === true && stderr.isTTY === true
  return {
    out: (line) => void stdout.write(`${line}\n`),
    drained: async () => {
      if (stdout.writableNeedDrain) await once(stdout, 'drain')
    },
    err: (line) => void stderr.write(`${line}\n`),
    progress: (line) => {
      if (stderr.isTTY === true) stderr.write(`\r\x1b[K${line ?? ''}`)
    },
    screen: (lines) => {
      const [start, end] = stdout.isTTY === true ? ['\x1b[H', '\x1b[J'] : ['', '']
      // A terminal that does not know its width says 0.
      const width = (stdout.isTTY === true && stdout.columns) || Number.POSITIVE_INFINITY
      const eraseRest = stdout.isTTY === true ? '\x1b[K' : ''
      stdout.write(`${start}${lines.map((line) => `${cut(line, width)}${eraseRest}\n`).join('')}${end}`)
    },
    ask: isPerson ? (question) => askPerson(question, false) : undefined,
    askSecret: isPerson ? (question) => askPerson(question, true) : undefined,
    detach: () => {
      isDetached = true
    },
    stopped: () =>
      new Promise((resolve) => {
        process.once('SIGTERM', () => resolve())
        process.once('SIGINT', () => resolve())
      }),
    env,
    hasColours: stdout.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb',
    isTerminal: stdout.isTTY === true,
  }
}

async function askPerson(question: string, isSecret: boolean): Promise<string> {
  // What is typed is echoed by readline's output: for a secret that goes nowhere.
  const output = isSecret ? new Writable({ write: (_, __, done) => done() }) : process.stderr
  const lines = createInterface({ input: process.stdin, output, terminal: true })
  try {
    if (isSecret) process.stderr.write(`${question}: `)
    return (await lines.question(isSecret ? '' : `${question}: `)).trim()
  } finally {
    lines.close()
    if (isSecret) process.stderr.write('\n')
  }
}
