import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { claimPort, releasePort } from '@evenkeel/test-servers'
import { afterAll, expect, it } from 'vitest'
import { folder, read } from './files.js'

const run = promisify(execFile)
const root = join(folder, '../..')
const lines = read('gateway.Dockerfile').split('\n')
const out = mkdtempSync(join(tmpdir(), 'evenkeel-image-'))
const source = mkdtempSync(join(tmpdir(), 'evenkeel-source-'))
afterAll(() => {
  for (const made of [out, source]) rmSync(made, { recursive: true, force: true })
})

/**
 * The repository as the image's build has it behind its second step: its files, and what was built. The step that
 * follows notes in the workspace that it holds no development dependencies; in the one that runs this test, the next
 * command would take them away.
 */
function copySource(): void {
  const others = new Set(['node_modules', '.git', '.turbo', '.report', '.vitepress'])
  cpSync(root, source, { recursive: true, filter: (path) => !others.has(basename(path)) })
}

/** What an instruction says, of the last one of its kind. */
function last(pattern: RegExp): string {
  const found = lines.flatMap((line) => pattern.exec(line)?.[1] ?? []).at(-1)
  if (found === undefined) throw new Error(`The Dockerfile has no ${pattern}`)
  return found
}

it('its steps make a folder in which the gateway runs, and its health check tells well from unwell', async () => {
  const steps = lines.slice(lines.indexOf('# begin build') + 1, lines.indexOf('# end build'))
  const commands = steps.map((line) => line.replace(/^RUN npx -y pnpm@10 /, ''))
  // This repository is installed and built already, by the same commands; the last step is taken here.
  expect(commands).toHaveLength(3)
  expect(commands[0]).toBe('install --frozen-lockfile')
  expect(commands[1]).toContain('--filter=@evenkeel/example-gateway...')
  const deploy = (commands[2] ?? '').replace('/out', out).split(' ')
  copySource()
  await run('pnpm', ['--config.prefer-offline=true', ...deploy], { cwd: source, timeout: 150_000 })

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
    // It runs, and has no decoder: nothing can be answered.
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
}, 200_000)
