import { type ChildProcess, fork } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'

/** Below `node_modules`, so that the packages that a worker imports are found. */
const cache = fileURLToPath(new URL('../node_modules/.cache', import.meta.url))
const compiled = new Map<string, string>()

/**
 * Starts a process of a test from its TypeScript file. The file is compiled once: a test begins dozens of processes,
 * and one that compiles its own TypeScript takes four times as long to begin.
 */
export function forkWorker(file: string, args: readonly string[] = []): ChildProcess {
  return fork(compile(file), args, {
    cwd: dirname(file),
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
}

function compile(file: string): string {
  const known = compiled.get(file)
  if (known !== undefined) return known
  mkdirSync(cache, { recursive: true })
  const folder = mkdtempSync(join(cache, 'worker-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  buildSync({
    entryPoints: [file],
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
  })
  const script = join(folder, basename(file).replace(/\.ts$/, '.mjs'))
  compiled.set(file, script)
  return script
}
