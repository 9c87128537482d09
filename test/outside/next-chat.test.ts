import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startRedis, until } from '@evenkeel/test-servers'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { project, type Service } from './harness/index.js'
import { root } from './harness/packages.js'
import { execute, serve } from './harness/process.js'

const example = join(root, 'examples/next-chat')
const manifest = JSON.parse(readFileSync(join(example, 'package.json'), 'utf8')) as {
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
}
const others = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies }).filter(
  ([name]) => !name.startsWith('@evenkeel/'),
)
const env = { NEXT_TELEMETRY_DISABLED: '1' }

/** The example as `cp` and `npm install` make it. */
let folder: string
beforeAll(async () => {
  const app = await project('next-chat', { dependencies: Object.fromEntries(others) })
  // Next compiles no TypeScript below a folder `node_modules`, in which projects are kept.
  folder = mkdtempSync(join(tmpdir(), 'evenkeel-next-chat-'))
  const installed = join(app.folder, 'node_modules')
  try {
    execFileSync('cp', ['-al', installed, folder], { stdio: 'pipe' })
  } catch {
    // Another file system, to which hard links are not possible.
    rmSync(join(folder, 'node_modules'), { recursive: true, force: true })
    execFileSync('cp', ['-a', installed, folder])
  }
  cpSync(example, folder, { recursive: true })
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Next's own server behind a server of Node's, so that its port is a free one. */
function start(mode: 'development' | 'production', redisUrl?: string): Promise<Service> {
  const file = join(folder, `${mode}.mjs`)
  writeFileSync(
    file,
    `import { createServer } from 'node:http'
    import next from 'next'
    const app = next({ dev: ${mode === 'development'}, dir: ${JSON.stringify(folder)}, hostname: '127.0.0.1', port: 3000 })
    const handle = app.getRequestHandler()
    await app.prepare()
    const server = createServer((request, response) => void handle(request, response))
    server.listen(0, '127.0.0.1', () => console.log('\\nlistening ' + server.address().port))`,
  )
  const redis = redisUrl === undefined ? {} : { REDIS_URL: redisUrl }
  return serve(process.execPath, [file], folder, {
    env: { ...env, NODE_ENV: mode, ...redis },
    timeoutMs: 300_000,
  })
}

type Answer = Readonly<Record<string, unknown>>

async function say(service: Service, user: string, id: string, content: string): Promise<Answer> {
  const response = await service.fetch('/api/chat', {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-user': user },
    body: JSON.stringify({ chat: 'c', id, content }),
  })
  const { status, headers } = response
  return { status, left: headers.get('ratelimit'), ...((await response.json()) as Answer) }
}

async function said(service: Service, user: string): Promise<string[]> {
  const messages = await (await service.fetch('/api/chat?chat=c', { headers: { 'x-user': user } })).json()
  return (messages as { content: string }[]).map(({ content }) => content)
}

it('the example on Next keeps one connection over hot reloads', async () => {
  await using redis = await startRedis()
  await using service = await start('development', redis.url)
  expect(await say(service, 'ada', '1', 'hello')).toMatchObject({ status: 200, question: 'stored' })
  const connections = async () => Number(await redis.info('total_connections_received'))
  const before = await connections()
  const model = join(folder, 'lib/model.ts')
  for (const words of ['I have heard', 'You have told me']) {
    writeFileSync(model, readFileSync(join(example, 'lib/model.ts'), 'utf8').replace('I was told', words))
    let number = 0
    await until(
      async () => {
        const { answer } = await say(service, `${words} ${++number}`, '1', `${words} ${number}`)
        return String(answer).startsWith(words)
      },
      120_000,
      { what: 'the changed model answers' },
    )
  }
  expect(await connections()).toBe(before)
})

it('the example on Next builds, and limits, shares and remembers with Redis, while it is killed, and after', async () => {
  await using redis = await startRedis()
  const next = join(folder, 'node_modules/next/dist/bin/next')
  const built = await execute(process.execPath, [next, 'build'], folder, {
    env,
    timeoutMs: 300_000,
    stderr: 'allowed',
  })
  expect(built.stdout).toContain('/api/chat')
  {
    await using service = await start('production', redis.url)
    const health = async () => (await service.fetch('/api/health')).status
    expect(await say(service, 'ada', '1', 'hello')).toMatchObject({
      status: 200,
      cache: 'miss',
      question: 'stored',
    })
    expect(await say(service, 'bob', '1', 'hello')).toMatchObject({
      status: 200,
      cache: 'hit',
      question: 'stored',
    })
    expect(await say(service, 'ada', '1', 'hello')).toMatchObject({ status: 200, question: 'duplicate' })
    expect(await health()).toBe(200)
    await redis.kill()
    await until(async () => (await health()) === 503, 60_000)
    expect(await say(service, 'ada', '2', 'still there?')).toMatchObject({
      status: 200,
      question: 'journaled',
    })
    await redis.restart()
    await until(async () => (await health()) === 200, 60_000)
    await until(async () => (await said(service, 'ada')).includes('still there?'), 60_000)
    const statuses: number[] = []
    while (statuses.length < 30 && statuses.at(-1) !== 429)
      statuses.push(Number((await say(service, 'eve', `${statuses.length}`, 'again')).status))
    expect(statuses).toEqual([...Array.from({ length: 20 }, () => 200), 429])
    expect(await (await service.fetch('/')).text()).toContain('A chat on Next')
  }
  await using alone = await start('production')
  expect(await say(alone, 'ada', '1', 'hello')).toMatchObject({
    status: 200,
    cache: 'miss',
    question: 'stored',
  })
  expect(await said(alone, 'ada')).toHaveLength(2)
  expect((await alone.fetch('/api/health')).status).toBe(200)
})
