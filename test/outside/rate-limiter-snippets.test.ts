import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { everyPeer, type Project, packages, project } from './harness/index.js'

/** What stands around an example, so that it compiles strictly and runs, and what it then gives. */
interface Surroundings {
  readonly given: string
  readonly after: string
  readonly right: unknown
}

const imports = `
  import { concurrency, createRateLimiter, slidingWindow, tokenBucket } from '@evenkeel/rate-limiter'`

/** Two requests a client. */
const twoRequests = `${imports}
  const limiter = createRateLimiter({ limits: { requests: slidingWindow(2, '1m') } })
  const statuses: number[] = []
  const print = (value: unknown) => console.log(JSON.stringify(value))`

const askThrice = (url: string) => `
  for (let count = 0; count < 3; count++) statuses.push((await fetch(${url}, { headers: { authorization: 'Bearer k' } })).status)
  print(statuses)
  process.exit(0)`

/** An OpenAI-compatible provider that tells its usage and its limits. */
const provider = `
  import { createServer } from 'node:http'
  import type { AddressInfo } from 'node:net'
  const answers: Record<string, object> = {
    '/chat/completions': {
      id: 'c', object: 'chat.completion', created: 1, model: 'm',
      choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'hi' } }],
      usage: { prompt_tokens: 7, completion_tokens: 2, total_tokens: 9 },
    },
    '/v1/messages': {
      id: 'm', type: 'message', role: 'assistant', model: 'm', content: [{ type: 'text', text: 'hi' }],
      stop_reason: 'end_turn', stop_sequence: null, usage: { input_tokens: 7, output_tokens: 4 },
    },
  }
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(JSON.stringify(answers[request.url ?? '']))
    })
  })
  await new Promise<void>((resolve) => { server.listen(0, resolve) })
  const { port } = server.address() as AddressInfo
  process.env['OPENAI_BASE_URL'] = 'http://127.0.0.1:' + port
  process.env['ANTHROPIC_BASE_URL'] = 'http://127.0.0.1:' + port`

/** By file, in the order in which the examples stand there. */
const surroundings: Readonly<Record<string, readonly Surroundings[]>> = {
  'README.md': [
    {
      given: '',
      after: `
        console.log(JSON.stringify([allowed, retryAfterMs, limitedBy === undefined, source]))
        await limiter.close()
        await redis.close()`,
      right: [true, 0, true, 'redis'],
    },
    {
      given: `${imports}
        const limiter = createRateLimiter({
          limits: {
            requests: slidingWindow(60, '1m'),
            tokens: tokenBucket({ capacity: 1_000, refill: 1, every: '1h' }),
            parallel: concurrency(1),
          },
        })
        interface Answer { readonly usage: { readonly total_tokens: number } }
        const request = 'hello'
        const estimate = 400
        const provider = async (_request: string, _options?: { readonly signal: AbortSignal }): Promise<Answer> =>
          ({ usage: { total_tokens: 150 } })
        const tooMany = (retryAfterMs: number) => { throw new Error('try again in ' + retryAfterMs + ' ms') }
        async function twice() {`,
      after: `
          return answer
        }
        const answer = await twice()
        const { limits } = await limiter.peek('user:42', { tokens: 0, parallel: 0 })
        const openai = await limiter.peek('openai', { tokens: 0, parallel: 0 })
        console.log(JSON.stringify([
          answer?.usage.total_tokens, limits.tokens?.remaining, limits.parallel?.remaining,
          openai.limits.tokens?.remaining, openai.limits.parallel?.remaining,
        ]))`,
      right: [150, 850, 1, 850, 1],
    },
  ],
  'docs/http.md': [
    {
      given: `
        import express from 'express'
        import type { AddressInfo } from 'node:net'
        ${twoRequests}
        const app = express()`,
      after: `
        app.get('/', (_request, response) => { response.send('hello') })
        const server = app.listen(0)
        await new Promise((resolve) => server.once('listening', resolve))
        ${askThrice("'http://127.0.0.1:' + (server.address() as AddressInfo).port")}`,
      right: [200, 200, 429],
    },
    {
      given: `
        import Fastify from 'fastify'
        ${twoRequests}
        const app = Fastify()`,
      after: `
        app.get('/', async () => 'hello')
        const url = await app.listen({ port: 0, host: '127.0.0.1' })
        ${askThrice('url')}`,
      right: [200, 200, 429],
    },
    {
      given: `
        import { Hono } from 'hono'
        ${twoRequests}
        const app = new Hono()`,
      after: `
        app.get('/', (c) => c.text('hello'))
        for (let count = 0; count < 3; count++)
          statuses.push((await app.request('/', { headers: { 'x-api-key': 'k', authorization: 'Bearer k' } })).status)
        print(statuses)`,
      right: [200, 200, 429],
    },
    {
      given: `
        import type { AddressInfo } from 'node:net'
        ${twoRequests}`,
      after: `
        await new Promise<void>((resolve) => { server.listen(0, resolve) })
        ${askThrice("'http://127.0.0.1:' + (server.address() as AddressInfo).port")}`,
      right: [200, 200, 429],
    },
    {
      given: `${twoRequests}
        const answer = async (request: Request) => ({ said: await request.text() })`,
      after: `
        for (let count = 0; count < 3; count++)
          statuses.push((await POST(new Request('http://a.test/', {
            method: 'POST', body: 'hello', headers: { authorization: 'Bearer k' },
          }))).status)
        print(statuses)`,
      right: [200, 200, 429],
    },
    {
      given: twoRequests,
      after: `
        const event = { request: new Request('http://a.test/'), getClientAddress: () => '192.0.2.7' } as RequestEvent
        for (let count = 0; count < 3; count++)
          statuses.push((await handle({ event, resolve: async () => new Response('hello') })).status)
        print(statuses)`,
      right: [200, 200, 429],
    },
    {
      given: `${imports}
        import { connect } from '@evenkeel/core'
        import Anthropic from '@anthropic-ai/sdk'
        import OpenAI from 'openai'
        ${provider}
        const redis = await connect()
        const other = createRateLimiter({ limits: { tokens: slidingWindow(10_000, '1m') } })`,
      after: `
        const messages = [{ role: 'user' as const, content: 'hello' }]
        await openai.chat.completions.create({ model: 'm', messages })
        await anthropic.messages.create({ model: 'm', max_tokens: 100, messages })
        const { limits } = await limiter.peek('openai', { requests: 0, tokens: 0, parallel: 0 })
        console.log(JSON.stringify([
          limits.requests?.remaining, (limits.tokens?.remaining ?? 0) >= 200_000 - 9, limits.parallel?.remaining,
          (await other.peek('anthropic', { tokens: 0 })).remaining,
        ]))
        process.exit(0)`,
      right: [499, true, 50, 10_000 - 11],
    },
  ],
}

