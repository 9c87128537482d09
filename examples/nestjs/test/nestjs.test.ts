import { type RedisServer, startRedis, until } from '@evenkeel/test-servers'
import type { INestApplication } from '@nestjs/common'
import { afterEach, describe, expect, it } from 'vitest'
import { createChatApp } from '../src/app.js'
import type { EvenkeelOptions } from '../src/evenkeel.module.js'
import { standIn } from '../src/stand-in.js'

describe('the module', () => {
  const apps: INestApplication[] = []
  afterEach(async () => {
    for (const app of apps.splice(0)) await app.close()
  })

  async function start(options: EvenkeelOptions = {}) {
    const { model, calls } = standIn()
    const app = await createChatApp({ ...options, model })
    apps.push(app)
    await app.listen(0, '127.0.0.1')
    const url = await app.getUrl()
    const ask = async (path: string, headers: Record<string, string> = {}) =>
      fetch(`${url}${path}`, { headers })
    const say = async (key: string, id: string, content: string) => {
      const response = await fetch(`${url}/chats/c`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-api-key': key },
        body: JSON.stringify({ id, content }),
      })
      return {
        status: response.status,
        retryAfter: response.headers.get('retry-after'),
        ...((await response.json()) as Record<string, unknown>),
      }
    }
    const said = async (key: string) => (await ask('/chats/c', { 'x-api-key': key })).json()
    return { app, ask, say, said, calls }
  }

  it('limits callers, shares answers between them and keeps their conversations apart, without Redis', async () => {
    const { say, said, calls } = await start({ redisUrl: undefined, requestsPerMinute: 4 })
    expect(await say('ada', '1', 'hello')).toMatchObject({ status: 201, cache: 'miss', question: 'stored' })
    expect(await say('bob', '1', 'hello')).toMatchObject({ status: 201, cache: 'hit', question: 'stored' })
    expect(calls()).toBe(1)
    expect(await say('ada', '1', 'hello')).toMatchObject({ status: 201, question: 'duplicate' })
    await say('ada', '2', 'and now?')
    expect(await said('bob')).toHaveLength(2)
    const roles = ((await said('ada')) as { role: string }[]).map(({ role }) => role)
    expect(roles).toEqual(['user', 'assistant', 'user', 'assistant'])
    const refused = await say('ada', '3', 'more')
    expect(refused.status).toBe(429)
    expect(Number(refused.retryAfter)).toBeGreaterThan(0)
  })

  it('goes on when Redis is killed between two questions, and tells another instance all of it afterwards', async () => {
    await using server: RedisServer = await startRedis()
    const one = await start({ redisUrl: server.url })
    const health = async () => (await one.ask('/health')).status
    await until(async () => (await health()) === 200, 20_000)
    expect(await one.say('ada', '1', 'hello')).toMatchObject({ status: 201, question: 'stored' })
    await server.kill()
    await until(async () => (await health()) === 503, 20_000)
    expect(await one.say('ada', '2', 'still there?')).toMatchObject({ status: 201, question: 'journaled' })
    await server.restart()
    await until(async () => (await health()) === 200, 20_000)
    const other = await start({ redisUrl: server.url })
    // The first question may be lost with Redis; the one asked during the outage is handed over to Redis.
    await until(async () => JSON.stringify(await other.said('ada')).includes('still there?'), 20_000)
  })

  it('shows operators metrics and the state of Redis, and others only whether it is well', async () => {
    await using server = await startRedis()
    const { ask } = await start({ redisUrl: server.url, operatorToken: 'operator' })
    const operator = { authorization: 'Bearer operator' }
    await until(async () => (await ask('/health')).status === 200, 20_000)
    expect([(await ask('/metrics')).status, (await ask('/health/redis')).status]).toEqual([403, 403])
    expect(await (await ask('/health/redis', operator)).json()).toMatchObject({ status: 'healthy' })
    await until(
      async () => (await (await ask('/metrics', operator)).text()).includes('redis_connection_status'),
      20_000,
    )
    expect((await ask('/health/live')).status).toBe(200)
  })

  it('closes its connection with the application', async () => {
    await using server = await startRedis()
    const { app } = await start({ redisUrl: server.url })
    const clients = async () => Number(await server.info('connected_clients'))
    await until(async () => (await clients()) > 1, 20_000)
    await app.close()
    await until(async () => (await clients()) <= 1, 20_000)
  })
})
