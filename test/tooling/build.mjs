import { spawn } from 'node:child_process'
import { readdirSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { staleFiles } from './stale-files.mjs'

/**
 * Builds the packages, or those of a `--filter`, with turbo: what has not changed is taken from its cache. It prints a
 * line before and after; turbo's output is shown only on failure. What earlier builds have left in a package's `dist`
 * is removed, since it would be packed.
 */
const filters = process.argv.slice(2)
const what = filters.length === 0 ? 'packages and examples' : filters.map(named).join(', ')
console.log(`Building ${what} (a minute or two the first time, seconds after that) …`)

const began = performance.now()
const turbo = join(dirname(createRequire(import.meta.url).resolve('turbo/package.json')), 'bin/turbo')
const child = spawn(process.execPath, [turbo, 'run', 'build', '--output-logs=errors-only', ...filters], {
  stdio: ['ignore', 'pipe', 'pipe'],
  env: { ...process.env, TURBO_TELEMETRY_DISABLED: '1', TURBO_NO_UPDATE_NOTIFIER: '1' },
})
let said = ''
for (const stream of [child.stdout, child.stderr]) {
  stream.setEncoding('utf8').on('data', (text) => {
    said += text
  })
}
child.on('close', (code) => {
  if (code === 0) {
    removeStaleFiles()
    console.log(`Built in ${((performance.now() - began) / 1000).toFixed(1)} s`)
  } else console.error(said)
  process.exitCode = code ?? 1
})

function removeStaleFiles() {
  const packages = fileURLToPath(new URL('../../packages/', import.meta.url))
  for (const name of readdirSync(packages)) {
    for (const file of staleFiles(join(packages, name))) rmSync(join(packages, name, file))
  }
}

function named(filter) {
  const name = filter.replace('--filter=', '')
  if (name === './packages/*') return 'the packages'
  return name.endsWith('...') ? `${name.slice(0, -3)} and what it needs` : name
}
