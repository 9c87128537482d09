import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { startRedis, until } from '@evenkeel/test-servers'
import { expect, it } from 'vitest'
import { libraries, type Project, project, type Service } from './harness/index.js'

const files = {
  'app/layout.js': `
    import { createElement } from 'react'
    export default function Layout({ children }) {
      return createElement('html', { lang: 'en' }, createElement('body', null, children))
    }`,
  // A module that Next compiles again runs again; what is on the global object stays.
  'lib/evenkeel.js': `
    import { connect } from '@evenkeel/core'
    import { createRateLimiter, fixedWindow, slidingWindow } from '@evenkeel/rate-limiter'
    import { createResponseCache } from '@evenkeel/llm-response-cache'
    const start = async () => {
      const redis = await connect()
      const limiter = createRateLimiter({ redis, limits: { requests: slidingWindow(1_000, '1m') } })
      const strict = createRateLimiter({ redis, name: 'strict', limits: { requests: fixedWindow(5, '1h') } })
      return { redis, limiter, strict, cache: createResponseCache({ redis }) }
    }
    globalThis.evenkeel ??= start()
    export const evenkeel = globalThis.evenkeel`,
  'app/api/route.js': route(1),
  'app/limited/route.js': `
    import { rateLimit } from '@evenkeel/rate-limiter/web'
    import { evenkeel } from '../../lib/evenkeel.js'
    export const dynamic = 'force-dynamic'
    const limited = evenkeel.then(({ strict }) => rateLimit({ limiter: strict, subject: () => 'everyone' }))
    const handler = async () => Response.json({ redis: (await evenkeel).redis.state })
    export const GET = async (request, context) => (await limited)(handler)(request, context)`,
}

function route(version: number): string {
  return `
    import { evenkeel } from '../../lib/evenkeel.js'
    export const dynamic = 'force-dynamic'
    export async function GET() {
      const { redis, limiter, cache } = await evenkeel
      const hello = cache.wrap(async () => ({ hello: 'world' }), { name: 'hello' })
      const { allowed } = await limiter.check('everyone')
      return Response.json({ version: ${version}, redis: redis.state, allowed, ...(await hello()) })
    }`
}

/** Next's own server behind a server of Node's, as Next's documentation shows. */
const script = (folder: string, dev: boolean) => `
  import { createServer } from 'node:http'
  import next from 'next'
  const app = next({ dev: ${dev}, dir: ${JSON.stringify(folder)}, hostname: '127.0.0.1', port: 3000 })
  const handle = app.getRequestHandler()
  await app.prepare()
  const server = createServer((request, response) => void handle(request, response))
  server.listen(0, '127.0.0.1', () => console.log('\\nlistening ' + server.address().port))`

const env = { NEXT_TELEMETRY_DISABLED: '1' }
const dependencies = { next: '16.4.6', react: '19.3.1', 'react-dom': '19.3.1', redis: libraries.redis6 }

function write(app: Project, name: string, text: string): void {
  const file = join(app.folder, name)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
}

async function ask(service: Service): Promise<unknown> {
  const response = await service.fetch('/api')
  expect(response.status).toBe(200)
  return response.json()
}

/** A limited route's answer: its status, what is left of the limit, and the state of Redis. */
async function askLimited(service: Service): Promise<{ status: number; left: number; redis: string }> {
  const response = await service.fetch('/limited')
  const { headers, status } = response
  expect(headers.get('ratelimit-policy')).toBe('"requests";q=5;w=3600')
  const left = Number(/^"requests";r=(\d+);t=\d+$/.exec(headers.get('ratelimit') ?? '')?.[1])
  if (status === 200) return { status, left, ...((await response.json()) as { redis: string }) }
  expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
  expect(headers.get('content-type')).toContain('application/problem+json')
  expect(await response.json()).toMatchObject({ status: 429 })
  return { status, left, redis: 'unknown' }
}

it('Next serves a route handler before, while and after Redis is away, on one connection over hot reloads', async () => {
  await using redis = await startRedis()
  const app = await project('next-16', { dependencies })
  rmSync(join(app.folder, '.next'), { recursive: true, force: true })
  for (const [name, text] of Object.entries(files)) write(app, name, text)
  const connections = async () => Number(await redis.info('total_connections_received'))

  await using service = await app.serve(script(app.folder, true), {
    env: { ...env, REDIS_URL: redis.url },
    timeoutMs: 300_000,
  })
  const answer = { redis: 'up', allowed: true, hello: 'world' }
  expect(await ask(service)).toEqual({ ...answer, version: 1 })
  const before = await connections()
  for (const version of [2, 3]) {
    write(app, 'app/api/route.js', route(version))
    await until(async () => ((await ask(service)) as { version: number }).version === version, 120_000, {
      what: `version ${version} is served`,
    })
  }
  expect(await connections()).toBe(before)
  await redis.kill()
  await until(async () => ((await ask(service)) as { redis: string }).redis === 'down', 60_000)
  expect(await ask(service)).toEqual({ ...answer, version: 3, redis: 'down' })
  await redis.restart()
  await until(async () => ((await ask(service)) as { redis: string }).redis === 'up', 60_000)
})

it('Next builds for production, and serves what it built', async () => {
  await using redis = await startRedis()
  const app = await project('next-16', { dependencies })
  rmSync(join(app.folder, '.next'), { recursive: true, force: true })
  for (const [name, text] of Object.entries(files)) write(app, name, text)
  const built = await app.node([join(app.folder, 'node_modules/next/dist/bin/next'), 'build', app.folder], {
    env: { ...env, REDIS_URL: redis.url },
    timeoutMs: 300_000,
    stderr: 'allowed',
  })
  expect(built.stdout).toContain('/api')
  await using service = await app.serve(script(app.folder, false), {
    env: { ...env, NODE_ENV: 'production', REDIS_URL: redis.url },
    timeoutMs: 120_000,
  })
  expect(await ask(service)).toEqual({ version: 1, redis: 'up', allowed: true, hello: 'world' })
  expect(await askLimited(service)).toEqual({ status: 200, left: 4, redis: 'up' })
  expect(await askLimited(service)).toEqual({ status: 200, left: 3, redis: 'up' })
  await redis.kill()
  // The process now counts, perhaps without what was admitted before the outage, but never without a limit.
  const answers: Awaited<ReturnType<typeof askLimited>>[] = []
  while (answers.length < 6 && answers.at(-1)?.status !== 429) answers.push(await askLimited(service))
  expect(answers.slice(0, -1).map(({ status }) => status)).toEqual(answers.slice(1).map(() => 200))
  expect(answers.at(-1)).toMatchObject({ status: 429, left: 0 })
  await redis.restart()
  await until(async () => ((await ask(service)) as { redis: string }).redis === 'up', 60_000)
  expect((await askLimited(service)).status).toBe(429)
})
