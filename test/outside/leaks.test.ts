import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { forms, libraries, project } from './harness/index.js'

/**
 * Opens, uses and closes the whole family many times in one process, as a test runner or a hot reload does, and reports
 * what each round left behind, after the first rounds have filled what is kept on purpose. The heap is read after every
 * twenty rounds: a leak grows between all readings, a module that is loaded late (4 MB of undici, when the pool's first
 * health check gets as far as its request) only between two of them.
 */
const script = `
  import { setFlagsFromString } from 'node:v8'
  import { runInNewContext } from 'node:vm'
  import { connect, createKeyValueStore, lock } from '@evenkeel/core'
  import { createRateLimiter, slidingWindow } from '@evenkeel/rate-limiter'
  import { createResponseCache } from '@evenkeel/llm-response-cache'
  import { createAgentMemory, createSessions } from '@evenkeel/agent-memory'
  import { createDecoderPool } from '@evenkeel/decoder-pool'

  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc')
  const settle = async () => {
    for (let turn = 0; turn < 5; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 20))
      collect()
    }
  }
  const round = async (count) => {
    const redis = await connect()
    const limiter = createRateLimiter({ redis, limits: { requests: slidingWindow(5_000, '1m') } })
    const cache = createResponseCache({ redis })
    const memory = createAgentMemory({ redis })
    const sessions = createSessions({ redis })
    const pool = await createDecoderPool({ redis })
    const store = createKeyValueStore({ redis, prefix: 'kv' })
    await limiter.check('user:42')
    const generate = cache.wrap(async (text) => ({ text }), { name: 'generate' })
    await generate('hello ' + (count % 4))
    await memory.owner('user:42').thread('chat-7').append([{ id: 'm' + (count % 4), role: 'user', content: 'hello' }])
    await sessions.create({ user: 42 })
    await pool.register({ endpoint: 'http://10.0.0.7:8000' })
    const lease = await pool.acquire()
    lease.release({ ok: true })
    await store.set('k', { v: 1 })
    await (await lock(redis, 'job')).release()
    const subscription = await redis.subscribe('news', () => {})
    await subscription.close()
    for (const each of [pool, memory, cache, limiter, redis]) await each.close()
  }
  const seen = () => ({
    heap: process.memoryUsage().heapUsed,
    resources: process.getActiveResourcesInfo().length,
    listeners: process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0),
  })
  const readings = []
  for (let reading = 0; reading < 4; reading++) {
    for (let count = 0; count < 20; count++) await round(count)
    await settle()
    readings.push(seen())
  }
  console.log(JSON.stringify({
    bytesARound: readings.slice(1).map(({ heap }, at) => Math.round((heap - readings[at].heap) / 20)),
    resources: readings[3].resources - readings[0].resources,
    listeners: readings[3].listeners - readings[0].listeners,
  }))`

interface Left {
  /** Growth of the heap a round, between one reading and the next. */
  readonly bytesARound: readonly number[]
  readonly resources: number
  readonly listeners: number
}

let redis: RedisServer
beforeAll(async () => {
  redis = await startRedis()
})
afterAll(() => redis.close())

it.each(forms)('what is closed leaves nothing behind, %s', async (form) => {
  const app = await project('family', { dependencies: { redis: libraries.redis6 } })
  const { value } = await app.run(script, { form, env: { REDIS_URL: redis.url }, timeoutMs: 240_000 })
  const { bytesARound, resources, listeners } = value as Left
  expect({ resources, listeners }).toEqual({ resources: 0, listeners: 0 })
  // The bound allows for what V8 compiles meanwhile; one set of packages takes hundreds of kilobytes.
  expect(Math.min(...bytesARound), `${bytesARound.join(', ')} bytes a round`).toBeLessThan(10_000)
  // The server has only the connection of the test itself.
  await expect
    .poll(async () => Number(await redis.info('connected_clients')), { timeout: 10_000 })
    .toBeLessThanOrEqual(1)
})
