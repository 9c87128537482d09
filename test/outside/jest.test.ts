import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { startRedis } from '@evenkeel/test-servers'
import { expect, it } from 'vitest'
import { libraries, project } from './harness/index.js'

/** How a service makes the client that it gives us. Jest runs all of it in a context of its own, as CommonJS. */
const clients = {
  'a URL, with node-redis': `const options = { url }; const end = () => {}`,
  'a URL, with ioredis': `const options = { url, library: 'ioredis' }; const end = () => {}`,
  'its own node-redis': `
    const client = require('redis').createClient({ url })
    client.on('error', () => {})
    await client.connect()
    const options = { client }
    const end = () => client.destroy()`,
  'its own ioredis': `
    const Redis = require('ioredis')
    const client = new Redis(url)
    client.on('error', () => {})
    const options = { client }
    const end = () => client.disconnect()`,
} as const

const suite = (client: string) => `
const { once } = require('node:events')
const { createServer } = require('node:http')
const { join } = require('node:path')
const { setTimeout: pause } = require('node:timers/promises')
const { connect } = require('@evenkeel/core')
const { createRateLimiter, slidingWindow, tokenBucket } = require('@evenkeel/rate-limiter')
const { byApiKey, firstOf, rateLimit } = require('@evenkeel/rate-limiter/web')
const { createResponseCache } = require('@evenkeel/llm-response-cache')
const { createAgentMemory } = require('@evenkeel/agent-memory')
const { createDecoderPool } = require('@evenkeel/decoder-pool')

const { REDIS: url, REDIS_PID: pid, FOLDER: folder } = process.env
const answer = { id: 'x', choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'hi' } }] }

let calls = 0
const provider = createServer((request, response) => {
  // The pool also asks for its health.
  if (request.method === 'POST') calls++
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify(answer))
})
beforeAll(() => once(provider.listen(0, '127.0.0.1'), 'listening'))
afterAll(async () => {
  provider.closeAllConnections()
  await new Promise((resolve) => provider.close(resolve))
})

async function downOf(redis) {
  while (redis.state === 'up') {
    await redis.command(['GET', 'x']).catch(() => {})
    await pause(20)
  }
}

it('answers, and goes on when Redis is killed', async () => {
  ${client}
  const redis = await connect(options)
  const limits = { requests: slidingWindow(100, '1h'), tokens: tokenBucket({ capacity: 100_000, refill: 1, every: '1h' }) }
  const limiter = createRateLimiter({ redis, limits })
  const cache = createResponseCache({ redis })
  const memory = createAgentMemory({ redis, journal: { kind: 'file', dir: join(folder, 'journal') } })
  const pool = await createDecoderPool({ redis, file: join(folder, 'pool.json') })
  const base = 'http://127.0.0.1:' + provider.address().port
  await pool.register({ id: 'node', endpoint: base, capacity: 8 })
  const fetched = cache.fetch({ fetch: limiter.fetch({ subject: 'provider', fetch: pool.fetch() }) })
  const ask = async (text, asRequest) => {
    const init = {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'm', messages: [{ role: 'user', content: text }] }),
      signal: AbortSignal.timeout(20_000),
    }
    const to = base + '/v1/chat/completions'
    const response = await fetched(...(asRequest ? [new Request(to, init)] : [to, init]))
    expect(await response.json()).toEqual(answer)
    return response.headers.get('x-evenkeel-cache')
  }
  const thread = memory.owner('user:42').thread('chat')
  const said = async (id) => {
    // What a request's JSON holds was made outside of Jest's context.
    const { messages } = await new Response(JSON.stringify({ messages: [{ id, role: 'user', content: 'hello' }] })).json()
    await thread.append(messages)
    return (await thread.window({ maxTokens: 1_000 })).messages.map((message) => message.id)
  }
  expect(redis.state).toBe('up')
  expect((await limiter.check('user', { requests: 1, tokens: 10 })).source).toBe('redis')
  expect([await ask('one'), await ask('one'), await ask('one', true)]).toEqual(['miss', 'hit', 'hit'])
  expect(await said('a')).toEqual(['a'])
  await expect(redis.command(['INCR'])).rejects.toMatchObject({ code: 'REDIS_REPLY' })
  await expect(redis.command(['GET', {}])).rejects.toMatchObject({ code: 'INVALID_INPUT' })

  process.kill(Number(pid), 'SIGKILL')
  await downOf(redis)
  await expect(redis.command(['GET', 'x'])).rejects.toMatchObject({ code: 'CONNECTION_DOWN' })
  expect((await limiter.check('user', { requests: 1, tokens: 10 })).source).toBe('memory')
  expect([await ask('two'), await ask('two', true), calls]).toEqual(['miss', 'hit', 2])
  expect(await said('b')).toEqual(['a', 'b'])
  for (const each of [pool, memory, cache, limiter, redis]) await each.close()
  end()
}, 120_000)

it('goes to the next node when one is dead, and to the next function when one identifies nobody', async () => {
  const pool = await createDecoderPool({ file: join(folder, 'none.json') })
  const closed = createServer()
  await once(closed.listen(0, '127.0.0.1'), 'listening')
  const dead = 'http://127.0.0.1:' + closed.address().port
  await new Promise((resolve) => closed.close(resolve))
  await pool.register({ id: 'dead', endpoint: dead, capacity: 8 })
  await pool.register({ id: 'alive', endpoint: 'http://127.0.0.1:' + provider.address().port, capacity: 8 })
  for (let count = 0; count < 8; count++) {
    const response = await pool.fetch()('http://pool/v1/models')
    expect([response.status, await response.json()]).toEqual([200, answer])
  }
  await pool.close()

  const limiter = createRateLimiter({ limits: { requests: slidingWindow(1, '1h') } })
  // Made by Node itself, so it is no instance of Promise in here.
  const nobody = () => new Response('').text().then(() => undefined)
  const limited = rateLimit({ limiter, subject: firstOf(nobody, byApiKey()) })
  const handler = limited(async () => new Response('ok'))
  const statuses = []
  for (const key of ['a', 'a', 'b']) {
    const headers = { authorization: 'Bearer ' + key }
    statuses.push((await handler(new Request('http://service/', { headers }))).status)
  }
  expect(statuses).toEqual([200, 429, 200])
  await limiter.close()
})

it('answers while a test has fake timers, and counts by their time', async () => {
  jest.useFakeTimers()
  try {
    const limiter = createRateLimiter({ limits: { requests: slidingWindow(1, '1m') } })
    const allowed = []
    for (const passedMs of [0, 0, 120_000]) {
      jest.advanceTimersByTime(passedMs)
      allowed.push((await limiter.check('user')).allowed)
    }
    expect(allowed).toEqual([true, false, true])
    await limiter.close()

    const cache = createResponseCache()
    let made = 0
    const openai = cache.fetch({
      fetch: async (url, init) => {
        made++
        const { input, stream } = JSON.parse(init.body)
        if (input !== undefined) {
          const data = input.map((_, index) => ({ object: 'embedding', index, embedding: [index, 1] }))
          return Response.json({ object: 'list', data, model: 'm', usage: { prompt_tokens: 1, total_tokens: 1 } })
        }
        if (!stream) return Response.json(answer)
        const delta = { id: 'x', choices: [{ index: 0, delta: { content: 'hi' }, finish_reason: 'stop' }] }
        const headers = { 'content-type': 'text/event-stream' }
        return new Response('data: ' + JSON.stringify(delta) + '\\n\\ndata: [DONE]\\n\\n', { headers })
      },
    })
    const post = async (path, body) => {
      const headers = { 'content-type': 'application/json' }
      const init = { method: 'POST', headers, body: JSON.stringify({ model: 'm', ...body }) }
      const response = await openai('http://provider/v1/' + path, init)
      return [response.headers.get('x-evenkeel-cache'), await response.text()]
    }
    const said = (content) => ({ messages: [{ role: 'user', content }] })
    for (const [path, body, contents] of [
      ['chat/completions', said('one'), '"hi"'],
      ['chat/completions', { ...said('two'), stream: true }, '[DONE]'],
      ['embeddings', { input: ['a', 'b'] }, '"embedding"'],
    ]) {
      for (const found of ['miss', 'hit']) {
        const [status, text] = await post(path, body)
        expect([path, status]).toEqual([path, found])
        expect(text).toContain(contents)
      }
    }
    expect(made).toBe(3)
    await cache.close()

    const memory = createAgentMemory()
    const thread = memory.owner('user:42').thread('chat')
    await thread.append([{ id: 'a', role: 'user', content: 'hello' }])
    expect((await thread.window({ maxTokens: 1_000 })).messages).toHaveLength(1)
    await memory.close()

    const pool = await createDecoderPool({ file: join(folder, 'fake-time.json') })
    await pool.register({ id: 'node', endpoint: 'http://127.0.0.1:1', capacity: 1 })
    const leaving = new AbortController()
    const waiting = (_, signal) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    const gone = pool.run(waiting, { signal: leaving.signal })
    await Promise.resolve()
    leaving.abort(new Error('left'))
    await expect(gone).rejects.toThrow('left')
    expect(await pool.run(async (node) => node.id)).toBe('node')
    await pool.close()
  } finally {
    jest.useRealTimers()
  }
})
`

