import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { libraries, type Project, project } from './harness/index.js'

/** Uses every package once as the Redis user of REDIS_URL, and reports the results. */
const script = `
  import { connect, createKeyValueStore, lock } from '@evenkeel/core'
  import { createRateLimiter, slidingWindow } from '@evenkeel/rate-limiter'
  import { createResponseCache } from '@evenkeel/llm-response-cache'
  import { createAgentMemory } from '@evenkeel/agent-memory'
  import { createDecoderPool } from '@evenkeel/decoder-pool'

  const warnings = []
  process.on('warning', ({ message }) => warnings.push(message))
  const attempt = async (work) => {
    try { return await work() } catch (error) { return error.code ?? error.name }
  }
  const redis = await connect({ commandTimeout: '10s' })
  let downs = 0
  redis.on('down', () => downs++)
  const limiter = createRateLimiter({ redis, limits: { requests: slidingWindow(5, '1m') } })
  const cache = createResponseCache({ redis })
  const memory = createAgentMemory({ redis })
  // A pool that may not hear of changes does not start.
  const pool = await createDecoderPool({ redis }).catch((error) => error)
  const store = createKeyValueStore({ redis, prefix: 'kv' })
  const told = {
    limiter: await attempt(async () => (await limiter.check('user')).source),
    cache: await attempt(async () => (await cache.wrap(async () => 1, { name: 'one' }).detailed()).outcome),
    memory: await attempt(async () => (await memory.owner('u').thread('t').append({ role: 'user', content: 'x' })).status),
    pool: pool instanceof Error ? pool.code : await attempt(async () => (await pool.register({ endpoint: 'http://10.0.0.7:8000' })).endpoint),
    keyValue: await attempt(async () => (await store.set('a', 1), store.get('a'))),
    lock: await attempt(async () => { const held = await lock(redis, 'job'); await held.release(); return held.source }),
    subscribe: await attempt(async () => { await redis.subscribe('news', () => {}); return 'subscribed' }),
  }
  const state = redis.state
  for (const each of [store, pool, memory, cache, limiter, redis]) await each.close?.()
  console.log(JSON.stringify({ ...told, state, downs, warnings: warnings.join('\\n') }))`

type Told = Record<string, unknown> & { warnings: string; state: string; downs: number }

let redis: RedisServer
let app: Project
beforeAll(async () => {
  redis = await startRedis()
  app = await project('family', { dependencies: { redis: libraries.redis6 } })
})
afterAll(() => redis.close())

async function asUser(name: string, ...rules: string[]): Promise<Told> {
  await redis.command('FLUSHALL')
  await redis.command('ACL', 'SETUSER', name, 'reset', 'on', '>secret', ...rules)
  const { value } = await app.run(script, {
    env: { REDIS_URL: `redis://${name}:secret@127.0.0.1:${redis.port}` },
    stderr: 'allowed',
  })
  return value as Told
}

const whole = {
  limiter: 'redis',
  cache: 'miss',
  memory: 'stored',
  pool: 'http://10.0.0.7:8000',
  keyValue: 1,
  lock: 'redis',
  subscribe: 'subscribed',
  state: 'up',
  downs: 0,
}

const needed = [
  '~evenkeel:*',
  '&evenkeel:*',
  '+@read',
  '+@write',
  '+@connection',
  '+@scripting',
  '+@pubsub',
  '+time',
]

describe('a Redis user with just what the packages need', () => {
  it('works, and nobody is warned', async () => {
    expect(await asUser('just', ...needed)).toEqual({ ...whole, warnings: '' })
  })

  it.each(['ping', 'client', 'client|setname', 'info', 'hello'])('works without %s', async (command) => {
    expect(await asUser('less', ...needed, `-${command}`)).toEqual({ ...whole, warnings: '' })
  })
})

describe('a user that lacks one thing is told what, and Redis counts as there', () => {
  it('channels, which no user of Redis 7 has by default: a subscription is refused', async () => {
    const { warnings, ...told } = await asUser('mute', ...needed.filter((rule) => !rule.startsWith('&')))
    expect(warnings).toMatch(/channels &evenkeel:\*/)
    expect(told).toMatchObject({ state: 'up', downs: 0, limiter: 'redis', keyValue: 1, lock: 'redis' })
    expect(told.subscribe).not.toBe('subscribed')
  })

  it.each([
    ['time', /TIME/],
    ['eval', /EVAL/],
    ['evalsha', /EVALSHA/],
    ['get', /GET/],
    ['unlink', /UNLINK/],
  ])('the command %s', async (command, named) => {
    const { warnings, state, downs } = await asUser('lacks', ...needed, `-${command}`)
    expect(warnings).toMatch(named)
    expect({ state, downs }).toEqual({ state: 'up', downs: 0 })
  })

  it('keys', async () => {
    const { warnings, state, downs } = await asUser(
      'keyless',
      ...needed.filter((rule) => !rule.startsWith('~')),
    )
    expect(warnings).toMatch(/keys ~evenkeel:\*/)
    expect({ state, downs }).toEqual({ state: 'up', downs: 0 })
  })
})
