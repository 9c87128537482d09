import { everyClientLibrary, type RedisServer, startRedis, until } from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connect, createKeyValueStore, lock } from '../src/index.js'

let server: RedisServer

beforeAll(async () => {
  server = await startRedis()
})
afterAll(() => server.close())

/** The line of docs/acl.md for core; the tests remove its rules one by one. */
const rules = [
  '+ping',
  '+info',
  '+eval',
  '+evalsha',
  '+time',
  '+get',
  '+set',
  '+del',
  '+unlink',
  '+hmget',
  '+hset',
  '+hget',
  '+pexpire',
  '+hincrby',
  '+exists',
  '+pttl',
  '+scan',
  '+publish',
  '+subscribe',
  '+unsubscribe',
  '~evenkeel:*',
  '&evenkeel:*',
]
let users = 0

/** Creates a user with these rules, and resolves with the URL that logs in as that user. */
async function userWith(ruleSet: readonly string[]): Promise<string> {
  const name = `user${++users}`
  await server.command('ACL', 'SETUSER', name, 'reset', 'resetchannels', 'on', '>pw', ...ruleSet)
  return server.url.replace('redis://', `redis://${name}:pw@`)
}

async function warningsOf<T>(action: () => Promise<T>): Promise<{ result: T; warnings: string[] }> {
  const warnings: string[] = []
  const note = (warning: Error & { code?: string }) => {
    if (warning.code === 'EVENKEEL_ACL') warnings.push(warning.message)
  }
  process.on('warning', note)
  const result = await action()
  await new Promise((resolve) => setImmediate(resolve))
  process.off('warning', note)
  return { result, warnings }
}

const without = (...names: string[]) => rules.filter((rule) => !names.includes(rule))

/** Commands that a library sends by itself, whatever it is used for (docs/acl.md). */
const rulesOfLibrary: Partial<Record<string, readonly string[]>> = { 'valkey-glide': ['+client', '+info'] }

describe.each(everyClientLibrary)('a user of an ACL, with $name', ({ kind, load }) => {
  const open = async (ruleSet: readonly string[]) => {
    const url = await userWith([...ruleSet, ...(rulesOfLibrary[kind] ?? [])])
    const library = (await load()) as object
    return warningsOf(() => connect({ url, library, commandTimeout: 5_000, required: true }))
  }

  it('needs no more than the documentation says', async () => {
    const { result: redis, warnings } = await open(rules)
    expect(warnings).toEqual([])
    const store = createKeyValueStore({ redis, prefix: 'acl' })
    await store.set('a', 1)
    expect(await store.get('a')).toBe(1)
    expect(await store.increment('n')).toBe(1)
    expect(await store.touch('a', '1m')).toBe(true)
    expect(await store.clear()).toBe(2)
    expect(store.state).toBe('primary')
    const held = await lock(redis, 'acl')
    expect(held.source).toBe('redis')
    await held.release()
    const heard: string[] = []
    const subscription = await redis.subscribe('news', (message) => heard.push(message))
    await redis.publish('news', 'hello')
    await until(() => heard.length === 1, 5_000)
    await subscription.close()
    await redis.close()
  })

  it.each([['+ping'], ['+info'], ['+ping', '+info']])('is up without %s', async (...names) => {
    const { result: redis, warnings } = await open(without(...names))
    expect(redis.state).toBe('up')
    expect(warnings).toEqual([])
    await redis.close()
  })

  it.each([
    ['+eval', 'the command EVAL'],
    ['+evalsha', 'the command EVALSHA'],
    ['+time', 'the command TIME'],
    ['+publish', 'the command PUBLISH'],
    ['+get', 'the command GET'],
    ['+unlink', 'the command UNLINK'],
    ['~evenkeel:*', 'keys ~evenkeel:*'],
    ['&evenkeel:*', 'channels &evenkeel:*'],
  ])('is told by connect() that %s is missing', async (name, told) => {
    const { result: redis, warnings } = await open(without(name))
    expect(redis.state).toBe('up')
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain(told)
    expect(warnings[0]).toContain('docs/acl.md')
    await redis.close()
  })

  it.each(['+subscribe', '&evenkeel:*'])('can not subscribe without %s, and is told', async (name) => {
    const { result: redis } = await open(without(name))
    const connections = async () =>
      Number(/total_connections_received:(\d+)/.exec(String(await server.command('INFO', 'stats')))?.[1])
    await expect(redis.subscribe('news', () => {})).rejects.toMatchObject({
      code: 'REDIS_REPLY',
      prefix: 'NOPERM',
    })
    const before = await connections()
    await new Promise((resolve) => setTimeout(resolve, 800))
    // After the refusal, the connection for messages must not be opened again and again.
    expect(await connections()).toBe(before)
    await redis.close()
  })
})

describe('a database that is refused', () => {
  it.each(everyClientLibrary)(
    'is down with $name, and nothing is written elsewhere',
    async ({ kind, load }) => {
      const library = (await load()) as object
      const redis = await connect({ url: `${server.url}/99`, library })
      expect(redis.state).toBe('down')
      // valkey-glide retries until its timeout, and does not report the reason.
      const isTold = kind !== 'valkey-glide'
      expect(redis.downReason).toMatch(isTold ? /DB index|out of range/i : /handshake|timed out/)
      await redis.close()
      const forbidden = await userWith(['~*', '&*', '+@all', '-select'])
      await using other = await connect({ url: `${forbidden}/1`, library })
      expect(other.state).toBe('down')
      expect(other.downReason).toMatch(isTold ? /NOPERM/ : /handshake|timed out/)
    },
  )
})

describe('a URL of a read-only replica', () => {
  it.each(everyClientLibrary)(
    'is told with $name, without a storm of connections or events',
    async ({ load }) => {
      const replica = await startRedis({ args: { replicaof: `${server.host} ${server.port}` } })
      await until(async () => (await replica.info('master_link_status')) === 'up', 20_000)
      const library = (await load()) as object
      const refused = await connect({ url: replica.url, library, required: true }).catch((error) => error)
      expect(refused).toMatchObject({ code: 'CONNECTION_DOWN' })
      expect(refused.message).toContain('read-only replica')

      const redis = await connect({ url: replica.url, library })
      const events: string[] = []
      redis.on('up', () => events.push('up'))
      redis.on('down', () => events.push('down'))
      const before = Number(await replica.info('total_connections_received'))
      for (let count = 0; count < 100; count++) {
        await redis.command(['SET', 'k', 'v']).catch(() => {})
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
      // A listener is told once that Redis is down; no `up` and `down` follow.
      expect(events).toEqual(['down'])
      expect(Number(await replica.info('total_connections_received')) - before).toBeLessThan(15)

      await replica.command('REPLICAOF', 'NO', 'ONE')
      await until(() => redis.state === 'up', 20_000)
      await redis.close()
      await replica.close()
    },
  )
})
