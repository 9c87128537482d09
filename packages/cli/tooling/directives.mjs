// Asks running servers which directives they know and what each takes, and writes src/redis-conf/directive-table.ts.
//
//   node packages/cli/tooling/directives.mjs NAME=/path/to/server ...
//
// A directive is set to a value that no directive takes: the server's refusal says its type, bounds and choices.
// A directive that accepts it is text, and gets its old value back.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient } from 'redis'

const target = new URL('../src/redis-conf/directive-table.ts', import.meta.url)
const wrong = 'no such value'

/** Directives of configuration files that CONFIG GET does not show. */
const onlyInFiles = ['include', 'loadmodule', 'rename-command', 'user']

/** Directives that a running server refuses to change, with the choices that their documentation lists. */
const choicesInFiles = {
  'enable-debug-command': ['yes', 'no', 'local'],
  'enable-module-command': ['yes', 'no', 'local'],
  'enable-protected-configs': ['yes', 'no', 'local'],
  supervised: ['no', 'upstart', 'systemd', 'auto'],
}

const servers = process.argv.slice(2).map((argument) => argument.split('='))
const directives = {}
for (const [name, path] of servers) {
  const folder = mkdtempSync(join(tmpdir(), 'directives-'))
  const port = await freePort()
  const server = spawn(path, ['--port', String(port), '--dir', folder, '--save', ''], { stdio: 'ignore' })
  const client = createClient({ url: `redis://127.0.0.1:${port}` })
  client.on('error', () => {})
  try {
    await client.connect()
    for (const [directive, value] of Object.entries(await client.configGet('*'))) {
      directives[directive] ??= { servers: [] }
      const known = directives[directive]
      known.servers.push(name)
      const choices = choicesInFiles[directive]
      Object.assign(known, choices ? { type: 'choice', choices } : await typeOf(client, directive, value))
    }
    for (const directive of onlyInFiles) {
      directives[directive] ??= { servers: [], type: 'file' }
      directives[directive].servers.push(name)
    }
  } finally {
    await client.disconnect().catch(() => {})
    server.kill()
    await new Promise((resolve) => server.once('exit', resolve))
    rmSync(folder, { recursive: true, force: true })
  }
}
const sorted = Object.fromEntries(Object.entries(directives).sort(([one], [other]) => (one < other ? -1 : 1)))
const lines = Object.entries(sorted).map(
  ([name, known]) => `  ${JSON.stringify(name)}: ${JSON.stringify(known)},`,
)
const head = `import type { Directive } from './directives.js'

/** Made by tooling/directives.mjs: what each server said of its directives when it was asked. */
export const directiveTable: Readonly<Record<string, Directive>> = {`
writeFileSync(target, `${head}\n${lines.join('\n')}\n}\n`)

async function typeOf(client, directive, value) {
  try {
    await client.configSet(directive, wrong)
    await client.configSet(directive, value)
    return { type: 'text' }
  } catch (error) {
    const message = String(error.message)
    if (/immutable/.test(message)) return { type: typeOfDefault(value) }
    if (/'yes' or 'no'/.test(message)) return { type: 'flag' }
    const choices = /one(?:\(s\))? of the following: (.*)$/.exec(message)
    if (choices) return { type: 'choice', choices: choices[1].split(/, ?/).map((one) => one.trim()) }
    if (/memory value|memory or percent/.test(message))
      return { type: /percent/.test(message) ? 'memory-or-percent' : 'memory' }
    if (/integer|between|octal/.test(message))
      return { type: 'integer', ...(await boundsOf(client, directive, value)) }
    return { type: 'text' }
  }
}

/** The type of a directive that a running server refuses to change; only its default shows it. */
function typeOfDefault(value) {
  if (/^(yes|no)$/.test(value)) return 'flag'
  return /^\d+$/.test(value) ? 'integer' : 'text'
}

async function boundsOf(client, directive, value) {
  for (const far of ['-9000000000000000000', '9000000000000000000']) {
    try {
      await client.configSet(directive, far)
      await client.configSet(directive, value)
    } catch (error) {
      const bounds = /between (-?\d+) and (-?\d+)/.exec(String(error.message))
      // A bound beyond what a number holds exactly is not worth a message.
      if (bounds) return { min: Number(bounds[1]), max: Math.min(Number(bounds[2]), Number.MAX_SAFE_INTEGER) }
    }
  }
  return {}
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}
