import { once } from 'node:events'
import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { exitCodes } from './exit-codes.js'
import { cut } from './text-width.js'

/** What the command uses of its process, so that tests can replace it. */
export interface Io {
  out(line: string): void
  /** Resolves when standard output accepts more data, for output that is too long for memory. */
  drained(): Promise<void>
  err(line: string): void
  /** Replaces the progress line on the standard error of a terminal. Without a terminal it does nothing. */
  progress(line: string | undefined): void
  /** Replaces what a terminal shows with these lines; without a terminal, writes them one below the other. */
  screen(lines: readonly string[]): void
  /** Asks the user; `undefined` if the command does not run in a terminal. */
  readonly ask: ((question: string) => Promise<string>) | undefined
  /** As `ask`, without showing what the user types. */
  readonly askSecret: ((question: string) => Promise<string>) | undefined
  /** From now on, the command continues even if the reader of its output leaves. */
  detach(): void
  /** Resolves when the process is told to stop. */
  stopped(): Promise<void>
  readonly env: Readonly<Record<string, string | undefined>>
  /** Whether standard output is a terminal that supports colours. */
  readonly hasColours: boolean
  /** Whether standard output is a terminal. */
  readonly isTerminal: boolean
}

/**
 * The real process. If output goes to a pipe that was closed (`| head`), the command ends silently, but not with the
 * exit code of success. If standard error is closed, the command continues.
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
      // A terminal that does not know its width reports 0.
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
  // readline echoes what the user types to its output; for a secret, the output discards it.
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