it.each(Object.entries(clients))('a service’s tests run in Jest: %s', async (name, client) => {
  await using redis = await startRedis()
  const app = await project('jest', {
    dependencies: { ioredis: libraries.ioredis, jest: '30.5.2', redis: libraries.redis6 },
  })
  const file = app.write(`${name.replaceAll(/\W+/g, '-')}.test.js`, suite(client))
  const folder = mkdtempSync(join(tmpdir(), 'evenkeel-jest-'))
  const jest = join(app.folder, 'node_modules/jest/bin/jest.js')
  try {
    const { value, stderr } = await app.node(
      [
        jest,
        '--json',
        // Otherwise it finds no tests below a folder named node_modules, where the project is.
        '--haste={"retainAllFiles":true}',
        '--testPathIgnorePatterns=^$',
        '--rootDir',
        dirname(file),
        file,
      ],
      {
        env: { REDIS: redis.url, REDIS_PID: String(redis.pid), FOLDER: folder },
        stderr: 'allowed',
        mayFail: true,
      },
    )
    expect(value, stderr).toMatchObject({ success: true, numPassedTests: 3 })
    // Everything was closed, so nothing may keep Jest from ending.
    // A host's own ioredis keeps a process alive for two seconds after `disconnect()` if its socket was closed before.
    if (name !== 'its own ioredis') expect(stderr).not.toContain('did not exit')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
