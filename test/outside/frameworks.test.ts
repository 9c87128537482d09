import { type RedisServer, startRedis, until } from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { forms, libraries, project, type Service } from './harness/index.js'

/** What every service has: a limited `/`, and `/state`, which tells whether Redis is used. */
const parts = `
  import { connect } from '@evenkeel/core'
  import { createRateLimiter, slidingWindow } from '@evenkeel/rate-limiter'
  import { createResponseCache } from '@evenkeel/llm-response-cache'

  const redis = await connect()
  const limiter = createRateLimiter({ redis, limits: { requests: slidingWindow(1_000, '1m') } })
  const cache = createResponseCache({ redis })
  const hello = cache.wrap(async () => ({ hello: 'world' }), { name: 'hello' })
  const closeAll = async () => {
    await cache.close()
    await limiter.close()
    await redis.close()
  }`

const express = `
  import express from 'express'
  import { rateLimit } from '@evenkeel/rate-limiter/express'
  ${parts}
  const app = express()
  app.get('/state', (_request, response) => { response.json({ redis: redis.state }) })
  app.use(rateLimit({ limiter, subject: () => 'everyone' }))
  app.get('/', async (_request, response) => { response.json(await hello()) })
  const server = app.listen(0, () => console.log('listening ' + server.address().port))
  process.once('SIGTERM', () => {
    server.close(closeAll)
    server.closeAllConnections()
  })`

const fastify = `
  import Fastify from 'fastify'
  import { rateLimit } from '@evenkeel/rate-limiter/fastify'
  ${parts}
  const app = Fastify({ forceCloseConnections: true })
  await app.register(rateLimit, { limiter, subject: () => 'everyone' })
  app.get('/state', { config: { rateLimit: false } }, () => ({ redis: redis.state }))
  app.get('/', () => hello())
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
  app.get('/state', (c) => c.json({ redis: redis.state }))
  app.use(rateLimit({ limiter, subject: () => 'everyone' }))
  app.get('/', async (c) => c.json(await hello()))
  const server = serve({ fetch: app.fetch, port: 0 }, ({ port }) => console.log('listening ' + port))
  process.once('SIGTERM', () => {
    server.close(closeAll)
    server.closeAllConnections()
  })`

const frameworks = [
  { name: 'express-4', script: express, dependencies: { express: '4.22.3' } },
  { name: 'express-5', script: express, dependencies: { express: '5.3.0' } },
  { name: 'fastify-5', script: fastify, dependencies: { fastify: '5.12.8' } },
  { name: 'hono-4', script: hono, dependencies: { hono: '4.13.19', '@hono/node-server': '2.1.8' } },
]

let redis: RedisServer
beforeAll(async () => {
  redis = await startRedis()
})
afterAll(() => redis.close())

describe.each(frameworks)('$name', ({ name, script, dependencies }) => {
  it.each(forms)(
    'serves before, while and after Redis is away, and ends when it is told to, %s',
    async (form) => {
      const app = await project(name, { dependencies: { ...dependencies, redis: libraries.redis6 } })
      await using service = await app.serve(script, { form, env: { REDIS_URL: redis.url } })
      const twenty = Array.from({ length: 20 }, () => [200, { hello: 'world' }])

      expect(await ask(service, 20)).toEqual(twenty)
      await redis.kill()
      expect(await ask(service, 20)).toEqual(twenty)
      await until(async () => (await state(service)) === 'down', 20_000)
      expect(await ask(service, 20)).toEqual(twenty)
      await redis.restart()
      await until(async () => (await state(service)) === 'up', 20_000)
      expect(await ask(service, 20)).toEqual(twenty)
      const limited = await service.fetch('/')
      expect(limited.headers.get('ratelimit')).toMatch(/"requests";r=\d+;t=\d+/)
      await service.stop()
    },
  )
})

async function ask(service: Service, times: number): Promise<unknown[]> {
  const answers: unknown[] = []
  for (let count = 0; count < times; count++) {
    const response = await service.fetch('/')
    answers.push([response.status, await response.json()])
  }
  return answers
}

async function state(service: Service): Promise<string> {
  const response = await service.fetch('/state')
  return ((await response.json()) as { redis: string }).redis
}
