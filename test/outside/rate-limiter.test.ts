import { type RedisServer, startRedis, until } from '@evenkeel/test-servers'
import { parseList } from 'structured-headers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { libraries, project, type Service } from './harness/index.js'

const limit = 10
const windowSeconds = 60

/**
 * What every service has: `/`, limited by `x-user`; `/slow`, of which one is answered at a time, and which never ends
 * unless its query is `now`; and `/state`, which is not limited.
 */
const parts = `
  import { connect } from '@evenkeel/core'
  import { concurrency, createRateLimiter, slidingWindow } from '@evenkeel/rate-limiter'

  const redis = await connect()
  const name = process.env.LIMITER
  const limiter = createRateLimiter({ redis, name, limits: { requests: slidingWindow(${limit}, '1m') } })
  const slots = createRateLimiter({ redis, name: name + '-slots', limits: { parallel: concurrency(1) } })
  const subject = (view) => view.header('x-user')
  let started = 0
  const slow = (url) => {
    started++
    return url.endsWith('now') ? Promise.resolve('now') : new Promise(() => {})
  }
  const state = () => ({ redis: redis.state, instances: limiter.stats().instances, started })
  const closeAll = async () => {
    await slots.close()
    await limiter.close()
    await redis.close()
  }
  const closeServer = (server) => process.once('SIGTERM', () => {
    server.close(closeAll)
    server.closeAllConnections()
  })`

const express = `
  import express from 'express'
  import { rateLimit } from '@evenkeel/rate-limiter/express'
  ${parts}
  const app = express()
  app.get('/state', (_request, response) => { response.json(state()) })
  app.get('/slow', rateLimit({ limiter: slots, subject }), async (request, response) => { response.send(await slow(request.url)) })
  app.get('/', rateLimit({ limiter, subject }), (_request, response) => { response.send('hello') })
  const server = app.listen(0, () => console.log('listening ' + server.address().port))
  closeServer(server)`

const fastify = `
  import Fastify from 'fastify'
  import { rateLimit } from '@evenkeel/rate-limiter/fastify'
  ${parts}
  const app = Fastify({ forceCloseConnections: true })
  app.get('/state', state)
  await app.register(async (scope) => {
    await scope.register(rateLimit, { limiter: slots, subject })
    scope.get('/slow', (request) => slow(request.url))
  })
  await app.register(async (scope) => {
    await scope.register(rateLimit, { limiter, subject })
    scope.get('/', async () => 'hello')
  })
  app.addHook('onClose', closeAll)
  await app.listen({ port: 0, host: '127.0.0.1' })
  console.log('listening ' + app.server.address().port)
  process.once('SIGTERM', () => { void app.close() })`

const hono = `
  import { serve } from '@hono/node-server'
  import { Hono } from 'hono'
  import { rateLimit } from '@evenkeel/rate-limiter/hono'
  ${parts}
  const app = new Hono()
  app.get('/state', (c) => c.json(state()))
  app.get('/slow', rateLimit({ limiter: slots, subject }), async (c) => c.text(await slow(c.req.url)))
  app.get('/', rateLimit({ limiter, subject }), (c) => c.text('hello'))
  const server = serve({ fetch: app.fetch, port: 0 }, ({ port }) => console.log('listening ' + port))
  closeServer(server)`

const http = `
  import { createServer } from 'node:http'
  import { rateLimit } from '@evenkeel/rate-limiter/node'
  ${parts}
  const limited = rateLimit({ limiter, subject })
  const oneAtATime = rateLimit({ limiter: slots, subject })
  const answer = async (request, response) => {
    if (request.url === '/state') response.end(JSON.stringify(state()))
    else if (request.url === '/') {
      if (await limited(request, response)) response.end('hello')
    } else if (await oneAtATime(request, response)) response.end(await slow(request.url))
  }
  const server = createServer((request, response) => { void answer(request, response) })
  server.listen(0, () => console.log('listening ' + server.address().port))
  closeServer(server)`

/** A handler from a Request to a Response, behind a server of fetch's shape. */
const web = `
  import { serve } from '@hono/node-server'
  import { rateLimit } from '@evenkeel/rate-limiter/web'
  ${parts}
  const hello = rateLimit({ limiter, subject })(() => new Response('hello'))
  const oneAtATime = rateLimit({ limiter: slots, subject })(async (request) => new Response(await slow(request.url)))
  const fetch = (request) => {
    const { pathname } = new URL(request.url)
    if (pathname === '/state') return Response.json(state())
    return pathname === '/slow' ? oneAtATime(request) : hello(request)
  }
  const server = serve({ fetch, port: 0 }, ({ port }) => console.log('listening ' + port))
  closeServer(server)`

const honoLibraries = { hono: '4.13.19', '@hono/node-server': '2.1.8' }
const frameworks = [
  { name: 'express-4', script: express, dependencies: { express: '4.22.3' } },
  { name: 'express-5', script: express, dependencies: { express: '5.3.0' } },
  { name: 'fastify-5', script: fastify, dependencies: { fastify: '5.12.8' } },
  { name: 'hono-4', script: hono, dependencies: honoLibraries },
  { name: 'node:http', folder: 'hono-4', script: http, dependencies: honoLibraries },
  { name: 'Request to Response', folder: 'hono-4', script: web, dependencies: honoLibraries },
]

let redis: RedisServer
beforeAll(async () => {
  redis = await startRedis()
})
afterAll(() => redis.close())

