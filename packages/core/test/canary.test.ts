import { inspect } from 'node:util'
import { clientLibraries, type RedisServer, startRedis, until } from '@evenkeel/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { safeError } from '../src/guard/client-error.js'
import { type Connection, connect, createKeyValueStore, EvenkeelError, lock } from '../src/index.js'
import { defineScript } from '../src/kit/index.js'

const canary = 'C4NARYinput'
const secret = 'C4NARYsecret'

/** Everything that a logger, a crash report or a debugger may show of a value. */
function shown(value: unknown): string {
  const asJson = (() => {
    try {
      return JSON.stringify(value) ?? ''
    } catch {
      return ''
    }
  })()
  const own = value instanceof Error ? `${value.message}${value.stack}${value}` : ''
  return [inspect(value, { depth: 9 }), inspect(value, { depth: 9, showHidden: true }), asJson, own].join(
    '\n',
  )
}

async function rejection(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => undefined,
    (error: unknown) => error,
  )
}

const modes = clientLibraries.flatMap((library) => [
  {
    mode: `${library.name}, our own connection`,
    open: async (url: string) => {
      const redis = await connect({ url, library: (await library.load()) as object })
      return { redis, end: () => redis.close() }
    },
  },
  {
    mode: `${library.name}, borrowed`,
    open: async (url: string) => {
      const client = await library.createClient(url)
      const redis = await connect({ client })
      const end = async () => {
        await redis.close()
        await library.closeClient(client)
      }
      return { redis, end }
    },
  },
])

describe.each(modes)('promise 10: nothing of a caller or of a password shows, with $mode', ({ open }) => {
  let server: RedisServer
  let redis: Connection
  let end: () => Promise<unknown>
  const warnings: string[] = []
  const onWarning = (warning: Error) => warnings.push(shown(warning))

  beforeAll(async () => {
    process.on('warning', onWarning)
    server = await startRedis({ password: secret })
    const opened = await open(server.url)
    redis = opened.redis
    end = opened.end
    await redis.command(['LPUSH', 'list', 'x'])
  })
  afterAll(async () => {
    await end()
    await server.close()
    process.off('warning', onWarning)
  })

  const refused: readonly (readonly string[])[] = [
    ['SET', 'x', canary, 'NOSUCH'],
    ['HSET', 'list', 'f', canary],
    ['GET', 'list', canary],
    ['CONFIG', 'SET', 'requirepass2', canary],
    ['CONFIG', 'SET', 'maxmemory', canary],
    ['ACL', 'SETUSER', 'somebody', `>${canary}`, `bad${canary}`],
    ['ACL', canary],
    ['NOSUCHCOMMAND', canary],
    ['NOSUCHCOMMAND', `it's "${canary}"`, canary],
    [`SET k ${canary}`],
    ['EVAL', `return redis.call('SET', ${canary}`, '0'],
    ['EVAL', 'return redis.error_reply(ARGV[1])', '0', `OWN ${canary}`],
    ['EVAL', "error('so: ' .. ARGV[1])", '0', canary],
    ['EVAL', "return redis.call('HSET', KEYS[1], 'f', ARGV[1])", '1', 'list', canary],
    ['EXPIRE', 'list', canary],
    ['SETRANGE', 'list', canary, canary],
    ['OBJECT', 'ENCODING', canary, canary],
  ]

  it.each(refused)('in the error of %s', async (...args) => {
    const error = await rejection(redis.command(args))
    if (error === undefined) return
    expect(EvenkeelError.isInstance(error), inspect(error)).toBe(true)
    expect(shown(error)).not.toMatch(/C4NARY/)
  })

  it('in errors of scripts, stores and locks', async () => {
    const script = defineScript({ name: 'own', lua: "return redis.call('HSET', KEYS[1], 'f', ARGV[1])" })
    const store = createKeyValueStore<string>({ redis, prefix: 'canary' })
    await redis.command(['LPUSH', `${redis.namespace}kv:canary:k`, 'x'])
    await redis.command(['LPUSH', `${redis.namespace}lock:{${canary}}`, 'x'])
    const errors = await Promise.all(
      [
        redis.run(script, ['list'], [canary]),
        store.set('k', canary),
        store.set(canary.repeat(500), 'v'),
        store.increment('k'),
        lock(redis, canary),
        lock(redis, `\ud800${canary}`),
        lock(undefined, canary),
        redis.command(['GET', 1 as unknown as string, canary]),
        redis.command(['GET', canary], { signal: AbortSignal.abort() }),
      ].map(rejection),
    )
    for (const error of errors) expect(shown(error)).not.toMatch(/C4NARY/)
    expect(errors.filter((error) => error !== undefined).length).toBeGreaterThanOrEqual(6)
    await store.close()
  })

  it('in a lock that is waited for in vain, or lost', async () => {
    await using held = await lock(redis, `waited ${canary}`, { ttl: '10s' })
    const waited = await rejection(lock(redis, `waited ${canary}`, { wait: 1 }))
    expect(waited).toMatchObject({ code: 'LOCK_TIMEOUT' })
    await redis.command(['DEL', `${redis.namespace}lock:{waited ${canary}}`])
    const lost = await rejection(held.extend())
    expect(lost).toMatchObject({ code: 'LOCK_LOST' })
    expect(shown([waited, lost, held.signal.reason])).not.toMatch(/C4NARY/)
  })

  it('in the connection, its health and its vitals', async () => {
    expect(shown(await redis.health())).not.toMatch(/C4NARY/)
    expect(shown(redis)).not.toMatch(/C4NARY/)
  })

  it('in the warning about a handler that chokes on a message', async () => {
    const subscription = await redis.subscribe('news', (message) => JSON.parse(message))
    const before = warnings.length
    await redis.publish('news', `${canary} is no JSON`)
    await until(() => warnings.length > before, 10_000)
    expect(warnings.join('\n')).not.toMatch(/C4NARY/)
    expect(warnings.join('\n')).toContain('SyntaxError')
    await subscription.close()
  })
})

describe('an error of a client', () => {
  it('keeps what the server says of itself', () => {
    const args = ['EVALSHA', 'f'.repeat(40), '1', 'user', 'pin4', canary]
    const message = `ERR pin4 'pin' ${canary}x script: ${'f'.repeat(40)}, on @user_script:91.`
    expect(safeError(new Error(message), args).message).toBe(
      `ERR … '…' …x script: ${'f'.repeat(40)}, on @user_script:91.`,
    )
  })
})

describe('promise 10: nothing of a wrong password shows', () => {
  it.each(clientLibraries)('with $name', async (library) => {
    await using server = await startRedis({ password: 'right' })
    const { host, port } = server
    const error = await rejection(
      connect({ host, port, password: secret, library: (await library.load()) as object }, {}),
    )
    expect(error).toMatchObject({ code: 'CREDENTIALS_REFUSED' })
    expect(shown(error)).not.toMatch(/C4NARY/)
  })
})
