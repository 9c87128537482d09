import { type RedisServer, startRedis } from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { forms, libraries, type Project, project } from './harness/index.js'

/** What a service does with its own client: it must have the same result in every state of the client. */
const use = `
  import { connect, createKeyValueStore, lock } from '@evenkeel/core'
  import { createRateLimiter, slidingWindow } from '@evenkeel/rate-limiter'

  const url = process.env.REDIS_URL
  const told: Record<string, unknown> = {}
  let uses = 0

  async function use(client: object, options = {}) {
    const redis = await connect({ client, commandTimeout: '10s', namespace: 'try' + ++uses + ':', ...options })
    const limiter = createRateLimiter({ redis, limits: { requests: slidingWindow(5, '1h') } })
    const checks = await Promise.all(Array.from({ length: 7 }, () => limiter.check('user:42')))
    const held = await lock(redis, 'job')
    const store = createKeyValueStore<number>({ redis, prefix: 'kv' })
    await store.set('a', 1)
    await store.set('b', 2)
    const entries = []
    for await (const [key] of store.entries()) entries.push(key)
    const message = await new Promise((resolve) => {
      void redis.subscribe('news', (text: string) => resolve(text)).then(() => redis.publish('news', 'hello'))
    })
    const answer = {
      allowed: checks.filter(({ allowed }) => allowed).length,
      sources: [...new Set(checks.map(({ source }) => source))],
      released: await held.release(),
      keyValue: [await store.touch('a', '1m'), await store.delete('a'), await store.delete('a'), entries.sort(), await store.clear()],
      message,
      health: (await redis.health()).status,
    }
    await store.close()
    await limiter.close()
    await redis.close()
    return answer
  }`

const right = {
  allowed: 5,
  sources: ['redis'],
  released: true,
  keyValue: [true, true, false, ['a', 'b'], 1],
  message: 'hello',
  health: 'healthy',
}

const nodeRedis = `
  import * as library from 'redis'
  ${use}
  const { createClient } = library
  const silent = (client: any) => client.on('error', () => {})

  const connected = silent(createClient({ url }))
  await connected.connect()
  told.connected = await use(connected)
  told.again = await use(connected)
  told.stillOpen = await connected.ping()
  await connected.quit()

  const connecting = silent(createClient({ url }))
  const connection = connecting.connect()
  told.connecting = await use(connecting, { required: true })
  await connection
  await connecting.quit()

  const given = silent(createClient({ url, database: 3 }))
  await given.connect()
  told.database = await use(given)
  await given.quit()

  const lazy = silent(createClient({ url }))
  told.neverConnected = await connect({ client: lazy, connectionTimeout: '200ms', required: true }).catch((error: any) => error.code)
  const later = await connect({ client: lazy, connectionTimeout: '200ms' })
  const up = new Promise((resolve) => later.on('up', () => resolve('up')))
  await lazy.connect()
  told.connectedLater = await up
  const down = new Promise((resolve) => later.on('down', () => resolve('down')))
  await lazy.disconnect()
  told.endedInUse = [await down, await later.command(['PING']).catch((error: any) => error.code)]
  await later.close()
  if ('createClientPool' in library) {
    const pool = silent(library.createClientPool({ url }, { minimum: 2, maximum: 4 }))
    await pool.connect()
    told.pool = await use(pool)
    await pool.close()
  }
  if ('createClientPool' in library) {
    const resp3 = silent(createClient({ url, RESP: 3 }))
    await resp3.connect()
    told.resp3 = await use(resp3)
    const { RESP_TYPES } = library
    const mapped = resp3.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer, [RESP_TYPES.NUMBER]: String, [RESP_TYPES.SIMPLE_STRING]: Buffer })
    told.typeMapping = await use(mapped)
    await resp3.close()
  } else {
    const legacy = silent(createClient({ url, legacyMode: true }))
    await legacy.connect()
    told.legacyMode = await use(legacy)
    await legacy.disconnect()
  }
  console.log(JSON.stringify(told))`

const ioredis = `
  import { Redis } from 'ioredis'
  ${use}
  const cases: Record<string, object> = {
    connecting: {},
    lazyConnect: { lazyConnect: true },
    stringNumbers: { stringNumbers: true },
    keyPrefix: { keyPrefix: 'app:' },
    automaticPipelines: { enableAutoPipelining: true },
    database: { db: 3 },
    readyCheckOff: { enableReadyCheck: false },
    noOfflineQueue: { enableOfflineQueue: false },
  }
  for (const [name, options] of Object.entries(cases)) {
    const client = new Redis(url, options)
    told[name] = await use(client, { required: true })
    told.stillOpen = await client.ping()
    client.disconnect()
  }
  const client = new Redis(url)
  const redis = await connect({ client, required: true })
  const down = new Promise((resolve) => redis.on('down', () => resolve('down')))
  client.disconnect()
  told.endedInUse = [await down, await redis.command(['PING']).catch((error: any) => error.code)]
  const up = new Promise((resolve) => redis.on('up', () => resolve('up')))
  await client.connect()
  told.connectedLater = await up
  await redis.close()
  client.disconnect()
  console.log(JSON.stringify(told))`

let redis: RedisServer
beforeAll(async () => {
  redis = await startRedis()
})
afterAll(() => redis.close())

const ends = { stillOpen: 'PONG', connectedLater: 'up', endedInUse: ['down', 'CONNECTION_DOWN'] }

describe("a host's own client works in every state it can be in", () => {
  it.each([
    ['4.7.1', ['legacyMode']],
    ['5.12.1', ['pool', 'resp3', 'typeMapping']],
    ['6.3.1', ['pool', 'resp3', 'typeMapping']],
  ])('node-redis %s', async (version, more) => {
    const app = await client(`redis-${version}`, { redis: version })
    const states = ['connected', 'again', 'connecting', 'database', ...more]
    const wanted = {
      ...Object.fromEntries(states.map((state) => [state, right])),
      ...ends,
      neverConnected: 'CONNECTION_DOWN',
    }
    for (const form of forms) {
      await redis.command('FLUSHALL')
      const { value } = await app.run(nodeRedis, { form, env: { REDIS_URL: redis.url }, stderr: 'outages' })
      expect(value, form).toEqual(wanted)
    }
  })

  it('ioredis 5', async () => {
    const app = await client('ioredis-5', { ioredis: libraries.ioredis })
    const states = [
      'connecting',
      'lazyConnect',
      'stringNumbers',
      'keyPrefix',
      'automaticPipelines',
      'database',
    ]
    const more = ['readyCheckOff', 'noOfflineQueue']
    const wanted = { ...Object.fromEntries([...states, ...more].map((state) => [state, right])), ...ends }
    for (const form of forms) {
      await redis.command('FLUSHALL')
      const { value } = await app.run(ioredis, { form, env: { REDIS_URL: redis.url }, stderr: 'outages' })
      expect(value, form).toEqual(wanted)
    }
  })
})

function client(name: string, dependencies: Record<string, string>): Promise<Project> {
  return project(`client-${name}`, { packages: ['@evenkeel/rate-limiter'], dependencies })
}
