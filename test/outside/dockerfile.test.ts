import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { tmpdir } from 'node:os'
import { basename, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { claimPort, releasePort } from '@evenkeel/test-servers'
import { afterAll, beforeAll, expect, it } from 'vitest'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const dockerfile = join(root, 'examples/deploy/gateway.Dockerfile')
const lines = readFileSync(dockerfile, 'utf8').split('\n')
/** What `COPY . .` of the image makes, and what its build leaves in /out. */
const source = mkdtempSync(join(tmpdir(), 'evenkeel-source-'))
const out = mkdtempSync(join(tmpdir(), 'evenkeel-image-'))
afterAll(() => {
  for (const made of [out, source]) rmSync(made, { recursive: true, force: true })
})

/** Patterns of a .dockerignore, of the two kinds that ours has: a name anywhere, and a path. */
function isIgnored(): (path: string) => boolean {
  const patterns = readFileSync(`${dockerfile}.dockerignore`, 'utf8').trim().split('\n')
  const anywhere = patterns.filter((pattern) => pattern.startsWith('**/')).map((pattern) => pattern.slice(3))
  return (path) =>
    patterns.includes(relative(root, path)) ||
    anywhere.some((name) =>
      name.endsWith('*') ? basename(path).startsWith(name.slice(0, -1)) : basename(path) === name,
    )
}

/** The content of the last instruction that matches. */
function last(pattern: RegExp): string {
  const found = lines.flatMap((line) => pattern.exec(line)?.[1] ?? []).at(-1)
  if (found === undefined) throw new Error(`The Dockerfile has no ${pattern}`)
  return found
}

beforeAll(async () => {
  const ignored = isIgnored()
  cpSync(root, source, { recursive: true, filter: (path) => !ignored(path) })
  const steps = lines.slice(lines.indexOf('# begin build') + 1, lines.indexOf('# end build'))
  expect(steps.length).toBeGreaterThan(0)
  const env = {
    PATH: process.env.PATH ?? '',
    HOME: process.env.HOME ?? '',
    npm_config_prefer_offline: 'true',
    TURBO_TELEMETRY_DISABLED: '1',
    TURBO_NO_UPDATE_NOTIFIER: '1',
  }
  for (const step of steps) {
    const command = /^RUN (.*)$/.exec(step)?.[1]
    if (command === undefined) throw new Error(`${step} is no step that runs in a plain folder`)
    await run('sh', ['-c', command.replace('/out', out)], { cwd: source, env, maxBuffer: 64 << 20 })
  }
}, 900_000)

it('its build needs nothing that is not in the repository', () => {
  expect(existsSync(join(source, 'node_modules/turbo'))).toBe(true)
  expect(existsSync(join(out, 'dist/gateway.js'))).toBe(true)
  // What only a build or a test needs is not in the image.
  for (const name of ['vitest', 'typescript', 'tsup']) {
    expect(existsSync(join(out, 'node_modules', name))).toBe(false)
  }
})

it('its entry point runs there, and its health check tells well from unwell', async () => {
  const port = await claimPort()
  const env = {
    PATH: process.env.PATH ?? '',
    NODE_ENV: 'production',
    PORT: `${port}`,
    GATEWAY_API_KEYS: 'key',
  }
  const [command, ...args] = JSON.parse(last(/^CMD (\[.*\])$/)) as string[]
  const gateway = spawn(command ?? '', args, { cwd: out, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const said: string[] = []
  for (const stream of [gateway.stdout, gateway.stderr]) stream.on('data', (chunk) => said.push(`${chunk}`))
  try {
    const [check, ...checkArgs] = JSON.parse(last(/^HEALTHCHECK .* CMD (\[.*\])$/)) as string[]
    const isHealthy = (at: number) =>
      run(check ?? '', checkArgs, { cwd: out, env: { ...env, PORT: `${at}` } }).then(
        () => true,
        () => false,
      )
    await once(gateway.stdout, 'data')
    const health = await fetch(`http://127.0.0.1:${port}/health`)
    // It runs, but has no decoder, so it cannot answer requests.
    expect([health.status, await health.json()], said.join('')).toEqual([
      503,
      expect.objectContaining({ status: 'unhealthy' }),
    ])
    expect(await isHealthy(port)).toBe(false)
    const well = createHttpServer((_, response) => response.end('{}')).listen(0, '127.0.0.1')
    await once(well, 'listening')
    const address = well.address()
    expect(await isHealthy(typeof address === 'object' && address !== null ? address.port : 0)).toBe(true)
    well.close()
  } finally {
    const gone = once(gateway, 'exit')
    gateway.kill('SIGTERM')
    await gone
    releasePort(port)
  }
})
