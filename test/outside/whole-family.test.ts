import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { forms, type Project, project, type RuntimeName, runtimes } from './harness/index.js'

/** Calls every package once, closes all, and reports the results. What is left open would keep the process alive. */
const family = (imports: string) => `
  ${imports}
  const redis = await connect()
  const limiter = createRateLimiter({ redis, limits: { requests: slidingWindow(5, '1m') } })
  const cache = createResponseCache({ redis })
  const memory = createAgentMemory({ redis })
  const sessions = createSessions({ redis })
  const pool = await createDecoderPool({ redis })
  const store = createKeyValueStore({ redis, prefix: 'kv' })

  const check = await limiter.check('user:42')
  let calls = 0
  const generate = cache.wrap(async (text: string) => ({ text, call: ++calls }), { name: 'generate' })
  const first = await generate.detailed('hello')
  const second = await generate.detailed('hello')
  const thread = memory.owner('user:42').thread('chat-7')
  const receipt = await thread.append([{ role: 'user', content: 'hello' }])
  const { messages } = await thread.window({ maxTokens: 1_000 })
  const node = await pool.register({ endpoint: 'http://10.0.0.7:8000' })
  const lease = await pool.acquire()
  lease.release({ ok: true })
  await store.set('k', { v: 1 })
  const held = await lock(redis, 'job')
  await held.release()
  const session = await sessions.create({ user: 42 })
  const heard = new Promise((resolve) => { void redis.subscribe('news', (message: string) => resolve(message)).then(() => redis.publish('news', 'hello')) })
  const value = {
    check: [check.allowed, check.remaining, check.source],
    cache: [first.value, first.outcome, second.value],
    memory: [receipt.status, messages.map(({ role, content }) => [role, content])],
    pool: [node.endpoint, lease.node.endpoint],
    keyValue: await store.get('k'),
    session: typeof session.id,
    heard: await heard,
    health: (await redis.health()).status,
  }
  for (const each of [pool, memory, cache, limiter, redis]) await each.close()
  console.log(JSON.stringify(value))`

const named = `
  import { connect, createKeyValueStore, lock } from '@evenkeel/core'
  import { createRateLimiter, slidingWindow } from '@evenkeel/rate-limiter'
  import { createResponseCache } from '@evenkeel/llm-response-cache'
  import { createAgentMemory, createSessions } from '@evenkeel/agent-memory'
  import { createDecoderPool } from '@evenkeel/decoder-pool'`

/** In one process, some of it is imported, and the rest required. */
const both = `
  import { createRequire } from 'node:module'
  import { connect } from '@evenkeel/core'
  import { createResponseCache } from '@evenkeel/llm-response-cache'
  const require = createRequire(import.meta.url)
  const { createKeyValueStore, lock } = require('@evenkeel/core')
  const { createRateLimiter, slidingWindow } = require('@evenkeel/rate-limiter')
  const { createAgentMemory, createSessions } = require('@evenkeel/agent-memory')
  const { createDecoderPool } = require('@evenkeel/decoder-pool')`

const right = {
  check: [true, 4, 'redis'],
  cache: [{ text: 'hello', call: 1 }, 'miss', { text: 'hello', call: 1 }],
  memory: ['stored', [['user', 'hello']]],
  pool: ['http://10.0.0.7:8000', 'http://10.0.0.7:8000'],
  keyValue: { v: 1 },
  session: 'string',
  heard: 'hello',
  health: 'healthy',
}

let redis: RedisServer
let app: Project
beforeAll(async () => {
  redis = await startRedis()
  app = await project('family', { dependencies: { redis: '6.3.1' } })
})
afterAll(() => redis.close())

describe('every package answers its first calls and leaves nothing open', () => {
  const cases = runtimes.flatMap((runtime) =>
    forms.map((form): [RuntimeName, typeof form] => [runtime, form]),
  )

  it.each(cases)('%s, %s', async (runtime, form) => {
    await redis.command('FLUSHALL')
    const { value } = await app.run(family(named), { form, runtime, env: { REDIS_URL: redis.url } })
    expect(value).toEqual(right)
  })

  it('with some imported and some required', async () => {
    await redis.command('FLUSHALL')
    const { value } = await app.run(family(both), { env: { REDIS_URL: redis.url } })
    expect(value).toEqual(right)
  })
})
