import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { startRedis, until } from '@evenkeel/test-servers'
import { expect, it } from 'vitest'
import { snippetsOf } from './documentation/snippet.js'
import { libraries, project } from './harness/index.js'
import { root } from './harness/packages.js'
import { serve } from './harness/process.js'

const installed = { express: '5.3.0', openai: '6.49.0', redis: libraries.redis6 }

/** The file of a page that begins with its name, as a reader would copy it. */
function fileOn(page: string, name: string): string {
  const found = snippetsOf(page).find(({ code }) => code.startsWith(`// ${name}\n`))
  if (found === undefined) throw new Error(`${page} has no ${name}`)
  return found.code
}

it('who follows the pages from an empty folder has a limited, cached completion, and keeps it in an outage', async () => {
  await using redis = await startRedis()
  const line = /^npm install (.+)$/m.exec(readFileSync(join(root, 'docs/start/express.md'), 'utf8'))?.[1]
  const ours = (line ?? '').split(' ').filter((name) => name.startsWith('@evenkeel/'))
  // Nothing else is installed, so the page must name all that its file needs.
  expect((line ?? '').split(' ').sort()).toEqual([...ours, ...Object.keys(installed)].sort())
  const app = await project('first-steps', { packages: ours, dependencies: installed })
  // Their ports are free ones here; the harness waits for this line.
  const announced = (server: string) =>
    `\n${server}.on('listening', () => console.log('listening ' + ${server}.address().port))\n`
  const providerFile = app.write(
    'provider.mjs',
    fileOn('docs/start/index.md', 'provider.mjs') + announced('provider'),
  )
  const serverFile = app.write(
    'server.mjs',
    fileOn('docs/start/express.md', 'server.mjs') + announced('server'),
  )
  await using provider = await serve(process.execPath, [providerFile], app.folder, { env: { PORT: '0' } })
  const env = {
    PORT: '0',
    OPENAI_API_KEY: 'none',
    OPENAI_BASE_URL: `${provider.url}/v1`,
    REDIS_URL: redis.url,
  }
  await using service = await serve(process.execPath, [serverFile], app.folder, { env })
  const ask = async () => {
    const response = await service.fetch('/chat', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ question: 'What is a keel?' }),
    })
    const { answer } = (await response.json()) as { answer?: string }
    return { status: response.status, left: response.headers.get('ratelimit'), answer }
  }
  const answer = 'A keel keeps a boat upright.'
  expect(await ask()).toEqual({ status: 200, answer, left: expect.stringContaining('"requests";r=19') })
  await provider[Symbol.asyncDispose]()
  // The provider is gone, so the next answer comes from the cache.
  expect(await ask()).toEqual({ status: 200, answer, left: expect.stringContaining('"requests";r=18') })
  await redis.kill()
  await until(() => service.output.stderr.includes('EVENKEEL_REDIS_DOWN'), 60_000)
  expect(await ask()).toMatchObject({ status: 200, answer })
})