const { folder } = packages.find(({ name }) => name === '@evenkeel/rate-limiter') ?? { folder: '' }

function examplesOf(file: string): readonly string[] {
  const text = readFileSync(join(folder, file), 'utf8')
  return [...text.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code = '']) => code)
}

const files = ['README.md', ...readdirSync(join(folder, 'docs')).map((name) => `docs/${name}`)]

const examples = files.flatMap((file) =>
  examplesOf(file).map((code, index) => {
    const { given = '', after = '', right } = surroundings[file]?.[index] ?? {}
    const name = `${file} ${index + 1}`
    return { name, program: `${given}\n${code}\n${after}\nexport {}\n`, right }
  }),
)

/** SvelteKit's own declarations need its compiler and another Node: what a hook of its documentation uses. */
const sveltekit = `
declare module '@sveltejs/kit' {
  export interface RequestEvent {
    readonly request: Request
    getClientAddress(): string
  }
  export type Handle = (input: {
    readonly event: RequestEvent
    resolve(event: RequestEvent): Response | Promise<Response>
  }) => Response | Promise<Response>
}`

let redis: RedisServer
let app: Project
beforeAll(async () => {
  redis = await startRedis()
  app = await project('every-peer', { dependencies: everyPeer })
})
afterAll(() => redis.close())

describe('the examples of the rate limiter’s README and docs', () => {
  it('are all here', () => {
    const found = files.map((file) => [file, examplesOf(file).length] as const)
    expect(Object.fromEntries(found.filter(([, count]) => count > 0))).toEqual(
      Object.fromEntries(Object.entries(surroundings).map(([file, own]) => [file, own.length])),
    )
  })

  it('compile strictly', async () => {
    const names = examples.map(({ name }) => `${name.replace(/\W+/g, '-')}.mts`)
    for (const [index, { program }] of examples.entries())
      app.write(`limiter-examples/${names[index]}`, program)
    app.write('limiter-examples/sveltekit.d.ts', sveltekit)
    const config = app.write(
      'limiter-examples/tsconfig.json',
      JSON.stringify({
        compilerOptions: {
          strict: true,
          skipLibCheck: true,
          noEmit: true,
          target: 'ES2022',
          lib: ['ES2023', 'DOM', 'DOM.Iterable', 'ESNext.Disposable'],
          esModuleInterop: true,
          types: ['node'],
          module: 'Node16',
          moduleResolution: 'Node16',
        },
        files: [...names, 'sveltekit.d.ts'],
      }),
    )
    const { stdout } = await app.node(
      [`${app.folder}/node_modules/typescript/bin/tsc`, '-p', config, '--pretty', 'false'],
      { mayFail: true },
    )
    expect(stdout).toBe('')
  })

  it.each(examples)('$name runs', async ({ program, right }) => {
    const { value } = await app.run(program, {
      env: { REDIS_URL: redis.url, OPENAI_API_KEY: 'none', ANTHROPIC_API_KEY: 'none' },
    })
    expect(value).toEqual(right)
  })
})
