import { mkdtempSync, rmSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

/** Below `node_modules`, so that what the worker imports is found. */
const cache = fileURLToPath(new URL('../node_modules/.cache', import.meta.url))

/**
 * Builds the worker as JavaScript: a round starts some forty processes, and each takes four times as long to start if
 * it compiles its own TypeScript. The build is deleted when this process exits.
 */
export async function buildWorker(): Promise<string> {
  await mkdir(cache, { recursive: true })
  const folder = mkdtempSync(join(cache, 'histories-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  await build({
    entryPoints: [fileURLToPath(new URL('./worker.ts', import.meta.url))],
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
  })
  return join(folder, 'worker.mjs')
}
