import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isOnlyForImport } from './esm-only.mjs'
import { staleFiles } from './stale-files.mjs'

/**
 * Packs the package in the working directory, and checks the tarball with publint and "are the types wrong". Neither
 * checks what the CommonJS build requires, files of earlier builds, or licences, so this script does.
 */
const folder = mkdtempSync(join(tmpdir(), 'evenkeel-pack-'))
const run = (command, args) => execFileSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'] })
try {
  run('pnpm', ['--silent', 'pack', '--pack-destination', folder])
  const tarball = join(folder, readdirSync(folder)[0])
  run('publint', ['--strict', tarball])
  run('attw', [tarball, '--profile', 'strict'])
  const refused = modulesRequired('dist').filter((specifier) => isOnlyForImport(process.cwd(), specifier))
  if (refused.length > 0) {
    console.error(`The CommonJS build requires what can only be imported: ${refused.join(', ')}`)
    process.exitCode = 1
  }
  const stale = staleFiles('.')
  if (stale.length > 0) {
    console.error(`What no entry of the manifest reaches would be packed: ${stale.join(', ')}`)
    process.exitCode = 1
  }
  const unlicensed = builtIn().filter((name) => !licences().includes(`${name}\n`))
  if (unlicensed.length > 0) {
    console.error(`Built in without the licence that is to be passed on: ${unlicensed.join(', ')}`)
    process.exitCode = 1
  }
} catch (error) {
  // The command has printed what is wrong.
  process.exitCode = error.status ?? 1
  if (error.status === undefined) throw error
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** Dependencies that CommonJS cannot require, so that the build bundles them. */
function builtIn() {
  const { dependencies = {} } = JSON.parse(readFileSync('package.json', 'utf8'))
  const names = Object.keys(dependencies).filter((name) => !name.startsWith('@evenkeel/'))
  return names.filter((name) => isOnlyForImport(process.cwd(), name))
}

function licences() {
  const file = join('dist', 'third-party-notices.txt')
  return existsSync(file) ? readFileSync(file, 'utf8') : ''
}

function modulesRequired(dist) {
  const required = readdirSync(dist)
    .filter((file) => file.endsWith('.cjs'))
    .flatMap((file) => [...readFileSync(join(dist, file), 'utf8').matchAll(/\brequire\("([^"]+)"\)/g)])
    .map(([, specifier]) => specifier)
  return [...new Set(required)]
}
