import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { forms, libraries, type Project, packages, project } from './harness/index.js'

interface Snippet {
  /** What the reader's own program has. */
  readonly given: string
  /** What it gives, once it has run, and how it ends. */
  readonly after: string
  readonly right: unknown
}

const end = (value: string, closes: string) => `
  console.log(JSON.stringify(${value}))
  ${closes}
  process.exit(0)`

/** The first example of each package's README, run as it stands there. */
const snippets: Readonly<Record<string, Snippet>> = {
  '@evenkeel/core': { given: '', after: end('redis.state', ''), right: 'closed' },
  '@evenkeel/rate-limiter': {
    given: '',
    after: end('{ allowed, source, retryAfterMs }', 'await limiter.close()\nawait redis.close()'),
    right: { allowed: true, source: 'redis', retryAfterMs: 0 },
  },
  '@evenkeel/llm-response-cache': {
    given: `
      const tenantId = 'acme'
      const request = { prompt: 'hello' }
      const callModel = async ({ prompt }) => ({ text: prompt.toUpperCase() })
      const texts = ['a', 'b']
      const embed = async (some) => some.map((text) => [text.length, 0])`,
    after: end('{ value, outcome, dimensions: vectors.map(({ length }) => length) }', 'await cache.close()'),
    right: { value: { text: 'HELLO' }, outcome: 'miss', dimensions: [2, 2] },
  },
  '@evenkeel/agent-memory': {
    given: `const requestId = 'request-1'`,
    after: end(
      '{ status: receipt.status, messages: messages.map(({ role, content }) => [role, content]) }',
      'await memory.close()',
    ),
    right: { status: 'stored', messages: [['user', 'hello']] },
  },
  '@evenkeel/decoder-pool': {
    given: `
      const called = []
      const call = async (endpoint) => { called.push(endpoint) }
      const fetch = async (endpoint) => new Response(endpoint)`,
    after: end('{ called, answer: await answer.text() }', 'await pool.close()'),
    right: { called: ['http://10.0.0.7:8000'], answer: 'http://10.0.0.7:8000' },
  },
}

let redis: RedisServer
let app: Project
beforeAll(async () => {
  redis = await startRedis()
  app = await project('snippets', { dependencies: { redis: libraries.redis6, openai: '6.49.0' } })
})
afterAll(() => redis.close())

function firstOf(name: string): string {
  const { folder } = packages.find((each) => each.name === name) ?? { folder: '' }
  const [, code] = /```ts\n([\s\S]*?)```/.exec(readFileSync(join(folder, 'README.md'), 'utf8')) ?? []
  if (code === undefined) throw new Error(`${name} has no example in its README`)
  return code
}

describe("the first example of a package's README runs as it is written", () => {
  const libraryNames = packages.map(({ name }) => name).filter((name) => name !== 'evenkeel')

  it('there is one for each package', () => {
    expect(Object.keys(snippets).sort()).toEqual([...libraryNames].sort())
  })

  it.each(
    Object.entries(snippets).flatMap(([name, snippet]) => forms.map((form) => ({ name, form, ...snippet }))),
  )('$name, $form', async ({ name, form, given, after, right }) => {
    await redis.command('FLUSHALL')
    const script = `${given}\n${firstOf(name)}\n${after}`
    const { value } = await app.run(script, {
      form,
      env: { REDIS_URL: redis.url, OPENAI_API_KEY: 'none' },
    })
    expect(value).toEqual(right)
  })

  it('evenkeel: the command is installed, and says what it does', async () => {
    const { stdout } = await app.node([join(app.folder, 'node_modules/.bin/evenkeel'), '--help'])
    expect(stdout).toMatch(/register-decoder/)
  })
})