/** What a client reads of an answer, its headers parsed as structured fields. */
interface Answer {
  readonly status: number
  readonly type: string | null
  readonly retryAfter: number
  readonly policy: Members
  readonly limits: Members
  readonly body: string
}

type Members = Readonly<Record<string, Readonly<Record<string, unknown>>>>

function members(header: string | null): Members {
  return Object.fromEntries(
    parseList(header ?? '').map(([name, parameters]) => [
      String(name),
      Object.fromEntries(parameters as ReadonlyMap<string, unknown>),
    ]),
  )
}

async function ask(service: Service, user: string, path = '/'): Promise<Answer> {
  const response = await service.fetch(path, { headers: { 'x-user': user } })
  return {
    status: response.status,
    type: response.headers.get('content-type'),
    retryAfter: Number(response.headers.get('retry-after') ?? Number.NaN),
    policy: members(response.headers.get('ratelimit-policy')),
    limits: members(response.headers.get('ratelimit')),
    body: await response.text(),
  }
}

interface State {
  readonly redis: string
  readonly instances: number
  readonly started: number
}

async function state(service: Service): Promise<State> {
  return (await (await service.fetch('/state')).json()) as State
}

/** Calls one service after the other until it refuses; gives how many calls were admitted, and the refusals. */
async function exhaust(services: readonly Service[], user: string) {
  const refusals: Answer[] = []
  let admitted = 0
  for (const service of services) {
    for (let asked = 0; ; asked++) {
      const answer = await ask(service, user)
      if (answer.status === 429) {
        refusals.push(answer)
        break
      }
      expect(answer).toMatchObject({ status: 200, body: 'hello' })
      admitted++
      expect(asked).toBeLessThan(limit)
    }
  }
  return { admitted, refusals }
}

function expectRefusal(answer: Answer): void {
  expect(answer.type).toContain('application/problem+json')
  expect(JSON.parse(answer.body)).toMatchObject({
    type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
    status: 429,
    'violated-policies': ['requests'],
  })
  expect(answer.policy).toEqual({ requests: { q: limit, w: windowSeconds } })
  const { r, t } = answer.limits.requests ?? {}
  expect(r).toBe(0)
  expect(answer.retryAfter).toBe(t)
  expect(answer.retryAfter).toBeGreaterThanOrEqual(1)
  expect(answer.retryAfter).toBeLessThanOrEqual(windowSeconds)
}

describe.each(frameworks)('$name, two instances, one imported and one required', (framework) => {
  const { name, folder = name, script, dependencies } = framework
  let one: Service
  let other: Service
  beforeAll(async () => {
    const app = await project(folder, { dependencies: { ...dependencies, redis: libraries.redis6 } })
    const env = { REDIS_URL: redis.url, LIMITER: `of-${name.replaceAll(/\W/g, '-')}` }
    const started = await Promise.all([
      app.serve(script, { form: 'esm', env }),
      app.serve(script, { form: 'cjs', env }),
    ])
    ;[one, other] = started
  })
  afterAll(async () => {
    // They end by themselves, with success.
    await Promise.all([one.stop(), other.stop()])
  })

  it('answer one at a time, and a client that leaves makes room', async () => {
    const leaving = new AbortController()
    const first = one.fetch('/slow', { headers: { 'x-user': 'alice' }, signal: leaving.signal })
    const left = expect(first).rejects.toThrow(/abort/)
    await until(async () => (await state(one)).started === 1, 20_000)

    const refused = await ask(other, 'alice', '/slow?now')
    expect(refused.status).toBe(429)
    expect(refused.policy).toEqual({ parallel: { q: 1, qu: 'concurrent-requests' } })
    // Nobody knows when a slot will be free.
    expect(refused.limits).toEqual({ parallel: { r: 0 } })
    expect(refused.retryAfter).toBe(1)

    leaving.abort()
    await left
    await until(async () => (await ask(other, 'alice', '/slow?now')).status === 200, 20_000)
  })

  it('keep one limit together before, while and after Redis is killed', async () => {
    const both = [one, other]
    // Both charge the same count.
    for (const [index, service] of [one, other, one, other].entries()) {
      const answer = await ask(service, 'alice')
      expect(answer).toMatchObject({
        status: 200,
        policy: { requests: { q: limit, w: windowSeconds } },
        limits: { requests: { r: limit - 1 - index, t: windowSeconds } },
      })
      expect(answer.retryAfter).toBeNaN()
    }
    await until(async () => {
      const seen = await Promise.all(both.map(state))
      return seen.every(({ instances }) => instances === 2)
    }, 20_000)

    await redis.kill()
    // Of 10, 4 were charged; each admits its part of the 6 or 7 that were left when it heard last.
    const alone = await exhaust(both, 'alice')
    expect(alone.admitted).toBeGreaterThanOrEqual(5)
    expect(alone.admitted).toBeLessThanOrEqual(7)
    alone.refusals.forEach(expectRefusal)
    await until(async () => (await state(one)).redis === 'down', 20_000)
    expect((await ask(one, 'bob')).status).toBe(200)
    expect((await ask(other, 'bob')).status).toBe(200)

    await redis.restart()
    for (const service of both) await until(async () => (await state(service)).redis === 'up', 20_000)
    // Both tell Redis what they charged, and it goes on from there.
    const back = await exhaust(both, 'alice')
    expect(back.admitted + alone.admitted).toBeLessThanOrEqual(7)
    back.refusals.forEach(expectRefusal)
    expect((await ask(one, 'carol')).status).toBe(200)
  })
})
