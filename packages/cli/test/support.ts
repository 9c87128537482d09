import type { Io } from '../src/index.js'
import { main } from '../src/index.js'

/** An `Io` without a process, and the lines that a command writes to it. */
export function fakeIo(own: Partial<Io> = {}) {
  const lines = { out: [] as string[], err: [] as string[] }
  const made: Io = {
    out: (line) => void lines.out.push(line),
    drained: async () => {},
    err: (line) => void lines.err.push(line),
    progress: () => {},
    screen: (shown) => void lines.out.push(...shown),
    ask: undefined,
    askSecret: undefined,
    detach: () => {},
    stopped: () => new Promise(() => {}),
    env: {},
    hasColours: false,
    isTerminal: false,
    ...own,
  }
  return { ...lines, io: made }
}

/** Runs a command, and resolves with its exit code and what it wrote. */
export async function runCommand(args: readonly string[], own: Partial<Io> = {}) {
  const { out, err, io } = fakeIo(own)
  const code = await main(args, io)
  return {
    code,
    out: out.join('\n'),
    err: err.join('\n'),
    json: () => JSON.parse(out.at(-1) ?? '') as unknown,
  }
}
