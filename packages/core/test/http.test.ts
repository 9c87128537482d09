import { createServer, get as httpGet, type Server } from 'node:http'
import { type AddressInfo, connect as connectSocket } from 'node:net'
import { type RedisServer, startProxy, startRedis } from '@evenkeel/test-servers'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Connection, connect, createHealthHandler, toNodeHandler } from '../src/index.js'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

async function serve(handler: (request: Request) => Promise<Response>): Promise<number> {
  const server: Server = createServer(toNodeHandler(handler))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  ends.push(() => new Promise((resolve) => server.close(resolve)))
  return (server.address() as AddressInfo).port
}

/** Sends bytes as they are and resolves with what came back until the server ended the connection. */
function raw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = connectSocket(port, '127.0.0.1', () => socket.write(text))
    socket.on('data', (chunk) => {
      answer += chunk
    })
    socket.on('close', () => resolve(answer))
    socket.on('error', reject)
  })
}

const close = 'connection: close\r\n\r\n'

describe("a fetch-style handler behind Node's http", () => {
  const echo = async (request: Request) =>
    Response.json({
      path: new URL(request.url).pathname,
      method: request.method,
      token: request.headers.get('authorization'),
      cookies: request.headers.get('cookie'),
    })

  it.each([
    ['GET // HTTP/1.1\r\nhost: x', 200],
    ['GET //[::/health HTTP/1.1\r\nhost: x', 200],
    ['GET /\\\\x HTTP/1.1\r\nhost: x', 200],
    ['GET http://[::/health HTTP/1.1\r\nhost: x', 400],
    ['GET http://other.example/a?b HTTP/1.1\r\nhost: x', 200],
    ['GET /%zz HTTP/1.1\r\nhost: x', 200],
    ['GET / HTTP/1.1\r\nhost: [::', 200],
    ['GET / HTTP/1.1\r\nhost: a b\u0001', 400],
    ['OPTIONS * HTTP/1.1\r\nhost: x', 400],
    ['TRACE /health/live HTTP/1.1\r\nhost: x', 405],
    ['GET / HTTP/1.0', 200],
  ])('answers %j', async (head, status) => {
    const port = await serve(echo)
    expect(await raw(port, `${head}\r\n${close}`)).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect((await fetch(`http://127.0.0.1:${port}/still-here`)).status).toBe(200)
  })

  it('is told method, path and headers, and its cookies come through', async () => {
    const port = await serve(async (request) => {
      const answer = await echo(request)
      answer.headers.append('set-cookie', 'a=1')
      answer.headers.append('set-cookie', 'b=2')
      return answer
    })
    const answer = await fetch(`http://127.0.0.1:${port}/a/b`, {
      method: 'DELETE',
      headers: { authorization: 'Bearer t', cookie: 'c=3' },
    })
    expect(await answer.json()).toEqual({ path: '/a/b', method: 'DELETE', token: 'Bearer t', cookies: 'c=3' })
    expect(answer.headers.getSetCookie()).toEqual(['a=1', 'b=2'])
  })

  it('passes a failure on once, and hears when the caller leaves', async () => {
    const failing = await serve(() => Promise.reject(new Error('broken')))
    expect((await fetch(`http://127.0.0.1:${failing}/`)).status).toBe(500)
    const throwing = await serve(() => {
      throw new Error('broken')
    })
    expect((await fetch(`http://127.0.0.1:${throwing}/`)).status).toBe(500)
    let left = () => {}
    const hasLeft = new Promise<void>((resolve) => {
      left = resolve
    })
    const endless = await serve(async (request) => {
      request.signal.addEventListener('abort', left)
      return new Response(new ReadableStream({ pull: (stream) => stream.enqueue(new Uint8Array(1_024)) }))
    })
    httpGet(`http://127.0.0.1:${endless}/`, (answer) => answer.once('data', () => answer.destroy()))
    await hasLeft
    expect((await fetch(`http://127.0.0.1:${failing}/`)).status).toBe(500)
  })
})

describe('health over HTTP', () => {
  let server: RedisServer
  let redis: Connection
  const ask = (handler: (request: Request) => Promise<Response>, path: string, headers = {}) =>
    handler(new Request(`http://host${path}`, { headers }))

  beforeAll(async () => {
    server = await startRedis()
    redis = await connect({ url: server.url })
  })
  afterAll(async () => {
    await redis.close()
    await server.close()
  })

  it('tells strangers the status and nothing else', async () => {
    const away = await connect({ url: 'redis://127.0.0.1:1', logger: { info() {}, warn() {} } })
    ends.push(() => away.close())
    for (const connection of [redis, away]) {
      const handler = createHealthHandler(connection)
      const status = connection === redis ? 'healthy' : 'unhealthy'
      for (const path of ['/health', '/health/redis', '/any/health/redis']) {
        const answer = await ask(handler, path)
        expect(await answer.json()).toEqual({ status })
        expect(answer.status).toBe(connection === redis ? 200 : 503)
      }
    }
    const unknown = await ask(createHealthHandler(redis), '/C4NARY')
    expect(unknown.status).toBe(404)
    expect(await unknown.text()).not.toContain('C4NARY')
  })

  it('tells details to who is authorized, through Node too', async () => {
    const authorize = (request: Request) => request.headers.get('authorization') === 'Bearer right'
    const port = await serve(createHealthHandler(redis, { authorize }))
    const answer = (path: string, token: string) =>
      fetch(`http://127.0.0.1:${port}${path}`, { headers: { authorization: `Bearer ${token}` } })
    expect(await (await answer('/health', 'right')).json()).toEqual({ status: 'healthy', reasons: [] })
    expect(await (await answer('/health', 'wrong')).json()).toEqual({ status: 'healthy' })
    expect(await (await answer('/health/redis', 'right')).json()).toMatchObject({
      server: { role: 'master' },
    })
    expect((await answer('/health/redis', 'wrong')).status).toBe(403)
    const broken = createHealthHandler(redis, { authorize: () => Promise.reject(new Error('no directory')) })
    expect((await ask(broken, '/health/redis')).status).toBe(403)
  })

  it('refuses options that it does not know', () => {
    expect(() => createHealthHandler(redis, { maxWaitMs: 5 } as never)).toThrow(
      /maxWaitMs.*did you mean 'maxWait'/,
    )
    expect(() => createHealthHandler(redis, { authorize: true as never })).toThrow(/^authorize: /)
    expect(() => createHealthHandler([])).toThrow(/^redis: /)
  })

  it('takes time in proportion to the path, whatever is in it', async () => {
    const handler = createHealthHandler(redis)
    const took = async (slashes: number) => {
      const startedAt = process.cpuUsage()
      await ask(handler, `/${'/'.repeat(slashes)}x`)
      const { user, system } = process.cpuUsage(startedAt)
      return (user + system) / 1_000
    }
    await took(1_000)
    // Quadratic time would be seconds of this process's CPU time.
    expect(await took(200_000)).toBeLessThan(1_000)
  })

  it('answers by what is known where the first report takes longer than the wait', async () => {
    const proxy = await startProxy({ host: server.host, port: server.port })
    const slow = await connect({ url: proxy.url, commandTimeout: '10s' })
    ends.push(
      () => proxy.close(),
      () => slow.close(),
    )
    proxy.blackHole()
    const answer = await ask(createHealthHandler(slow, { maxWait: 1 }), '/health')
    expect(await answer.json()).toEqual({ status: 'healthy' })
  })
})
