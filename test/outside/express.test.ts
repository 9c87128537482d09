import { type RedisServer, startRedis, until } from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { forms, type Project, project } from './harness/index.js'

const service = `
  import { connect } from '@evenkeel/core'
  import { createRateLimiter, slidingWindow } from '@evenkeel/rate-limiter'
  import { rateLimit } from '@evenkeel/rate-limiter/express'
  import express from 'express'

  const redis = await connect()
  const limiter = createRateLimiter({ redis, limits: { requests: slidingWindow(1_000, '1m') } })
  const app = express()
  app.get('/state', (_request, response) => {
    response.json({ redis: redis.state })
  })
  app.use(rateLimit({ limiter, subject: () => 'everyone' }))
  app.get('/', (_request, response) => {
    response.json({ hello: 'world' })
  })
  const server = app.listen(0, () => console.log('listening ' + server.address().port))
  process.once('SIGTERM', () => {
    server.close(async () => {
      await limiter.close()
      await redis.close()
    })
    server.closeAllConnections()
  })`

let redis: RedisServer
beforeAll(async () => {
  redis = await startRedis()
})
afterAll(() => redis.close())

describe.each(['4.22.3', '5.3.0'])('Express %s', (version) => {
  let app: Project
  beforeAll(async () => {
    app = await project(`express-${version}`, { dependencies: { express: version, redis: '6.3.1' } })
  })

  it.each(forms)('limits a service before, while and after Redis is away, %s', async (form) => {
    await using running = await app.serve(service, { form, env: { REDIS_URL: redis.url }, stderr: 'allowed' })
    const statuses = async (times: number) => {
      const got: number[] = []
      for (let i = 0; i < times; i++) got.push((await running.fetch('/')).status)
      return got
    }
    const isUp = async () =>
      ((await (await running.fetch('/state')).json()) as { redis: string }).redis === 'up'
    const ok = Array.from({ length: 20 }, () => 200)

    expect(await statuses(20)).toEqual(ok)
    await redis.kill()
    expect(await statuses(20)).toEqual(ok)
    await until(async () => !(await isUp()))
    await redis.restart()
    await until(isUp)
    expect(await statuses(20)).toEqual(ok)
    await running.stop()
  })
})
