import { createInterface } from 'node:readline/promises'

/** What the command sees of the process it runs in, so that it can be tried without one. */
export interface Io {
  out(line: string): void
  err(line: string): void
  /** Asks a person; nothing where there is none. */
  readonly ask: ((question: string) => Promise<string>) | undefined
  /** Resolves when the process is told to end. */
  stopped(): Promise<void>
  readonly env: Readonly<Record<string, string | undefined>>
}

export function processIo(): Io {
  const isPerson = process.stdin.isTTY === true && process.stdout.isTTY === true
  return {
    out: (line) => void process.stdout.write(`${line}\n`),
    err: (line) => void process.stderr.write(`${line}\n`),
    ask: isPerson ? askPerson : undefined,
    stopped: () =>
      new Promise((resolve) => {
        process.once('SIGTERM', () => resolve())
        process.once('SIGINT', () => resolve())
      }),
    env: process.env,
  }
}

async function askPerson(question: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return (await lines.question(`${question}: `)).trim()
  } finally {
    lines.close()
  }
}
