import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type RedisServer, startRedis, until } from '@evenkeel/test-servers'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Form, forms, libraries, type Project, project, type Service } from './harness/index.js'

let redis: RedisServer
let app: Project
beforeAll(async () => {
  redis = await startRedis()
  app = await project('decoder-pool', {
    packages: ['@evenkeel/decoder-pool', 'evenkeel'],
    dependencies: { redis: libraries.redis6, openai: '6.49.0' },
  })
})
afterAll(() => redis.close())

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

/** An engine with OpenAI's API. A call of the model `hangs` gets no answer, and a stream of `stalls` does not end. */
async function startEngine(name: string) {
  const underWay = new Set<ServerResponse>()
  const server = createServer((request, response) => void answer(request, response))
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const json = (body: unknown, status = 200) =>
      response
        .writeHead(status, { 'content-type': 'application/json', 'x-node': name })
        .end(JSON.stringify(body))
    let text = ''
    for await (const chunk of request) text += chunk
    if (request.url === '/health') return void response.writeHead(200).end()
    if (request.url === '/v1/models') {
      return void json({ object: 'list', data: [{ id: 'm', object: 'model', created: 1, owned_by: name }] })
    }
    if (request.url === '/v1/files/f1') return void json({ id: 'f1', object: 'file', deleted: true })
    if (request.url === '/v1/audio/transcriptions') {
      return void json({ text: `${text.length > 200} ${request.headers['content-type']?.split(';')[0]}` })
    }
    const body = JSON.parse(text || '{}') as { model?: string; stream?: boolean; input?: string }
    if (request.url === '/v1/embeddings') {
      const embedding = Buffer.from(new Float32Array([0.5, 0.25]).buffer).toString('base64')
      return void json({
        object: 'list',
        model: 'm',
        usage: { prompt_tokens: 1, total_tokens: 1 },
        data: [{ object: 'embedding', index: 0, embedding }],
      })
    }
    if (request.url !== '/v1/chat/completions') return void json({ error: { message: 'no such path' } }, 404)
    underWay.add(response)
    response.on('close', () => underWay.delete(response))
    if (body.model === 'hangs') return
    const choice = { index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'one two' } }
    if (body.stream !== true) return void json({ id: '1', object: 'chat.completion', choices: [choice] })
    response.writeHead(200, { 'content-type': 'text/event-stream', 'x-node': name })
    for (const content of ['one', ' two']) {
      response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`)
    }
    if (body.model !== 'stalls') response.end('data: [DONE]\n\n')
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  ends.push(async () => {
    const closed = new Promise((resolve) => server.close(resolve))
    server.closeAllConnections()
    await closed
  })
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, underWay }
}

/** Its comments are what the README promises of `pool.fetch()`. */
const client = `
  import { connect } from '@evenkeel/core'
  import { createDecoderPool, promptBlocks } from '@evenkeel/decoder-pool'
  import OpenAI, { toFile } from 'openai'

  const redis = await connect()
  const pool = await createDecoderPool({ redis, probe: false })
  for (const endpoint of JSON.parse(process.env.ENDPOINTS)) await pool.register({ endpoint, capacity: 4 })
  const openai = new OpenAI({
    baseURL: 'http://pool/v1',
    apiKey: 'none',
    maxRetries: 0,
    fetch: pool.fetch({
      wanted: ({ json }) => ({ model: json?.model, prefix: promptBlocks(json?.messages ?? ''), timeout: '30s' }),
    }),
  })
  const messages = [{ role: 'user', content: 'hello' }]
  const nameOf = (error) => error?.constructor?.name
  const told = {}

  told.chat = (await openai.chat.completions.create({ model: 'm', messages })).choices[0].message.content
  const { data, response } = await openai.chat.completions.create({ model: 'm', messages }).withResponse()
  told.response = [data.choices.length, response.status, response.headers.get('x-node')?.slice(0, 4)]
  let text = ''
  for await (const chunk of await openai.chat.completions.create({ model: 'm', messages, stream: true })) text += chunk.choices[0].delta.content
  told.stream = text
  told.embeddings = (await openai.embeddings.create({ model: 'm', input: 'x' })).data[0].embedding
  told.models = (await openai.models.list()).data.map(({ id }) => id)
  told.deleted = (await openai.files.delete('f1')).deleted
  told.transcription = (await openai.audio.transcriptions.create({ model: 'm', file: await toFile(Buffer.alloc(1_000), 'a.wav') })).text
  // A time-out of the client's, and an abort, before an answer and within one.
  told.timeout = nameOf(await openai.chat.completions.create({ model: 'hangs', messages }, { timeout: 200 }).catch((error) => error))
  const abort = new AbortController()
  const aborted = openai.chat.completions.create({ model: 'hangs', messages }, { signal: abort.signal }).catch((error) => error)
  setTimeout(() => abort.abort(), 100)
  told.abort = nameOf(await aborted)
  const within = await openai.chat.completions.create({ model: 'stalls', messages, stream: true })
  let seen = 0
  for await (const _ of within) if (++seen === 2) within.controller.abort()
  told.within = seen
  // What fetch itself is given, it gives.
  const fetch = pool.fetch()
  const plain = await fetch('http://pool/v1/models', { headers: { accept: 'application/json' } })
  told.plain = [plain.status, plain.ok, new URL(plain.url).pathname, (await plain.json()).object]
  told.missing = (await fetch(new Request('http://pool/nowhere', { method: 'POST', body: '{}' }))).status
  const none = pool.fetch({ wanted: { tags: ['none'] } })
  const unserved = await none('http://pool/v1/models')
  told.unserved = [unserved.status, (await unserved.json()).error.code]
  await new Promise((resolve, reject) => {
    const until = performance.now() + 30_000
    const look = () => pool.stats().inFlight === 0 ? resolve() : performance.now() > until ? reject(new Error('a place did not come back')) : setTimeout(look, 10)
    look()
  })
  await pool.close()
  await redis.close()
  console.log(JSON.stringify(told))`

describe('pool.fetch() under OpenAI’s client', () => {
  it.each(forms)('serves every method that the README names, %s', async (form) => {
    await redis.command('FLUSHALL')
    const engines = [await startEngine('node-1'), await startEngine('node-2')]
    const ENDPOINTS = JSON.stringify(engines.map(({ endpoint }) => endpoint))
    const { value } = await app.run(client, { form, env: { REDIS_URL: redis.url, ENDPOINTS } })
    expect(value).toEqual({
      chat: 'one two',
      response: [1, 200, 'node'],
      stream: 'one two',
      embeddings: [0.5, 0.25],
      models: ['m'],
      deleted: true,
      transcription: 'true multipart/form-data',
      timeout: 'APIConnectionTimeoutError',
      abort: 'APIUserAbortError',
      within: 2,
      plain: [200, true, '/v1/models', 'list'],
      missing: 404,
      unserved: [404, 'model_not_found'],
    })
    // The nodes learned of the callers that left.
    await until(() => engines.every(({ underWay }) => underWay.size === 0), 30_000)
  })
})

const coordinator = `
  import { createServer } from 'node:http'
  import { connect } from '@evenkeel/core'
  import { createDecoderPool } from '@evenkeel/decoder-pool'
  import { createCoordinatorHandler } from '@evenkeel/decoder-pool/http'

  const redis = await connect({ commandTimeout: 200 })
  const pool = await createDecoderPool({ redis, pollInterval: 200, probe: { interval: 200 } })
  const manage = createCoordinatorHandler({
    pool,
    authorize: (request) => request.headers.get('authorization') === 'Bearer t0ken',
    addresses: { hosts: ['127.0.0.1'] },
  })
  const ask = pool.fetch({ wanted: { timeout: '20s', idempotent: true } })
  const server = createServer(async (request, response) => {
    const leaves = new AbortController()
    response.on('close', () => leaves.abort())
    try {
      const chunks = []
      for await (const chunk of request) chunks.push(chunk)
      const body = chunks.length === 0 ? {} : { body: Buffer.concat(chunks) }
      const isManaged = request.url.startsWith('/api/')
      const init = { method: request.method, headers: request.headers, signal: leaves.signal, ...body }
      const answer = isManaged ? await manage(new Request('http://pool' + request.url, init)) : await ask('http://pool' + request.url, init)
      response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'text/plain' })
      if (answer.body !== null) for await (const chunk of answer.body) response.write(chunk)
      response.end()
    } catch (error) {
      if (!response.headersSent) response.writeHead(502)
      response.end(String(error))
    }
  })
  server.keepAliveTimeout = 60_000
  server.listen(0, '127.0.0.1', () => console.log('listening ' + server.address().port))
  process.once('SIGTERM', async () => {
    server.close()
    server.closeAllConnections()
    await pool.close()
    await redis.close()
  })`

async function statusOf(service: Service) {
  const answer = await service.fetch('/api/status', { headers: { authorization: 'Bearer t0ken' } })
  return (await answer.json()) as { state: string; nodes: { node: { endpoint: string } }[] }
}

const completed = async (service: Service): Promise<number> => {
  const body = JSON.stringify({ model: 'm', messages: [] })
  const answer = await service.fetch('/v1/chat/completions', { method: 'POST', body })
  await answer.text()
  return answer.status
}

describe('npx evenkeel register-decoder and a coordinator in front of nodes', () => {
  const register = (endpoint: string, flags: readonly string[], env: Record<string, string> = {}) =>
    app.node(
      [join(app.folder, 'node_modules/.bin/evenkeel'), 'register-decoder', '--allow-http', '--json'].concat(
        ['--endpoint', endpoint],
        flags,
      ),
      { env, mayFail: true, stderr: 'allowed' },
    )

  const serveAll = async (form: Form, server: RedisServer) => {
    const service = await app.serve(coordinator, { form, env: { REDIS_URL: server.url }, stderr: 'outages' })
    ends.push(() => service[Symbol.asyncDispose]())
    return service
  }

  it.each(forms)('Redis is killed half-way, comes back, and nobody notices, %s', async (form) => {
    const server = await startRedis()
    ends.push(() => server.close())
    const [one, other] = [await serveAll(form, server), await serveAll(form, server)]
    const engines = [await startEngine('node-1'), await startEngine('node-2'), await startEngine('node-3')]
    const flags = ['--coordinator-url', one.url]
    const [first, second, third] = engines
    if (first === undefined || second === undefined || third === undefined) throw new Error('unreachable')
    expect((await register(first.endpoint, flags)).value).toMatchObject({ registered: false })
    const env = { EVENKEEL_COORDINATOR_TOKEN: 't0ken' }
    expect((await register(first.endpoint, flags, env)).value).toMatchObject({ registered: true, way: 'api' })
    expect((await register(second.endpoint, ['--redis-url', server.url])).value).toMatchObject({
      way: 'redis',
    })
    await until(async () => (await statusOf(other)).nodes.length === 2, 30_000)

    const statuses: number[] = []
    let isOver = false
    const load = Promise.all(
      [one, other, one, other].map(async (service) => {
        while (!isOver) statuses.push(await completed(service))
      }),
    )
    await until(() => statuses.length > 50, 30_000)
    await server.kill()
    await until(async () => (await statusOf(one)).state !== 'primary', 30_000)
    // The coordinator where a node registers now knows it at once, the others when Redis is back.
    expect((await register(third.endpoint, flags, env)).value).toMatchObject({ registered: true })
    expect((await statusOf(one)).nodes).toHaveLength(3)
    const before = statuses.length
    await until(() => statuses.length > before + 50, 30_000)
    await server.restart({ empty: true })
    await until(async () => {
      const all = [await statusOf(one), await statusOf(other)]
      return all.every(({ state, nodes }) => state === 'primary' && nodes.length === 3)
    }, 45_000)
    isOver = true
    await load
    expect(statuses.filter((status) => status !== 200)).toEqual([])
    await Promise.all([one.stop(), other.stop()])
  })

  it('tells a machine why a node is not there, and nobody its password', async () => {
    const secret = await register('https://u:c4nary@node.internal', ['--file', 'x'])
    expect([secret.code, secret.value]).toEqual([2, expect.objectContaining({ registered: false })])
    expect(secret.stdout + secret.stderr).not.toContain('c4nary')
    const dead = await register('http://127.0.0.1:9', ['--file', 'x'])
    expect([dead.code, dead.value]).toEqual([3, expect.objectContaining({ registered: false })])
    const { endpoint } = await startEngine('node')
    const nowhere = await register(endpoint, ['--redis-url', 'redis://127.0.0.1:9', '--timeout', '500ms'])
    expect([nowhere.code, nowhere.value]).toEqual([4, expect.objectContaining({ registered: false })])
  })
})
