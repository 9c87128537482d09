import { createAgentMemory } from '@evenkeel/agent-memory'
import { type Connection, connect } from '@evenkeel/core'
import { type FaultProxy, type RedisServer, startProxy, startRedis, until } from '@evenkeel/test-servers'
import { afterEach, describe, expect, it } from 'vitest'
import { createChatApp, type Model } from '../src/app.js'
import { Client, serve } from '../src/client.js'
import { standIn } from '../src/stand-in.js'

describe('the example', () => {
  const ends: (() => Promise<unknown>)[] = []
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end()
  })

  async function instance(server: RedisServer, model: Model = standIn) {
    const proxy: FaultProxy = await startProxy({ host: server.host, port: server.port })
    const redis: Connection = await connect({ url: proxy.url, commandTimeout: 200 })
    const { base, end } = await serve(createChatApp({ redis, model, secret: 's' }))
    ends.push(
      () => proxy.close(),
      () => redis.close(),
      end,
    )
    return { base, proxy, redis }
  }

  it('goes on through an outage, and loses nothing of it', async () => {
    const server = await startRedis()
    ends.push(() => server.close())
    const { base, proxy, redis } = await instance(server)
    const client = new Client(base)
    await client.send('POST', '/login', { user: 'ada' })
    const say = async (id: string) =>
      JSON.parse((await client.send('POST', '/chats/c', { id, content: id })).text)
    expect(await say('one')).toMatchObject({ status: 'stored', answered: 'stored', stale: false })
    await proxy.refuse()
    await until(() => redis.state === 'down', 2_000)
    expect(await say('two')).toMatchObject({ status: 'journaled', answered: 'journaled', stale: true })
    await proxy.restore()
    await until(() => redis.state === 'up', 5_000)
    const elsewhere = client.at((await instance(server)).base)
    const history = async () => JSON.parse((await elsewhere.send('GET', '/chats/c')).text).messages
    await expect
      .poll(async () => (await history()).map(({ id }: { id: string }) => id), { timeout: 5_000 })
      .toEqual(['one', 'answer to one', 'two', 'answer to two'])
  })

  it('shows an answer at another instance while it is made', async () => {
    const server = await startRedis()
    ends.push(() => server.close())
    let go = () => {}
    const held = new Promise<void>((resolve) => {
      go = resolve
    })
    const slow: Model = async function* () {
      yield 'first'
      await held
      yield ' last'
    }
    const client = new Client((await instance(server, slow)).base)
    await client.send('POST', '/login', { user: 'ada' })
    const answer = client.send('POST', '/chats/c', { id: 'q', content: 'tell me' })
    const elsewhere = client.at((await instance(server)).base)
    // It is followed once it has begun.
    const redis = await connect({ url: server.url })
    const memory = createAgentMemory({ redis })
    ends.push(
      () => redis.close(),
      () => memory.close(),
    )
    const thread = memory.owner('user:ada').thread('c')
    await expect.poll(async () => (await thread.drafts()).length).toBe(1)
    const followed = elsewhere.send('GET', '/chats/c/answers/answer%20to%20q')
    go()
    expect(JSON.parse((await answer).text).text).toBe('first last')
    expect((await followed).text).toBe('first last')
  })

  it('runs without Redis, and keeps users apart', async () => {
    const { base, end } = await serve(createChatApp({ model: standIn, secret: 's' }))
    ends.push(end)
    const [ada, bob] = [new Client(base), new Client(base)]
    expect((await ada.send('GET', '/chats/c')).status).toBe(401)
    await ada.send('POST', '/login', { user: 'ada' })
    await bob.send('POST', '/login', { user: 'bob' })
    await ada.send('POST', '/chats/c', { id: 'm', content: 'secret' })
    expect(JSON.parse((await bob.send('GET', '/chats/c')).text).messages).toEqual([])
    await ada.send('POST', '/logout')
    expect((await ada.send('GET', '/chats/c')).status).toBe(401)
  })

  it('tells operators how it is, and strangers only whether', async () => {
    const server = await startRedis()
    ends.push(() => server.close())
    const redis = await connect({ url: server.url, name: 'chat' })
    const { base, end } = await serve(
      createChatApp({ redis, model: standIn, secret: 's', operatorToken: 'operator' }),
    )
    ends.push(() => redis.close(), end)
    const ask = async (path: string, token?: string) => {
      const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` }
      const response = await fetch(base + path, { headers })
      return { status: response.status, text: await response.text() }
    }
    expect(await ask('/health')).toEqual({ status: 200, text: JSON.stringify({ status: 'healthy' }) })
    await expect
      .poll(async () => (await ask('/health/redis', 'operator')).text, { timeout: 20_000 })
      .toContain('version')
    expect([(await ask('/metrics')).status, (await ask('/health/redis', 'other')).status]).toEqual([403, 403])
    await expect
      .poll(async () => (await ask('/metrics', 'operator')).text, { timeout: 20_000 })
      .toContain('redis_connection_status{connection="chat",status="up"')
    await server.kill()
    await until(() => redis.state === 'down', 20_000)
    expect((await ask('/health')).status).toBe(503)
  })
})
